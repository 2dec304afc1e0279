"""Gaussian averages against PyTorch's depthwise convolution with the same weights."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch
from striate.ops.gaussian_pool import gaussian_pool2d

_SIGMA = 1.2


def _taps(kernel: int, sigma: Tensor) -> Tensor:
    centred = torch.arange(kernel) - (kernel - 1) / 2
    return torch.softmax(-(centred / sigma).square() / 2, 0)


def _by_conv(input: Tensor, sigma: Tensor, kernel: int, stride: int) -> Tensor:
    weight = torch.outer(_taps(kernel, sigma), _taps(kernel, sigma)).expand(input.shape[1], 1, kernel, kernel)
    return F.conv2d(input, weight, stride=stride, padding=kernel // 2, groups=input.shape[1])


def _case(kernel: int, stride: int, *, learned: bool = False, last: bool = False) -> Case:
    def on(function: Callable[..., Tensor]) -> Work:
        input, sigma = torch.randn(8, 64, 56, 56), torch.tensor(_SIGMA)
        (input,) = channels_last(input) if last else (input,)
        if learned:
            return on_torch(function, input, sigma)
        return on_torch(lambda input: function(input, sigma), input)

    return Case(
        name=f"8×64×56², {kernel}×{kernel} s{stride}" + ", sigma learned" * learned + ", channels-last" * last,
        ours=lambda: on(lambda input, sigma: gaussian_pool2d(input, kernel, stride, kernel // 2, sigma=sigma)),
        peers=(
            Peer(
                name="torch.nn, depthwise",
                make=lambda: on(lambda input, sigma: _by_conv(input, sigma, kernel, stride)),
                target=Target(ratio=1.0, with_backward=1.0),
            ),
        ),
        floor="reading the input once",
    )


TOPIC = Topic(
    tests=("tests/ops/test_gaussian_pool.py",),
    cases=(
        _case(3, 2),
        _case(5, 2),
        _case(15, 1),
        _case(5, 1, learned=True),
        _case(3, 2, last=True),
        _case(15, 1, last=True),
        _case(5, 1, learned=True, last=True),
    ),
    scalings=(
        Scaling(
            name="5×5 s1, same size",
            make=lambda batch, channels, side: on_torch(
                lambda input: gaussian_pool2d(input, 5, 1, "same"), torch.randn(batch, channels, side, side)
            ),
            batch=8,
            channels=64,
            side=56,
        ),
    ),
)
