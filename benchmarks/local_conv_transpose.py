"""Transposed unshared convolution against `einsum` and `fold` in PyTorch."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from benchmarks.runner.contender import on_torch
from striate.ops.local_conv_transpose import local_conv_transpose2d


def _tensors(batch: int, channels: int, side: int) -> tuple[Tensor, Tensor]:
    """Input and weights of 3×3 taps."""
    return torch.randn(batch, channels, side, side), torch.randn(side, side, channels, channels, 3, 3)


def _ours(batch: int, channels: int, side: int) -> Work:
    return on_torch(lambda i, w: local_conv_transpose2d(i, w, padding=1), *_tensors(batch, channels, side))


def _folded(input: Tensor, weight: Tensor) -> Tensor:
    columns = torch.einsum("niyx,yxik->nkyx", input, weight.flatten(3))
    return F.fold(columns.flatten(2), input.shape[2:], 3, padding=1)


def _case(batch: int, channels: int, side: int) -> Case:
    sizes = batch, channels, side
    target = Target(ratio=6, with_backward=6)
    make = lambda: on_torch(_folded, *_tensors(*sizes))  # noqa: E731
    return Case(
        name=f"3×3, {channels}→{channels}, {batch}×{channels}×{side}²",
        ours=partial(_ours, *sizes),
        peers=(Peer(name="einsum and fold", make=make, target=target),),
        floor=f"a read of {side**2 * channels**2 * 36 / 1e6:.0f} MB of weights forward, two and a write in all",
    )


TOPIC = Topic(tests=("tests/ops/test_local_conv_transpose.py",), cases=(_case(8, 32, 28), _case(1, 32, 28)))
