"""Unshared convolution against windows times weights by `unfold` and `einsum`, and JAX."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.jax_on_cpu import on_jax
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import on_torch
from striate.ops.local_conv import local_conv1d, local_conv2d, local_conv3d

_OURS = (local_conv1d, local_conv2d, local_conv3d)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One layer with odd kernels, padded so that the size stays."""

    name: str
    sizes: Sequence[int]
    out: int
    kernel: int = 3
    groups: int = 1
    unfold: Target
    jax: Target = Target()
    floor: str

    @property
    def axes(self) -> int:
        """How many there are."""
        return len(self.sizes) - 2

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Input and weight."""
        places, taps = self.sizes[2:], (self.kernel,) * self.axes
        return torch.randn(*self.sizes), torch.randn(*places, self.out, self.sizes[1] // self.groups, *taps)


def _ours(row: _Row) -> Work:
    function = _OURS[row.axes - 1]
    return on_torch(lambda i, w: function(i, w, padding=row.kernel // 2, groups=row.groups), *row.tensors)


def _unfold(row: _Row) -> Work:
    batch, _, *places = row.sizes

    def function(input: Tensor, weight: Tensor) -> Tensor:
        if row.axes == 2:
            columns = F.unfold(input, row.kernel, padding=row.kernel // 2)
        else:
            columns = F.pad(input, [row.kernel // 2] * 2 * row.axes)
            for axis in range(2, row.axes + 2):
                columns = columns.unfold(axis, row.kernel, 1)
            columns = columns.movedim(tuple(range(-row.axes, 0)), tuple(range(2, row.axes + 2)))
        columns = columns.reshape(batch, row.groups, -1, weight.shape[: row.axes].numel())
        filters = weight.reshape(columns.shape[3], row.groups, -1, columns.shape[2])
        return torch.einsum("ngkp,pgok->ngop", columns, filters).reshape(batch, row.out, *places)

    return on_torch(function, *row.tensors)


def _jax(row: _Row) -> Work:
    letters = "DHW"[3 - row.axes :]
    numbers = f"NC{letters}", f"{letters}OI", f"NC{letters}"

    def function(input: Any, weight: Any) -> Any:
        from jax import lax

        kernel = (row.kernel,) * row.axes
        filters = weight.reshape(*weight.shape[: row.axes + 1], -1)
        pads = [(row.kernel // 2, row.kernel // 2)] * row.axes
        return lax.conv_general_dilated_local(input, filters, [1] * row.axes, pads, kernel, dimension_numbers=numbers)

    return on_jax(function, *row.tensors)


def _case(row: _Row) -> Case:
    peers = [Peer(name="unfold, einsum", make=lambda: _unfold(row), target=row.unfold)]
    if row.groups == 1:
        peers.append(Peer(name="JAX", make=lambda: _jax(row), target=row.jax, needs=("jax",)))
    return Case(name=row.name, ours=lambda: _ours(row), peers=tuple(peers), floor=row.floor)


_EQUAL = Target(ratio=1, with_backward=1)
_ROWS = (
    _Row(
        name="3×3, 32→32, 28², N 8",
        sizes=(8, 32, 28, 28),
        out=32,
        unfold=Target(ratio=6, with_backward=6),
        jax=Target(ratio=8, with_backward=20),
        floor="28.9 MB of weights read, and with gradients read again and written; 116 million operations each time",
    ),
    _Row(
        name="3×3, 32→32, 28², N 1",
        sizes=(1, 32, 28, 28),
        out=32,
        unfold=Target(ratio=3, with_backward=2),
        floor="28.9 MB of weights read, and with gradients read again and written",
    ),
    _Row(
        name="3×3, 32→32, 28², N 64",
        sizes=(64, 32, 28, 28),
        out=32,
        unfold=Target(ratio=2, with_backward=2),
        floor="925 million operations, three times with gradients",
    ),
    _Row(
        name="9×9, 16→16, 25², N 8",
        sizes=(8, 16, 25, 25),
        out=16,
        kernel=9,
        unfold=_EQUAL,
        floor="51.8 MB of weights read, and with gradients read again and written; 207 million operations each time",
    ),
    _Row(
        name="depthwise 3×3, 8×64×56²",
        sizes=(8, 64, 56, 56),
        out=64,
        groups=64,
        unfold=Target(ratio=6, with_backward=6),
        floor="7.2 MB of weights read, two reads and writes of 6.4 MB",
    ),
    _Row(
        name="1-D, 9 taps, 8×32×512",
        sizes=(8, 32, 512),
        out=32,
        kernel=9,
        unfold=_EQUAL,
        floor="18.9 MB of weights read, and with gradients read again and written",
    ),
    _Row(
        name="3-D 3×3×3, 2×8×8×14²",
        sizes=(2, 8, 8, 14, 14),
        out=16,
        unfold=_EQUAL,
        floor="21.7 MB of weights read, and with gradients read again and written",
    ),
)


def _layer(batch: int, channels: int, side: int) -> Work:
    return _ours(_Row(name="", sizes=(batch, channels, side, side), out=32, unfold=Target(), floor=""))


TOPIC = Topic(
    tests=("tests/ops/test_local_conv.py",),
    cases=tuple(map(_case, _ROWS)),
    scalings=(Scaling(name="3×3, to 32 channels", make=_layer, batch=8, channels=32, side=28),),
)
