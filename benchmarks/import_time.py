"""What it costs to begin: each repeat is a process of its own."""

import subprocess
import sys
from collections.abc import Callable

from benchmarks.runner.case import Case, Peer, Target, Topic, Work


def _process(*arguments: str) -> Callable[[], Work]:
    def run() -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    return lambda: Work(run=run)


TOPIC = Topic(
    tests=("tests/cli", "tests/test_architecture.py"),
    cases=(
        Case(
            name="import striate after torch",
            ours=_process("-c", "import torch, striate"),
            peers=(Peer(name="import torch", make=_process("-c", "import torch"), target=Target(extra_seconds=0.06)),),
            floor="import torch itself: striate loads its parts at their first use",
        ),
        Case(
            name="import striate.training after torch",
            ours=_process("-c", "import torch, striate.training"),
            peers=(Peer(name="import torch", make=_process("-c", "import torch"), target=Target(extra_seconds=0.3)),),
            floor="import torch, numpy and Pillow",
        ),
        Case(
            name="striate --help",
            ours=_process("-c", "from striate.cli import main; main()", "--help"),
            peers=(
                Peer(name="import torch", make=_process("-c", "import torch"), target=Target(ratio=4.0)),
                Peer(name="import typer", make=_process("-c", "import typer"), target=Target(extra_seconds=0.1)),
            ),
            floor="an interpreter and import typer: help needs no torch",
        ),
    ),
)
