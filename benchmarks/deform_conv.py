"""Deformable convolution against torchvision's CPU operator, ONNX Runtime and plain convolution of the same sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.onnx_runtime import on_onnx_runtime
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch, stray
from striate.ops.deform_conv import deform_conv1d, deform_conv2d, deform_conv3d, reference

_OURS = (deform_conv1d, deform_conv2d, deform_conv3d)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One layer with three taps an axis, modulated, padded so that the size stays."""

    name: str
    sizes: Sequence[int]
    out: int
    floor: str
    groups: int = 1
    offset_groups: int = 1
    torchvision: Target | None = None
    onnx_runtime: Target | None = None
    plain: Target | None = None
    definition: Target | None = None
    channels_last: bool = False

    @property
    def axes(self) -> int:
        """How many there are."""
        return len(self.sizes) - 2

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Input, offset, weight and mask."""
        taps, (batch, channels, *sizes) = 3**self.axes, self.sizes
        weight = torch.randn(self.out, channels // self.groups, *(3,) * self.axes)
        offset = stray(batch, self.offset_groups * taps * self.axes, *sizes)
        return torch.randn(*self.sizes), offset, weight, torch.rand(batch, self.offset_groups * taps, *sizes)


def _ours(row: _Row) -> Work:
    input, offset, weight, mask = row.tensors
    if row.channels_last:
        input, weight = channels_last(input, weight)
    function = _OURS[row.axes - 1]
    return on_torch(lambda i, o, w, m: function(i, o, w, padding=1, mask=m), input, offset, weight, mask)


def _torchvision(row: _Row) -> Work:
    from benchmarks.peers.torchvision_on_cpu import ops

    return on_torch(lambda i, o, w, m: ops.deform_conv2d(i, o, w, padding=1, mask=m), *row.tensors)


def _onnx(row: _Row) -> Work:
    input, offset, weight, mask = row.tensors
    settings: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1]}
    groups = {"group": row.groups, "offset_group": row.offset_groups}
    return on_onnx_runtime("DeformConv", input, weight, offset, None, mask, constant=(1,), **settings, **groups)


def _plain(row: _Row) -> Work:
    # It reads other pixels, so that its results are not compared.
    convolve: Sequence[Callable[..., Tensor]] = (F.conv1d, F.conv2d, F.conv3d)
    input, _, weight, _ = row.tensors
    if row.axes > 1:
        input, weight = channels_last(input, weight)
    work = on_torch(lambda i, w: convolve[row.axes - 1](i, w, padding=1, groups=row.groups), input, weight)
    return replace(work, results=None)


def _definition(row: _Row) -> Work:
    ones = [1] * row.axes
    return on_torch(lambda i, o, w, m: reference.deform_conv(i, o, w, None, m, ones, ones, ones), *row.tensors)


def _case(row: _Row) -> Case:
    peers = []
    if row.torchvision is not None:
        target = row.torchvision
        peers.append(Peer(name="torchvision", make=lambda: _torchvision(row), target=target, needs=("torchvision",)))
    if row.onnx_runtime is not None:
        needs = "onnx", "onnxruntime"
        peers.append(Peer(name="ONNX Runtime", make=lambda: _onnx(row), target=row.onnx_runtime, needs=needs))
    if row.plain is not None:
        peers.append(Peer(name="plain convolution, channels-last", make=lambda: _plain(row), target=row.plain))
    if row.definition is not None:
        target = row.definition
        peers.append(Peer(name="the definition in PyTorch", make=lambda: _definition(row), target=target))
    return Case(name=row.name, ours=lambda: _ours(row), peers=tuple(peers), floor=row.floor, budget=40.0)


def _in_channels_last(row: _Row) -> _Row:
    name = row.name.replace("NCHW", "channels-last")
    return replace(row, name=name, channels_last=True, torchvision=None, onnx_runtime=None)


_PRODUCT = "the product of plain convolution: {:.2f} billion operations forward, three times as many in all"
_LARGE = _Row(
    name="v2 3×3, 64→64, 8×64×56², NCHW",
    sizes=(8, 64, 56, 56),
    out=64,
    floor=_PRODUCT.format(1.85),
    torchvision=Target(ratio=20, with_backward=40),
    onnx_runtime=Target(ratio=1.8),
    plain=Target(ratio=0.5, with_backward=0.4),
)
_SMALL = _Row(
    name="v2 3×3, 256→256, 2×256×28², NCHW",
    sizes=(2, 256, 28, 28),
    out=256,
    floor=_PRODUCT.format(1.85),
    torchvision=Target(ratio=6, with_backward=15),
    onnx_runtime=Target(ratio=1.1),
    plain=Target(ratio=0.5, with_backward=0.4),
)
_ROWS = (
    _LARGE,
    _in_channels_last(_LARGE),
    _SMALL,
    _in_channels_last(_SMALL),
    _Row(
        name="depthwise 3×3, 8×64×56², NCHW",
        sizes=(8, 64, 56, 56),
        out=64,
        groups=64,
        floor="samples of 14 million numbers, each of four: 58 MB read from the caches",
        torchvision=Target(ratio=20, with_backward=20),
        onnx_runtime=Target(),
    ),
    _Row(
        name="4 groups, 4 offset groups, 8×64×56², NCHW",
        sizes=(8, 64, 56, 56),
        out=64,
        groups=4,
        offset_groups=4,
        floor=_PRODUCT.format(0.46),
        torchvision=Target(ratio=20, with_backward=20),
        onnx_runtime=Target(),
    ),
    _Row(
        name="1-D, 3 taps, 16×64×1024",
        sizes=(16, 64, 1024),
        out=64,
        floor=_PRODUCT.format(0.4),
        plain=Target(),
        definition=Target(ratio=20, with_backward=20),
    ),
    _Row(
        name="3-D 3×3×3, 2×16×8×28²",
        sizes=(2, 16, 8, 28, 28),
        out=16,
        floor="340,000 samples of eight places each, with 16 channels",
        plain=Target(),
        definition=Target(ratio=20, with_backward=20),
    ),
)


def _layer(batch: int, channels: int, side: int) -> Work:
    return _ours(_Row(name="", sizes=(batch, channels, side, side), out=64, floor=""))


TOPIC = Topic(
    tests=("tests/ops/test_deform_conv.py", "tests/ops/test_deform_coordinates.py"),
    cases=tuple(map(_case, _ROWS)),
    scalings=(Scaling(name="v2 3×3, to 64 channels", make=_layer, batch=8, channels=64, side=28),),
)
