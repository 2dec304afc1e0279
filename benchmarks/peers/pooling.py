"""A pooling against PyTorch's in both memory formats, ONNX Runtime's and JAX's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.jax_on_cpu import on_jax
from benchmarks.peers.onnx_runtime import on_onnx_runtime
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch

_PICTURES, _SERIES, _CLIPS = (8, 64, 56, 56), (16, 64, 4096), (2, 32, 16, 28, 28)
_LAST = Target(ratio=0.9, with_backward=0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """One reduction of windows, under everyone's names.

    Args:
        ours: along one axis, two and three.
        torch: likewise.
        onnx: the node.
        attributes: of the node, beside the window's.
        jax: of the input, and the window, strides and padding as `reduce_window` takes them; the last is the taps.
        serial: what is wished in one dimension.
        volumes: in three, in NCDHW.
        tests: the file.
    """

    ours: Sequence[Callable[..., Tensor]]
    torch: Sequence[Callable[..., Tensor]]
    onnx: str
    attributes: Mapping[str, Any]
    jax: Callable[..., Any]
    serial: Target
    volumes: Target
    tests: str


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


def topic(pooling: Pooling) -> Topic:
    """The same layers for every pooling."""
    nchw, window = Target(ratio=3, with_backward=2), {"kernel": 2, "stride": 2, "padding": 0}
    wide = {"kernel": 3, "stride": 2, "padding": 1}
    rows = (
        _Row(name="2×2, 8×64×56², NCHW", shape=_PICTURES, target=nchw, **window),
        _Row(name="3×3 stride 2, 8×64×56², NCHW", shape=_PICTURES, target=nchw, **wide),
        _Row(name="7×7 stride 1, 8×64×56², NCHW", shape=_PICTURES, kernel=7, stride=1, padding=3, target=nchw),
        _Row(name="2×2, 8×64×56², channels-last", shape=_PICTURES, target=_LAST, last=True, **window),
        _Row(name="3×3 stride 2, 8×64×56², channels-last", shape=_PICTURES, target=_LAST, last=True, **wide),
        _Row(name="1-D, 2 taps, 16×64×4096", shape=_SERIES, target=pooling.serial, **window),
        _Row(name="3-D, 2×2×2, 2×32×16×28², NCHW", shape=_CLIPS, target=pooling.volumes, **window),
        _Row(name="3-D, 2×2×2, 2×32×16×28², channels-last", shape=_CLIPS, target=_LAST, last=True, **window),
    )

    def layer(batch: int, channels: int, side: int) -> Work:
        return on_torch(lambda x: pooling.ours[1](x, 2), torch.randn(batch, channels, side, side))

    return Topic(
        tests=(pooling.tests,),
        cases=tuple(_case(pooling, row) for row in rows),
        scalings=(Scaling(name="2×2, NCHW", make=layer, batch=8, channels=64, side=56),),
    )


def _pooled(functions: Sequence[Callable[..., Tensor]], row: _Row, *, last: bool) -> Work:
    settings = row.kernel, row.stride, row.padding
    return on_torch(lambda x: functions[row.axes - 1](x, *settings), row.input(last=last))


def _onnx(pooling: Pooling, row: _Row) -> Work:
    kernel, stride, pads = [row.kernel] * row.axes, [row.stride] * row.axes, [row.padding] * 2 * row.axes
    settings = {"kernel_shape": kernel, "strides": stride, "pads": pads, **pooling.attributes}
    return on_onnx_runtime(pooling.onnx, row.input(last=False), **settings)


def _jax(pooling: Pooling, row: _Row) -> Work:
    window, stride = (1, 1, *[row.kernel] * row.axes), (1, 1, *[row.stride] * row.axes)
    sides = [(0, 0), (0, 0), *[(row.padding, row.padding)] * row.axes]
    return on_jax(lambda input: pooling.jax(input, window, stride, sides, row.kernel**row.axes), row.input(last=False))


def _case(pooling: Pooling, row: _Row) -> Case:
    peers = [Peer(name="torch.nn", make=lambda: _pooled(pooling.torch, row, last=row.last), target=row.target)]
    if row.axes > 1 and not row.last:
        peers.append(Peer(name="torch.nn, channels-last", make=lambda: _pooled(pooling.torch, row, last=True)))
    if not row.last:
        peers.append(Peer(name="ONNX Runtime", make=lambda: _onnx(pooling, row), needs=("onnx", "onnxruntime")))
        peers.append(Peer(name="JAX", make=lambda: _jax(pooling, row), needs=("jax",)))
    numbers = torch.Size(row.shape).numel() / 1e6
    ours = lambda: _pooled(pooling.ours, row, last=row.last)  # noqa: E731
    return Case(name=row.name, ours=ours, peers=tuple(peers), floor=f"{numbers:.1f} million numbers read")
