"""Deformable aggregation, DCNv3's and DCNv4's weighted sum, against torchvision and against its definition."""

from functools import partial

import torch
from torch import Tensor

from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch, stray
from striate.ops.deform_aggregate import deform_aggregate2d, reference

_TARGET = Target(ratio=20, with_backward=20)


def _tensors(batch: int, channels: int, side: int, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Input, offset and mask of 3×3 taps."""
    offset = stray(batch, groups * 18, side, side)
    return torch.randn(batch, channels, side, side), offset, torch.rand(batch, groups * 9, side, side)


def _ours(batch: int, channels: int, side: int, groups: int, *, last: bool = False) -> Work:
    input, *moves = _tensors(batch, channels, side, groups)
    if last:
        (input,) = channels_last(input)
    return on_torch(lambda i, o, m: deform_aggregate2d(i, o, m, 3, padding=1, groups=groups), input, *moves)


def _definition(batch: int, channels: int, side: int, groups: int) -> Work:
    both = [3, 3], [1, 1], [1, 1], [1, 1]
    tensors = _tensors(batch, channels, side, groups)
    return on_torch(lambda i, o, m: reference.deform_aggregate(i, o, m, *both, groups, 1.0, False), *tensors)


def _torchvision(batch: int, channels: int, side: int, groups: int) -> Work:
    from benchmarks.peers.torchvision_on_cpu import ops

    ones = torch.ones(channels, 1, 3, 3)
    tensors = _tensors(batch, channels, side, groups)
    return on_torch(lambda i, o, m: ops.deform_conv2d(i, o, ones, padding=1, mask=m), *tensors)


def _case(batch: int, channels: int, side: int, groups: int, *, last: bool = False) -> Case:
    sizes = batch, channels, side, groups
    name = "torchvision, depthwise weights of 1"
    peers = (
        Peer(name=name, make=partial(_torchvision, *sizes), target=_TARGET, needs=("torchvision",)),
        Peer(name="the definition in PyTorch", make=partial(_definition, *sizes), target=_TARGET),
    )
    layout = "channels-last" if last else "NCHW"
    return Case(
        name=f"3×3, {groups} groups, {batch}×{channels}×{side}², {layout}",
        ours=lambda: _ours(*sizes, last=last),
        peers=peers,
        floor="each output is a sum of 36 numbers, read from the caches",
        budget=40.0,
    )


TOPIC = Topic(
    tests=("tests/ops/test_deform_aggregate.py",),
    cases=(_case(8, 64, 56, 4), _case(8, 64, 56, 4, last=True), _case(2, 256, 28, 16)),
    scalings=(
        Scaling(
            name="3×3, 4 groups", make=lambda batch, channels, side: _ours(batch, channels, side, 4), batch=8,
            channels=64, side=28,
        ),
    ),
)  # fmt: skip
