"""Which precision is faster here, decided by measurement."""

import copy
import statistics
import time
from typing import Literal

import torch
from torch import Tensor, nn

from striate.training.loss import classification_loss

Decided = Literal["float32", "bfloat16"]


def faster_precision(model: nn.Module, pictures: Tensor, labels: Tensor, *, seconds: float = 1.0) -> Decided:
    """Time training steps in both precisions, in turn, on a copy of the model.

    Args:
        model: the network, left as it is.
        pictures: one preprocessed batch `(N, C, H, W)`, float32, on the model's device.
        labels: its classes `(N,)`.
        seconds: time to spend, about; at least one step of each is timed after one that warms up.

    Returns:
        "bfloat16" if its median step takes at most nine tenths of float32's, else "float32"; so also for a network
        that cannot run in bfloat16.

    Raises:
        RuntimeError: if the network cannot run in float32 either.
    """
    times: dict[Decided, list[float]] = {"float32": [], "bfloat16": []}
    device = pictures.device.type
    trial = copy.deepcopy(model).train()
    with torch.random.fork_rng():
        started = time.perf_counter()
        for turn in range(8):
            for precision, taken in times.items():
                begun = time.perf_counter()
                try:
                    with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                        loss, _ = classification_loss(trial(pictures), labels)
                    loss.backward()  # type: ignore[no-untyped-call]
                except RuntimeError:
                    if precision == "bfloat16":
                        return "float32"
                    raise
                if device == "cuda":
                    torch.cuda.synchronize()
                trial.zero_grad()
                if turn > 0:
                    taken.append(time.perf_counter() - begun)
            if turn > 0 and time.perf_counter() - started > seconds:
                break
    faster = statistics.median(times["bfloat16"]) <= 0.9 * statistics.median(times["float32"])
    return "bfloat16" if faster else "float32"
