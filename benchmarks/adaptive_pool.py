"""Adaptive pooling, which is PyTorch's own behind our door, against PyTorch's."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch
from striate.ops.adaptive_pool import adaptive_avg_pool2d, adaptive_max_pool2d

_FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "average": (adaptive_avg_pool2d, F.adaptive_avg_pool2d),
    "max": (adaptive_max_pool2d, F.adaptive_max_pool2d),
}


def _case(kind: str, outputs: int, *, last: bool = False) -> Case:
    ours, theirs = _FUNCTIONS[kind]

    def on(function: Callable[..., Tensor]) -> Work:
        input = torch.randn(8, 64, 56, 56)
        return on_torch(lambda input: function(input, outputs), *(channels_last(input) if last else (input,)))

    return Case(
        name=f"{kind}, 8×64×56² to {outputs}²" + ", channels-last" * last,
        ours=lambda: on(ours),
        peers=(Peer(name="torch.nn", make=lambda: on(theirs), target=Target(ratio=0.97, with_backward=0.97)),),
        floor="reading the input once",
    )


TOPIC = Topic(
    tests=("tests/ops/test_adaptive_pool.py",),
    cases=(
        _case("average", 7),
        _case("max", 7),
        _case("max", 13),
        _case("average", 7, last=True),
        _case("max", 7, last=True),
    ),
    scalings=(
        Scaling(
            name="max to 7²",
            make=lambda batch, channels, side: on_torch(
                lambda input: adaptive_max_pool2d(input, 7), torch.randn(batch, channels, side, side)
            ),
            batch=8,
            channels=64,
            side=56,
        ),
    ),
)
