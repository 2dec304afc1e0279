"""Checks every kernel against float64, times it beside others, and writes what was found, case by case.

From a checkout, with nothing installed but Numba: `PYTHONPATH=src python -m benchmarks.gpu --out gpu.json`.
A case that fails is told, and the others go on, in a new process where the GPU would not. What was measured is not lost
when the command is stopped: `--go-on` takes it up.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu import measure
from benchmarks.gpu.cases import CASES, PRODUCTS, Case, Kind, Peer, every_kind
from benchmarks.runner.record import RESULTS, check_writable, machine, write

# All must be over within eight minutes.
_LIMIT = 450.0
_NAMES = ("seconds", "with_backward")
_DEVICE = "cuda"
_UNENDED = "it had not ended when this was written"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the device can do, and until when it may be asked."""

    bytes_a_second: float
    operations_a_second: dict[str, float]
    deadline: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if all kernels agree with float64, 1 if one does not or fails, 2 if nothing is measured."""
    chosen = _parsed(arguments)
    cases = [case for case in CASES if not chosen.only or any(part in case.name for part in chosen.only)]
    if not cases:
        print(f"benchmarks.gpu: no case has {' or '.join(chosen.only)} in its name; there are:", file=sys.stderr)
        print(*(case.name for case in CASES), sep="\n", file=sys.stderr)
        return 2
    if chosen.code:
        from benchmarks.gpu import machine_code

        for row in machine_code.table(cases, chosen.code):
            print(row, flush=True)
        return 0
    if not torch.cuda.is_available():
        print("benchmarks.gpu: there is no GPU that PyTorch can use here, and nothing was measured", file=sys.stderr)
        return 2
    check_writable(chosen.out)
    deadline = time.monotonic() + chosen.seconds
    rates = {str(kind): measure.rate(kind) for kind in (PRODUCTS[0], PRODUCTS[1], PRODUCTS[-1])}
    limits = Limits(measure.bandwidth(), rates, deadline)
    about = machine({}) | _gpu() | {"bytes_a_second": limits.bytes_a_second, "operations_a_second": rates}
    found = {identity(entry): entry for entry in _kept(chosen, cases)}
    for case, kind in every_kind(cases):
        entry = begun(case, kind)
        if identity(entry) in found:
            continue
        found[identity(entry)] = entry
        write(chosen.out, {"machine": about, "cases": list(found.values())})
        found[identity(entry)] = entry = record(case, kind, limits)
        write(chosen.out, {"machine": about, "cases": list(found.values())})
        print(line(entry), flush=True)
        if not _usable():
            _begin_anew(arguments, deadline)
    print(f"wrote {chosen.out}")
    return int(any("wrong" in entry or "error" in entry for entry in found.values()))


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu.json", help="where to write the JSON")
    parser.add_argument("--seconds", type=float, default=_LIMIT, help="when to stop beginning cases")
    parser.add_argument("--only", action="append", metavar="PART", help="only cases with this in their names")
    parser.add_argument("--go-on", action="store_true", help="keep what the JSON already tells, and do the rest")
    parser.add_argument(
        "--code",
        type=int,
        nargs="?",
        const=90,
        metavar="ARCHITECTURE",
        help="no GPU, no times: compile the kernels for one, 90 unless told, and print what the machine code takes",
    )
    return parser.parse_args(arguments)


def _kept(chosen: argparse.Namespace, cases: Sequence[Case]) -> list[dict[str, Any]]:
    """What the JSON tells and is not to be measured again."""
    if not chosen.out.exists() or not (chosen.go_on or chosen.only):
        return []
    again = set() if chosen.go_on else {case.name for case in cases}
    told = json.loads(chosen.out.read_text("utf-8"))["cases"]
    return [entry for entry in told if entry["case"] not in again and "not_timed" not in entry]


def identity(entry: dict[str, Any]) -> tuple[str, str]:
    """What tells an entry from all others."""
    return entry["case"], entry["kind"]


def begun(case: Case, kind: Kind) -> dict[str, Any]:
    """What stands in the JSON while a case runs."""
    return {"case": case.name, "kind": str(kind), "error": _UNENDED}


def record(case: Case, kind: Kind, limits: Limits) -> dict[str, Any]:
    """The times of a case and of its peers, or why there are none."""
    found: dict[str, Any] = {"case": case.name, "kind": str(kind)}
    if time.monotonic() > limits.deadline:
        return found | {"not_timed": "the time was over"}
    try:
        with measure.products(kind.tf32):
            _measure(found, case, kind, limits)
    except Exception as error:
        # Whatever it is, the other cases are not to be lost.
        found |= {"error": measure.told(error), "trace": traceback.format_exc()}
    return found


def _measure(found: dict[str, Any], case: Case, kind: Kind, limits: Limits) -> None:
    """Compile, compare and time, and note each as soon as it is known."""
    from benchmarks.gpu import tilings

    tensors = case.tensors(case.sizes, kind, _DEVICE)
    tilings.forget()
    begin = time.monotonic()
    output = _both(case, tensors)
    found["seconds_to_compile_and_tune"] = time.monotonic() - begin
    found["tilings"] = tilings.chosen()
    fault = measure.disagreement(case, kind, _DEVICE)
    if fault is not None:
        found["wrong"] = fault
        return
    rate = limits.operations_a_second[str(Kind(kind.dtype, tf32=kind.tf32))]
    found["floor"] = measure.floor(case, tensors, output, limits.bytes_a_second, rate)
    found |= measure.times(case.ours, tensors)
    found["peers"] = []
    for name, peer in case.peers.items():
        found["peers"] += _against(name, peer, tensors, found)


def _both(case: Case, tensors: Sequence[Tensor]) -> Tensor:
    """The output, after both passes have run to their ends."""
    own = [tensor.detach().requires_grad_() for tensor in tensors]
    output = case.ours(*own)
    torch.autograd.grad(output, own, torch.ones_like(output))
    torch.cuda.synchronize()
    return output.detach()


def _against(name: str, peer: Peer, tensors: Sequence[Tensor], ours: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The times of a peer; one that refuses bfloat16 is timed in float16, and in float32 as autocast casts to it."""
    entry = timed(name, peer, tensors, ours)
    yield entry
    if tensors[0].dtype == torch.bfloat16 and "not implemented for" in entry.get("not_timed", ""):
        yield timed(name, peer, [tensor.half() for tensor in tensors], ours)
        yield timed(name, peer, tensors, ours, cast=True)


def timed(
    name: str, peer: Peer, tensors: Sequence[Tensor], ours: dict[str, Any], *, cast: bool = False
) -> dict[str, Any]:
    """The times of a peer and how many times ours they are, or why there are none."""
    kind = "float32 by autocast" if cast else str(tensors[0].dtype).removeprefix("torch.")
    entry: dict[str, Any] = {"name": name, "dtype": kind}
    try:
        own = peer.prepared(*tensors) if peer.prepared else tensors
        with torch.autocast(_DEVICE, torch.bfloat16, cache_enabled=False) if cast else contextlib.nullcontext():
            entry |= measure.times(peer.function, own)
    except (ImportError, RuntimeError) as error:
        return entry | {"not_timed": measure.told(error)}
    for what in (name + more for name in _NAMES for more in ("", "_in_graph")):
        if what in entry and what in ours:
            entry[f"ratio_of_{what}"] = entry[what] / ours[what]
    return entry


def line(entry: dict[str, Any]) -> str:
    """A case in one line: milliseconds of the forward pass and of both, then how many times as long others take."""
    told = f"{entry['case']}, {entry['kind']}: "
    missing = next((entry[why] for why in ("wrong", "error", "not_timed") if why in entry), None)
    if missing is not None:
        return told + missing
    parts = [
        f"{told}{_milliseconds(entry)}, in a graph {_milliseconds(entry, '_in_graph')}, "
        f"floor {max(entry['floor'].values()) * 1e3:.3f} ms"
    ]
    for peer in entry["peers"]:
        ratios = [peer.get(f"ratio_of_{name}{more}") for more in ("", "_in_graph") for name in _NAMES]
        told = peer.get("not_timed") or ", ".join("-" if each is None else f"{each:.2f}" for each in ratios)
        parts.append(f"{peer['name']} in {peer['dtype']}: {told}")
    return "; ".join(parts)


def _milliseconds(entry: dict[str, Any], more: str = "") -> str:
    times = (entry.get(name + more) for name in _NAMES)
    return " and ".join("-" if each is None else f"{each * 1e3:.3f}" for each in times) + " ms"


def _usable() -> bool:
    """Whether the GPU goes on after an error: some leave it unusable to their process."""
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        return bool(torch.ones(1, device="cuda").item())
    except RuntimeError:
        return False


def _begin_anew(arguments: Sequence[str] | None, deadline: float) -> None:
    """Become a new process, which goes on with the cases that are left."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    more = ["--go-on", "--seconds", str(max(deadline - time.monotonic(), 0.0))]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "benchmarks.gpu", *given, *more])


def _gpu() -> dict[str, Any]:
    from striate.ops import _triton

    at = torch.cuda.get_device_properties(0)
    asked = "driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.memory,power.limit,temperature.gpu"
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
        "cudnn": torch.backends.cudnn.version(),
        "triton": _triton.triton.__version__,
        **{name: _version(name) for name in ("torchvision", "DCNv4")},
        asked: told,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
