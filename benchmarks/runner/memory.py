"""The memory that a contender holds beyond its inputs and results: `python -m benchmarks.runner.memory MODULE CASE`.

PyTorch's profiler and `tracemalloc` see nothing of what oneDNN, MKL, Numba's kernels, ONNX Runtime and XLA allocate.
The system's own peak of resident pages holds all of it, of every thread; it is exact to about half a MiB in a process
of its own whose allocator gives back at once what is freed.
"""

import ctypes
import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.runner.case import Topic
from benchmarks.runner.gate import ROOT
from benchmarks.runner.timing import Outcome, Times, made

_PEAK = Path("/proc/self/clear_refs")
_REPEATS = 2
_GIVE_BACK = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=65536:glibc.malloc.trim_threshold=65536",
    "MKL_DISABLE_FAST_MM": "1",
    "NUMPY_MADVISE_HUGEPAGE": "0",
}


def extra_memory(module: str, case: int) -> list[int | None]:
    """Bytes of ours and of each peer, measured in a process of its own; None where there is nothing to measure.

    Args:
        module: holds a `TOPIC`.
        case: the place of the case in it.
    """
    command = [sys.executable, "-m", "benchmarks.runner.memory", module, str(case), str(torch.get_num_threads())]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | _GIVE_BACK, stdout=subprocess.PIPE, text=True, check=True)
    found: list[int | None] = json.loads(done.stdout.splitlines()[-1])
    return found


def with_memory(outcome: Outcome, found: list[int | None]) -> Outcome:
    """The outcome with what `extra_memory` found."""
    first, *others = found
    peers: list[Times | str] = [
        times if isinstance(times, str) else replace(times, memory=bytes)
        for times, bytes in zip(outcome.peers, others, strict=True)
    ]
    return replace(outcome, ours=replace(outcome.ours, memory=first), peers=peers)


def peak(results: Callable[[], tuple[Any, ...]]) -> int | None:
    """The most bytes held at once beyond what was held before and beyond the results; None where it cannot be asked."""
    if not os.access(_PEAK, os.W_OK):
        return None
    results()
    found = 0
    for _ in range(_REPEATS):
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        _PEAK.write_text("5", encoding="ascii")
        before = _high_water_mark()
        arrays = results()
        found = max(found, _high_water_mark() - before - sum(array.nbytes for array in arrays))
        del arrays
    return found


def _high_water_mark() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def main(module: str, case: str, threads: str) -> None:
    """Print a list of bytes."""
    torch.set_num_threads(int(threads))
    topic: Topic = importlib.import_module(module).TOPIC
    chosen = topic.cases[int(case)]
    makers = [chosen.ours, *(None if peer.missing() else peer.make for peer in chosen.peers)]
    found = []
    for make in makers:
        results = None if make is None else made(make).results
        found.append(None if results is None else peak(results))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
