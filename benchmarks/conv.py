"""Convolution against `torch.nn` in both memory formats, ONNX Runtime and JAX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.jax_on_cpu import conv as conv_of_jax
from benchmarks.peers.jax_on_cpu import on_jax
from benchmarks.peers.onnx_runtime import on_onnx_runtime
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch
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
    groups: int = 1
    channels_last: bool = False
    floor: str = "the same product: PyTorch's own kernel"

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Input and weight."""
        return torch.randn(*self.sizes), torch.randn(self.out, self.sizes[1] // self.groups, *self.kernel)

    @property
    def settings(self) -> dict[str, Any]:
        """What the functions are told, one number an axis."""
        return {
            "stride": (1,) * len(self.kernel),
            "padding": tuple(self.dilation * (taps - 1) // 2 for taps in self.kernel),
            "dilation": (self.dilation,) * len(self.kernel),
            "groups": self.groups,
        }


def _work(row: _Row, functions: Sequence[Callable[..., Tensor]], *, last: bool) -> Work:
    function = functions[len(row.kernel) - 1]
    tensors = channels_last(*row.tensors) if last else row.tensors
    return on_torch(lambda input, weight: function(input, weight, **row.settings), *tensors)


def _onnx(row: _Row) -> Work:
    padding, dilation = (list(row.settings[name]) for name in ("padding", "dilation"))
    return on_onnx_runtime("Conv", *row.tensors, constant=(1,), pads=padding * 2, dilations=dilation, group=row.groups)


def _case(row: _Row) -> Case:
    peers = [Peer(name="torch.nn", make=lambda: _work(row, _TORCH, last=row.channels_last), target=row.target)]
    if not row.channels_last:
        if len(row.kernel) > 1:
            peers.append(Peer(name="torch.nn, channels-last", make=lambda: _work(row, _TORCH, last=True)))
        peers += [
            Peer(name="ONNX Runtime", make=lambda: _onnx(row), needs=("onnx", "onnxruntime")),
            Peer(name="JAX", make=lambda: on_jax(conv_of_jax(**row.settings), *row.tensors), needs=("jax",)),
        ]
    return Case(
        name=row.name,
        ours=lambda: _work(row, _OURS, last=row.channels_last),
        peers=tuple(peers),
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


def _layer(batch: int, channels: int, side: int, *, out: int, kernel: int, groups: int = 1) -> Work:
    weight = torch.randn(out, channels // groups, kernel, kernel)
    input = torch.randn(batch, channels, side, side)
    return on_torch(lambda input, weight: conv2d(input, weight, padding=kernel // 2, groups=groups), input, weight)


TOPIC = Topic(
    tests=("tests/ops/test_conv.py",),
    cases=tuple(map(_case, _ROWS)),
    scalings=(
        Scaling(
            name="standard 3×3, to 64 channels",
            make=lambda *sizes: _layer(*sizes, out=64, kernel=3),
            batch=8,
            channels=64,
            side=56,
        ),
        Scaling(
            name="depthwise 7×7",
            make=lambda *sizes: _layer(*sizes, out=sizes[1], kernel=7, groups=sizes[1]),
            batch=8,
            channels=64,
            side=56,
        ),
    ),
)
