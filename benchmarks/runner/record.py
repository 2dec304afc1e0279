"""The JSON file: what was measured, on which machine, with which versions."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.runner import scaling
from benchmarks.runner.case import Topic
from benchmarks.runner.gate import ROOT
from benchmarks.runner.scaling import Growth
from benchmarks.runner.table import verdicts
from benchmarks.runner.timing import Outcome, Spread, Times, extra, ratio
from striate.whole_files import written_whole

FORMAT = 1
RESULTS = ROOT / "benchmarks" / "results"
_ALWAYS = ("striate", "torch", "numpy", "pillow")


def machine(topics: Mapping[str, Topic]) -> dict[str, Any]:
    """The machine, the moment and the versions, those of the peers included."""
    needed = {
        package for topic in topics.values() for case in topic.cases for peer in case.peers for package in peer.needs
    }
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "platform": platform.platform(),
        "versions": {"python": platform.python_version()}
        | {name: _version(name) for name in (*_ALWAYS, *sorted(needed))},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain")),
    }


def describe(outcome: Outcome) -> dict[str, Any]:
    """A case as plain numbers: seconds, bytes, ratios."""
    case, ours = outcome.case, outcome.ours
    peers = []
    for peer, times in zip(case.peers, outcome.peers, strict=True):
        record: dict[str, Any] = {"name": peer.name, "target": asdict(peer.target), "not_timed": None}
        if isinstance(times, str):
            record["not_timed"] = times
        else:
            record |= _times(times) | {
                "ratio": _spread(ratio(times.run, ours.run)),
                "ratio_with_backward": _spread(ratio(times.with_backward, ours.with_backward)),
                "extra_seconds": _spread(extra(ours.run, times.run)),
                "met": verdicts(peer.target, ours, times),
            }
        peers.append(record)
    amount = None if case.amount is None else {"number": case.amount[0], "of": case.amount[1]}
    return {"case": case.name, "floor": case.floor, "amount": amount, "ours": _times(ours), "peers": peers}


def describe_growth(growth: Growth) -> dict[str, Any]:
    """What was varied, step by step, as plain numbers."""
    steps = []
    for step in growth.steps:
        record: dict[str, Any] = {"at": step.at, "factor": step.factor}
        if step.times is not None:
            record |= _times(step.times) | {
                "against_first": _spread(scaling.compared(growth, step, "run")),
                "against_first_with_backward": _spread(scaling.compared(growth, step, "with_backward")),
                "met": scaling.verdicts(growth, step),
            }
        steps.append(record)
    return {"scaling": growth.scaling.name, "varied": growth.varied, "target": scaling.wish(growth), "steps": steps}


def check_writable(file: Path) -> None:
    """Make the folder of the record, and see before hours of timing that the record can be written.

    Raises:
        OSError: if it cannot.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.is_dir():
        raise OSError(f"{file} is a folder")
    if not os.access(file.parent, os.W_OK):
        raise OSError(f"{file.parent} is not writable")


def write(file: Path, record: Mapping[str, Any]) -> None:
    """Write the record whole or not at all."""
    with written_whole(file) as temporary:
        temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _times(times: Times) -> dict[str, Any]:
    spreads = {
        "seconds": Spread.of(times.run),
        "seconds_with_backward": None if times.with_backward is None else Spread.of(times.with_backward),
    }
    return {name: _spread(spread) for name, spread in spreads.items()} | {
        "rounds": len(times.run),
        "memory": times.memory,
    }


def _spread(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else asdict(spread)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """What git says, None where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
