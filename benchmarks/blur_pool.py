"""Anti-aliased strides against a reflection and PyTorch's depthwise convolution, as antialiased-cnns composes them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch
from striate.ops.blur_pool import blur_pool2d


def _filters(kernel: int, channels: int) -> Tensor:
    row = torch.ones(1)
    for _ in range(kernel - 1):
        row = (F.pad(row, [0, 1]) + F.pad(row, [1, 0])) / 2
    return torch.outer(row, row).expand(channels, 1, kernel, kernel).contiguous()


def _case(kernel: int, *, last: bool = False) -> Case:
    def on(function: Callable[[Tensor], Tensor]) -> Work:
        input = torch.randn(8, 64, 56, 56)
        return on_torch(function, *(channels_last(input) if last else (input,)))

    def composed() -> Work:
        low, high = (kernel - 1) // 2, kernel // 2
        (weight,) = channels_last(_filters(kernel, 64)) if last else (_filters(kernel, 64),)
        sides = [low, high, low, high]
        return on(lambda input: F.conv2d(F.pad(input, sides, "reflect"), weight, stride=2, groups=64))

    return Case(
        name=f"8×64×56², {kernel}×{kernel} s2" + ", channels-last" * last,
        ours=lambda: on(lambda input: blur_pool2d(input, kernel)),
        peers=(Peer(name="torch.nn, composed", make=composed, target=Target(ratio=1.0, with_backward=1.0)),),
        floor="reading the input once",
    )


TOPIC = Topic(
    tests=("tests/ops/test_blur_pool.py",),
    cases=(_case(3), _case(4), _case(5), _case(3, last=True), _case(4, last=True)),
    scalings=(
        Scaling(
            name="3×3 s2",
            make=lambda batch, channels, side: on_torch(blur_pool2d, torch.randn(batch, channels, side, side)),
            batch=8,
            channels=64,
            side=56,
        ),
    ),
)
