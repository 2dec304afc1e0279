"""Which room of an operator runs: its kernels for CPUs or those for GPUs."""

import functools
import importlib
from typing import Any

from torch import Tensor

DEVICES = ("cpu", "cuda")
"""Where operators have kernels of their own."""


def room(operator: str, like: Tensor) -> Any:
    """The module of an operator's kernels for the device of a tensor, imported when it is first asked for."""
    return _imported(operator, kind(like))


def kind(like: Tensor) -> str:
    """The name of the room for the device of a tensor."""
    return "gpu" if like.is_cuda else "cpu"


@functools.cache
def _imported(operator: str, name: str) -> Any:
    return importlib.import_module(f"striate.ops.{operator}.{name}")
