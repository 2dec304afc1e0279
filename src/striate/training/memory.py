"""The memory that a planned run will need, found without running it."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from striate.training.mode import in_mode
from striate.training.plan import Plan

if TYPE_CHECKING:
    from striate.inspection.memory.usage import Optimizer, Usage

_INDENT = " " * 10


def describe_memory(planned: Plan, free: int | None = None) -> str:
    """What a step of a planned run takes at its largest, part by part, and whether it fits; nothing is allocated.

    Args:
        planned: the plan.
        free: bytes of memory there are; those of the plan's device if None.

    Returns:
        A few lines of text.

    Example:
        >>> from striate.training import Config, plan
        >>> print(describe_memory(plan("lenet5", "digits", Config(batch_size=10)), free=10**9).splitlines()[0])
        memory:   weights 243.2 kB, gradients 243.2 kB, optimizer 243.2 kB (momentum)
    """
    from striate.inspection import inspect
    from striate.inspection.views.quantities import short

    config, data = planned.config, planned.data
    size = (min(config.batch_size, len(data.parts["train"])), data.channels, *data.size)
    low = torch.autocast(config.device, torch.bfloat16, enabled=config.precision == "bfloat16")
    try:
        with in_mode(planned.model, training=True), low:
            usage = inspect(planned.model, size).usage
            kept, peak = usage.saved_for_backward_bytes, usage.peak_training_bytes
    except (ValueError, TypeError, RuntimeError) as error:
        return f"memory:   not known: {error}"
    if kept.value is None or peak.value is None:
        return "memory:   not known: the network has no backward pass without its numbers"
    optimizer: Optimizer = "momentum" if config.momentum else "sgd"
    held = usage.parameters_bytes + usage.buffers_bytes + usage.optimizer_bytes(optimizer)
    step = held + usage.input_bytes + peak.value
    bound = "at least " if "lower bound" in (kept.state, peak.state) else ""
    lines = [
        f"memory:   weights {short(usage.parameters_bytes, 'B', 4)}, gradients {short(usage.gradients_bytes, 'B', 4)}, "
        f"optimizer {short(usage.optimizer_bytes(optimizer), 'B', 4)} ({optimizer})",
        f"{_INDENT}kept for the backward pass {bound}{short(kept.value, 'B', 4)}, "
        f"a step at its peak {bound}{short(step, 'B', 4)}",
    ]
    free = free_bytes(config.device) if free is None else free
    if free is not None:
        fits = "it fits" if step <= free else f"it does not fit{_advice(planned, usage, free, optimizer)}"
        lines.append(f"{_INDENT}{short(free, 'B', 4)} are free on {config.device}: {fits}")
    return "\n".join(lines)


def free_bytes(device: str) -> int | None:
    """Memory that there is left to take.

    Args:
        device: "cpu" or "cuda".

    Returns:
        Bytes; None if the system does not say.

    Example:
        >>> free = free_bytes("cpu")
        >>> free is None or free > 0
        True
    """
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    known = [free for free in (_of_machine(), _of_container()) if free is not None]
    return min(known, default=None)


def _of_machine() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_container(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        limit = (folder / "memory.max").read_text().strip()
        if limit == "max":
            return None
        used = int((folder / "memory.current").read_text())
        # Files that the system has read lie there only as long as nobody needs the room.
        for line in (folder / "memory.stat").read_text().splitlines():
            if line.startswith("inactive_file "):
                used -= int(line.split()[1])
        return max(int(limit) - used, 0)
    return None


def _advice(planned: Plan, usage: "Usage", free: int, optimizer: "Optimizer") -> str:
    """What would fit."""
    with contextlib.suppress(ValueError, RuntimeError), in_mode(planned.model, training=True):
        largest = usage.largest_batch(free, optimizer)
        if largest:
            return f": the largest batch that does is {largest}"
    return ""
