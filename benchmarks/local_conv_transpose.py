"""Transposed unshared convolution against weights times inputs by `einsum`, added up by `fold`."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import on_torch
from striate.ops.local_conv_transpose import local_conv_transpose2d


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One layer over pictures that multiplies every side by its stride."""

    name: str
    sizes: Sequence[int]
    out: int
    kernel: int
    stride: int
    target: Target
    floor: str

    @property
    def padding(self) -> int:
        """Cropped from each side."""
        return (self.kernel - self.stride) // 2

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Input and weight."""
        weight = torch.randn(*self.sizes[2:], self.sizes[1], self.out, self.kernel, self.kernel)
        return torch.randn(*self.sizes), weight


def _ours(row: _Row) -> Work:
    settings = {"stride": row.stride, "padding": row.padding}
    return on_torch(lambda i, w: local_conv_transpose2d(i, w, **settings), *row.tensors)


def _fold(row: _Row) -> Work:
    batch, channels, height, width = row.sizes
    sizes = height * row.stride, width * row.stride

    def function(input: Tensor, weight: Tensor) -> Tensor:
        filters = weight.reshape(height * width, channels, -1)
        columns = torch.einsum("ncp,pck->nkp", input.reshape(batch, channels, -1), filters)
        return F.fold(columns, sizes, row.kernel, padding=row.padding, stride=row.stride)

    return on_torch(function, *row.tensors)


def _case(row: _Row) -> Case:
    peer = Peer(name="einsum, fold", make=lambda: _fold(row), target=row.target)
    return Case(name=row.name, ours=lambda: _ours(row), peers=(peer,), floor=row.floor)


_ROWS = (
    _Row(
        name="4×4 s2 p1, 32→16, 28², N 8",
        sizes=(8, 32, 28, 28),
        out=16,
        kernel=4,
        stride=2,
        target=Target(ratio=4, with_backward=4),
        floor="25.7 MB of weights read, and with gradients read again and written; 103 million operations each time",
    ),
    _Row(
        name="4×4 s2 p1, 32→16, 28², N 1",
        sizes=(1, 32, 28, 28),
        out=16,
        kernel=4,
        stride=2,
        target=Target(ratio=2, with_backward=2),
        floor="25.7 MB of weights read, and with gradients read again and written",
    ),
    _Row(
        name="3×3 s1 p1, 32→32, 28², N 8",
        sizes=(8, 32, 28, 28),
        out=32,
        kernel=3,
        stride=1,
        target=Target(ratio=4, with_backward=4),
        floor="28.9 MB of weights read, and with gradients read again and written; 116 million operations each time",
    ),
)


def _layer(batch: int, channels: int, side: int) -> Work:
    return _ours(
        _Row(name="", sizes=(batch, channels, side, side), out=16, kernel=4, stride=2, target=Target(), floor="")
    )


TOPIC = Topic(
    tests=("tests/ops/test_local_conv_transpose.py",),
    cases=tuple(map(_case, _ROWS)),
    scalings=(Scaling(name="4×4 s2 p1, to 16 channels", make=_layer, batch=8, channels=32, side=28),),
)
