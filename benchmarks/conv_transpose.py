"""Transposed convolution against `torch.nn` in the same memory format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from striate.ops.conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d

_OURS = (conv_transpose1d, conv_transpose2d, conv_transpose3d)
_TORCH = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
_EQUAL = Target(ratio=0.97, with_backward=0.97)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One layer that multiplies every axis by its stride."""

    name: str
    sizes: Sequence[int]
    out: int
    kernel: int
    stride: int = 2
    target: Target = _EQUAL
    groups: int = 1
    channels_last: bool = False
    floor: str = "the same product: PyTorch's own kernel"


def _work(row: _Row, function: Callable[..., Tensor]) -> Work:
    generator = torch.Generator().manual_seed(0)
    layout = torch.channels_last if row.channels_last else torch.contiguous_format
    input = torch.randn(*row.sizes, generator=generator).contiguous(memory_format=layout).requires_grad_()
    kernel = (row.kernel,) * (len(row.sizes) - 2)
    weight = torch.randn(row.sizes[1], row.out // row.groups, *kernel, generator=generator).requires_grad_()
    bias = torch.randn(row.out, generator=generator).requires_grad_()
    settings: dict[str, Any] = {
        "stride": row.stride, "padding": (row.kernel - row.stride) // 2, "groups": row.groups
    }  # fmt: skip
    grad = torch.ones_like(function(input, weight, bias, **settings))

    def forward() -> None:
        with torch.no_grad():
            function(input, weight, bias, **settings)

    def both() -> None:
        torch.autograd.grad(function(input, weight, bias, **settings), (input, weight, bias), grad)

    return Work(run=forward, with_backward=both)


def _case(row: _Row) -> Case:
    axes = len(row.sizes) - 3
    return Case(
        name=row.name,
        ours=lambda: _work(row, _OURS[axes]),
        peers=(Peer(name="torch.nn", make=lambda: _work(row, _TORCH[axes]), target=row.target),),
        floor=row.floor,
    )


_ROWS = (
    _Row(
        name="2×2 s2, 64→64, 8×64×56², NCHW",
        sizes=(8, 64, 56, 56),
        out=64,
        kernel=2,
        target=Target(ratio=6, with_backward=3),
        floor="0.82 billion operations and a write of 25.7 MB",
    ),
    _Row(
        name="4×4 s2 p1, 64→64, 8×64×56², NCHW",
        sizes=(8, 64, 56, 56),
        out=64,
        kernel=4,
        target=Target(ratio=4, with_backward=2.2),
        floor="3.3 billion operations and a write of 25.7 MB",
    ),
    _Row(name="2×2 s2, 64→64, 8×64×56², channels-last", sizes=(8, 64, 56, 56), out=64, kernel=2, channels_last=True),
    _Row(name="4×4 s2 p1, 64→64, 8×64×56², channels-last", sizes=(8, 64, 56, 56), out=64, kernel=4, channels_last=True),
    _Row(name="2×2 s2, 512→256, 2×512×14², NCHW", sizes=(2, 512, 14, 14), out=256, kernel=2),
    _Row(name="4×4 s2 p1 in 4 groups, 8×64×56², NCHW", sizes=(8, 64, 56, 56), out=64, kernel=4, groups=4),
    _Row(name="1-D, 2 taps s2, 16×64×1024", sizes=(16, 64, 1024), out=64, kernel=2),
    _Row(name="1-D, 16 taps s8 p4, 8×128×256", sizes=(8, 128, 256), out=64, kernel=16, stride=8),
    _Row(name="3-D 2×2×2 s2, 2×32×8×28²", sizes=(2, 32, 8, 28, 28), out=32, kernel=2),
)

TOPIC = Topic(tests=("tests/ops/test_conv_transpose.py",), cases=tuple(map(_case, _ROWS)))
