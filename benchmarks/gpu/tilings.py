"""Kernels that are launched with the fastest of some tilings, and which one that was."""

import sys
from typing import Any

from striate.ops import _triton


def kernels() -> dict[str, Any]:
    """The tuned kernels of all rooms that have been imported, by name."""
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("striate.ops."):
            for each in vars(module).values():
                if isinstance(each, _triton._Tuned):
                    found[each._kernel.__name__] = each
    return found


def forget() -> None:
    """Let `chosen` tell of later launches only."""
    for kernel in kernels().values():
        if kernel._measured is not None:
            kernel._measured.best_config = None


def chosen() -> dict[str, dict[str, int]]:
    """With which tiling each tuned kernel was launched last."""
    found = {}
    for name, kernel in kernels().items():
        config = getattr(kernel._measured, "best_config", None)
        if config is not None:
            found[name] = {**config.kwargs, "num_warps": config.num_warps, "num_stages": config.num_stages}
    return found
