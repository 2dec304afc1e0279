"""Convolution against `torch.nn` in the same memory format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from striate.ops.conv import conv1d, conv2d, conv3d

_OURS = (conv1d, conv2d, conv3d)
_TORCH = (F.conv1d, F.conv2d, F.conv3d)
_EQUAL = Target(ratio=0.97, with_backward=0.97)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One layer, padded so that the size stays."""

    name: str
    sizes: Sequence[int]
    out: int
    kernel: Sequence[int]
    target: Target
    dilation: int = 1
    stride: int = 1
    groups: int = 1
    channels_last: bool = False
    floor: str = "the same product: PyTorch's own kernel"


def _work(row: _Row, function: Callable[..., Tensor]) -> Work:
    generator = torch.Generator().manual_seed(0)
    layout = torch.channels_last if row.channels_last else torch.contiguous_format
    input = torch.randn(*row.sizes, generator=generator).contiguous(memory_format=layout).requires_grad_()
    weight = torch.randn(row.out, row.sizes[1] // row.groups, *row.kernel, generator=generator)
    weight = weight.contiguous(memory_format=layout).requires_grad_()
    padding = tuple(row.dilation * (size - 1) // 2 for size in row.kernel)
    settings: dict[str, Any] = {
        "stride": row.stride, "padding": padding, "dilation": row.dilation, "groups": row.groups
    }  # fmt: skip
    grad = torch.ones_like(function(input, weight, **settings))

    def forward() -> None:
        with torch.no_grad():
            function(input, weight, **settings)

    def both() -> None:
        torch.autograd.grad(function(input, weight, **settings), (input, weight), grad)

    return Work(run=forward, with_backward=both)


def _case(row: _Row) -> Case:
    axes = len(row.kernel) - 1
    return Case(
        name=row.name,
        ours=lambda: _work(row, _OURS[axes]),
        peers=(Peer(name="torch.nn", make=lambda: _work(row, _TORCH[axes]), target=row.target),),
        floor=row.floor,
    )


def _depthwise(kernel: int, forward: float, both: float, *, channels_last: bool) -> _Row:
    name = f"depthwise {kernel}×{kernel}, 8×64×56², {'channels-last' if channels_last else 'NCHW'}"
    return _Row(
        name=name,
        sizes=(8, 64, 56, 56),
        out=64,
        kernel=(kernel, kernel),
        groups=64,
        channels_last=channels_last,
        target=Target(ratio=forward, with_backward=both),
        floor="three reads and writes of 6.4 MB, or three times 2 × 1.6 million × taps operations",
    )


_ROWS = (
    _depthwise(3, 1, 1.5, channels_last=False),
    _depthwise(7, 1, 6, channels_last=False),
    _depthwise(31, 20, 25, channels_last=False),
    _depthwise(3, 1, 1.5, channels_last=True),
    _depthwise(7, 1, 4, channels_last=True),
    _depthwise(31, 1, 15, channels_last=True),
    _Row(
        name="depthwise 3×3×3, 2×32×16×56²",
        sizes=(2, 32, 16, 56, 56),
        out=32,
        kernel=(3, 3, 3),
        groups=32,
        target=Target(ratio=1.5, with_backward=8),
        floor="reads and writes of 12.8 MB",
    ),
    _Row(
        name="depthwise 257 taps, 16×64×1024",
        sizes=(16, 64, 1024),
        out=64,
        kernel=(257,),
        groups=64,
        target=Target(ratio=12, with_backward=10),
        floor="540 million operations, or spectra of 1,024 series",
    ),
    _Row(name="standard 3×3, 8×64×56², NCHW", sizes=(8, 64, 56, 56), out=64, kernel=(3, 3), target=_EQUAL),
    _Row(
        name="standard 3×3, 8×64×56², channels-last",
        sizes=(8, 64, 56, 56),
        out=64,
        kernel=(3, 3),
        channels_last=True,
        target=_EQUAL,
    ),
    _Row(name="dilated 3×3 by 2, 8×64×56²", sizes=(8, 64, 56, 56), out=64, kernel=(3, 3), dilation=2, target=_EQUAL),
    _Row(name="grouped 3×3, 2 groups, 8×64×56²", sizes=(8, 64, 56, 56), out=64, kernel=(3, 3), groups=2, target=_EQUAL),
    _Row(name="pointwise 1×1, 8×64×56²", sizes=(8, 64, 56, 56), out=64, kernel=(1, 1), target=_EQUAL),
    _Row(name="1-D, 9 taps, 16×64×1024", sizes=(16, 64, 1024), out=64, kernel=(9,), target=_EQUAL),
    _Row(name="3-D 3×3×3, 2×16×16×28²", sizes=(2, 16, 16, 28, 28), out=16, kernel=(3, 3, 3), target=_EQUAL),
)

TOPIC = Topic(tests=("tests/ops/test_conv.py",), cases=tuple(map(_case, _ROWS)))
