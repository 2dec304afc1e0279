"""Maxima of windows against PyTorch's in both memory formats, ONNX Runtime and JAX."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.jax_on_cpu import on_jax
from benchmarks.peers.onnx_runtime import on_onnx_runtime
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch
from striate.ops.max_pool import max_pool1d, max_pool2d, max_pool3d

_OURS = (max_pool1d, max_pool2d, max_pool3d)
_TORCH = (F.max_pool1d, F.max_pool2d, F.max_pool3d)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One layer."""

    name: str
    shape: tuple[int, ...]
    kernel: int
    stride: int
    padding: int
    target: Target
    last: bool = False

    @property
    def axes(self) -> int:
        """How many there are."""
        return len(self.shape) - 2

    def input(self, *, last: bool) -> Tensor:
        """The numbers, in a memory format."""
        input = torch.randn(self.shape)
        return channels_last(input)[0] if last else input


def _ours(row: _Row) -> Work:
    settings = row.kernel, row.stride, row.padding
    return on_torch(lambda x: _OURS[row.axes - 1](x, *settings), row.input(last=row.last))


def _torch(row: _Row, *, last: bool) -> Work:
    settings = row.kernel, row.stride, row.padding
    return on_torch(lambda x: _TORCH[row.axes - 1](x, *settings), row.input(last=last))


def _onnx(row: _Row) -> Work:
    kernel, stride, pads = [row.kernel] * row.axes, [row.stride] * row.axes, [row.padding] * 2 * row.axes
    return on_onnx_runtime("MaxPool", row.input(last=False), kernel_shape=kernel, strides=stride, pads=pads)


def _jax(row: _Row) -> Work:
    def function(input: Any) -> Any:
        from jax import lax

        window, stride = (1, 1, *[row.kernel] * row.axes), (1, 1, *[row.stride] * row.axes)
        sides = [(0, 0), (0, 0), *[(row.padding, row.padding)] * row.axes]
        return lax.reduce_window(input, -float("inf"), lax.max, window, stride, sides)

    return on_jax(function, row.input(last=False))


def _case(row: _Row) -> Case:
    peers = [Peer(name="torch.nn", make=lambda: _torch(row, last=row.last), target=row.target)]
    if row.axes > 1 and not row.last:
        peers.append(Peer(name="torch.nn, channels-last", make=lambda: _torch(row, last=True)))
    if not row.last:
        peers.append(Peer(name="ONNX Runtime", make=lambda: _onnx(row), needs=("onnx", "onnxruntime")))
        peers.append(Peer(name="JAX", make=lambda: _jax(row), needs=("jax",)))
    numbers = torch.Size(row.shape).numel() / 1e6
    return Case(name=row.name, ours=lambda: _ours(row), peers=tuple(peers), floor=f"{numbers:.1f} million numbers read")


_SERIAL = Target(ratio=0.9, with_backward=2)
_NCHW, _LAST = Target(ratio=3, with_backward=2), Target(ratio=0.9, with_backward=0.9)
_PICTURES, _SERIES, _CLIPS = (8, 64, 56, 56), (16, 64, 4096), (2, 32, 16, 28, 28)
_ROWS = (
    _Row(name="2×2, 8×64×56², NCHW", shape=_PICTURES, kernel=2, stride=2, padding=0, target=_NCHW),
    _Row(name="3×3 stride 2, 8×64×56², NCHW", shape=_PICTURES, kernel=3, stride=2, padding=1, target=_NCHW),
    _Row(name="7×7 stride 1, 8×64×56², NCHW", shape=_PICTURES, kernel=7, stride=1, padding=3, target=_NCHW),
    _Row(name="2×2, 8×64×56², channels-last", shape=_PICTURES, kernel=2, stride=2, padding=0, target=_LAST, last=True),
    _Row(
        name="3×3 stride 2, 8×64×56², channels-last",
        shape=_PICTURES,
        kernel=3,
        stride=2,
        padding=1,
        target=_LAST,
        last=True,
    ),
    _Row(name="1-D, 2 taps, 16×64×4096", shape=_SERIES, kernel=2, stride=2, padding=0, target=_SERIAL),
    _Row(name="3-D, 2×2×2, 2×32×16×28², NCHW", shape=_CLIPS, kernel=2, stride=2, padding=0, target=_NCHW),
    _Row(
        name="3-D, 2×2×2, 2×32×16×28², channels-last",
        shape=_CLIPS,
        kernel=2,
        stride=2,
        padding=0,
        target=_LAST,
        last=True,
    ),
)


def _layer(batch: int, channels: int, side: int) -> Work:
    return on_torch(lambda x: max_pool2d(x, 2), torch.randn(batch, channels, side, side))


TOPIC = Topic(
    tests=("tests/ops/test_max_pool.py",),
    cases=tuple(map(_case, _ROWS)),
    scalings=(Scaling(name="2×2, NCHW", make=_layer, batch=8, channels=64, side=56),),
)
