"""Checks every kernel against float64, times it beside others, and writes what was found."""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import measure
from benchmarks.gpu.cases import CASES, Case
from benchmarks.runner.record import RESULTS, machine, write

# All must be over within eight minutes.
_LIMIT = 450.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if all kernels agree with float64, 1 if one does not, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu.json", help="where to write the JSON")
    parser.add_argument("--seconds", type=float, default=_LIMIT, help="when to stop beginning cases")
    chosen = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("benchmarks.gpu: there is no GPU that PyTorch can use here, and nothing was measured", file=sys.stderr)
        return 2
    deadline = time.monotonic() + chosen.seconds
    wrong = compare()
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    rates = {dtype: measure.rate(dtype) for dtype in (torch.bfloat16, torch.float32)}
    speed = measure.bandwidth()
    cases = [record(case, dtype, speed, rates[dtype], deadline) for case in CASES for dtype in case.dtypes]
    found = {
        "machine": machine({}) | _gpu(),
        "bytes_a_second": speed,
        "operations_a_second": {str(dtype): each for dtype, each in rates.items()},
        "cases": cases,
    }
    write(chosen.out, found)
    print(f"wrote {chosen.out}")
    return 0


def compare(device: str = "cuda") -> list[str]:
    """What differs from float64, in words."""
    found = []
    for case in CASES:
        for dtype in case.dtypes:
            fault = measure.disagreement(case, dtype, device)
            if fault is not None:
                found.append(f"{case.name}, {dtype}: {fault}")
    return found


def record(case: Case, dtype: torch.dtype, speed: float, rate: float, deadline: float) -> dict[str, Any]:
    """The times of a case and of its peers, or why there are none."""
    found: dict[str, Any] = {"case": case.name, "dtype": str(dtype)}
    if time.monotonic() > deadline:
        return found | {"not_timed": "the time was over"}
    tensors = case.tensors(case.sizes, dtype, "cuda")
    with torch.no_grad():
        found["floor"] = measure.floor(case, tensors, case.ours(*tensors), speed, rate)
    found["seconds"], found["with_backward"] = measure.both_ways(case.ours, tensors)
    found["peers"] = []
    for name, peer in case.peers.items():
        entry: dict[str, Any] = {"name": name}
        try:
            entry["seconds"], entry["with_backward"] = measure.both_ways(peer, tensors)
            entry["ratio"] = entry["seconds"] / found["seconds"]
            entry["ratio_with_backward"] = entry["with_backward"] / found["with_backward"]
        except (ImportError, RuntimeError) as error:
            entry["not_timed"] = f"{type(error).__name__}: {error}"
        found["peers"].append(entry)
    print(line(found))
    return found


def line(found: dict[str, Any]) -> str:
    """A case in one line."""
    own = f"{found['case']}, {found['dtype']}: {found['seconds'] * 1e3:.3f} ms, {found['with_backward'] * 1e3:.3f} ms"
    parts = [f"{own} with gradients, floor {found['floor'] * 1e3:.3f} ms"]
    for peer in found["peers"]:
        told = peer.get("not_timed") or f"{peer['ratio']:.2f} times as long, {peer['ratio_with_backward']:.2f}"
        parts.append(f"{peer['name']}: {told}")
    return "; ".join(parts)


def _gpu() -> dict[str, Any]:
    from striate.ops import _triton

    at = torch.cuda.get_device_properties(0)
    asked = "driver_version,clocks.max.sm,clocks.max.memory,power.limit"
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"], capture_output=True, text=True
        )
        told = done.stdout.strip()
    except FileNotFoundError:
        told = ""
    return {
        "gpu": at.name,
        "capability": f"{at.major}.{at.minor}",
        "gpu_bytes": at.total_memory,
        "cuda": torch.version.cuda,
        "triton": _triton.triton.__version__,
        "tf32": torch.backends.cuda.matmul.fp32_precision,
        asked: told,
    }
