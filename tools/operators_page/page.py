"""The page itself: the table of operators, the sweep's counts, the speeds."""

import datetime
import importlib.metadata
import os
import platform
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from benchmarks.runner import record

from operators_page import speeds
from operators_page.cells import AXES, COLUMNS, Cell, cells_of, cells_of_peer
from operators_page.rows import Row

_PACKAGES = ("torch", "numpy", "numba", "onnxruntime", "torchvision", "jax")
_LEGEND = """\
Every cell is what one run on this machine said; "no" has its reason below the table. "–": there is nothing to ask.
Peers get the very tensors of ours, and along their axes their results must be ours as well. `conv4d` has four axes: of
it everything but the first three is asked.

- **1-D**, **2-D**, **3-D**: the gradients of all inputs are those of finite differences, in float64.
- **double backward**, **forward-mode**: so are the gradients of the gradients, and the tangents.
- **bfloat16**: results and gradients are near those in float64.
- **compile**: `torch.compile` of one full graph, with sizes that change, gives the results and gradients of eager code;
  in JAX `jit`, compiled for each size.
- **ONNX**: a plain `torch.onnx.export(dynamo=True)` runs in ONNX Runtime, with the same results.
- **deterministic**: results and gradients have the same bits at every run; **threads**: also with 1 thread and with 2.
"""

Check = Callable[[random.Random], None]


@dataclass(frozen=True, slots=True)
class Count:
    """How many configurations were drawn, and which seeds found a difference."""

    drawn: int
    failed: tuple[int, ...]


def lines_of(row: Row) -> Iterator[tuple[str, str, dict[str, Cell]]]:
    """The lines of a row: operator, whose it is, and the cells; ours first."""
    yield row.name, "striate", cells_of(row)
    for peer in row.peers:
        yield "", peer.name, cells_of_peer(row, peer)


def table(lines: Iterable[tuple[str, str, Mapping[str, Cell]]]) -> str:
    """The lines as Markdown, with the reasons of each "no" as notes below."""
    notes: dict[str, int] = {}
    rows = []
    for operator, whose, cells in lines:
        texts = []
        for cell in cells.values():
            numbers = [notes.setdefault(reason, len(notes) + 1) for reason in cell.reasons]
            texts.append(cell.text + "".join(f"[^{number}]" for number in numbers))
        rows.append((f"`{operator}`" if operator else "", whose, *texts))
    written = speeds.table(("operator", "", *AXES, *COLUMNS), rows)
    below = "\n".join(f"[^{number}]: {reason}" for reason, number in notes.items())
    return f"{written}\n\n{below}" if notes else written


def count(checks: Mapping[str, Check], draws: int) -> dict[str, Count]:
    """Draw the configurations of `make sweep`, as many as are wished of each check."""
    found = {}
    for name, check in checks.items():
        failed = []
        for seed in range(1000, 1000 + draws):
            try:
                check(random.Random(f"{name} {seed}"))
            except Exception:
                failed.append(seed)
        found[name] = Count(draws, tuple(failed))
    return found


def sweep(counts: Mapping[str, Count]) -> str:
    """The counts as Markdown, with their sum."""
    rows = [
        (name, str(count.drawn), str(count.drawn - len(count.failed)), ", ".join(map(str, count.failed)))
        for name, count in counts.items()
    ]
    drawn = sum(count.drawn for count in counts.values())
    agreed = drawn - sum(len(count.failed) for count in counts.values())
    return speeds.table(
        ("check", "drawn", "agreed", "seeds that did not"), [*rows, ("all", f"{drawn}", f"{agreed}", "")]
    )


def machine() -> str:
    """The processor, the versions and the day; no names of hosts."""
    versions = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} not installed")
    cpu, cores = record.machine({})["cpu"], len(os.sched_getaffinity(0))
    return f"{cpu}, {cores} cores; {', '.join(versions)}; {datetime.datetime.now(datetime.UTC).date()}."


def whole(rows: Iterable[Row], checks: Mapping[str, Check], draws: int, results: Path) -> str:
    """Run everything, and return the page."""
    torch.set_num_threads(1)
    timed = [speeds.markdown(name, *found) for name, found in speeds.newest(results).items()]
    parts = [
        "# Operators",
        "Written by `make docs` from what it ran, not by hand.",
        machine(),
        "## What each can do",
        _LEGEND.rstrip(),
        table(line for row in rows for line in lines_of(row)),
        "## Random configurations",
        "Drawn as `make sweep` draws them, each compared with an independent definition: outputs and all gradients.",
        sweep(count(checks, draws)),
        "## Speed",
        "The newest that `python -m benchmarks --json NAME.json` has recorded, each after the tests of its topic; a\n"
        "ratio is the peer's time / ours, and a row that loses is shown like one that wins.",
        *(timed or ["Nothing is recorded yet."]),
    ]
    return "\n\n".join(parts) + "\n"
