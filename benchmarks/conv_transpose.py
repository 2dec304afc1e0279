"""Transposed convolution against `torch.nn` in both memory formats, ONNX Runtime and JAX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.jax_on_cpu import conv_transpose as conv_transpose_of_jax
from benchmarks.peers.jax_on_cpu import on_jax
from benchmarks.peers.onnx_runtime import on_onnx_runtime
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch
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

    @property
    def axes(self) -> int:
        """How many there are."""
        return len(self.sizes) - 2

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Input, weight and bias."""
        weight = torch.randn(self.sizes[1], self.out // self.groups, *(self.kernel,) * self.axes)
        return torch.randn(*self.sizes), weight, torch.randn(self.out)

    @property
    def settings(self) -> dict[str, Any]:
        """What the functions are told, one number an axis."""
        return {
            "stride": (self.stride,) * self.axes,
            "padding": ((self.kernel - self.stride) // 2,) * self.axes,
            "groups": self.groups,
        }


def _work(row: _Row, functions: Sequence[Callable[..., Tensor]], *, last: bool) -> Work:
    function = functions[row.axes - 1]
    tensors = channels_last(*row.tensors) if last else row.tensors
    return on_torch(lambda input, weight, bias: function(input, weight, bias, **row.settings), *tensors)


def _onnx(row: _Row) -> Work:
    stride, padding = (list(row.settings[name]) for name in ("stride", "padding"))
    return on_onnx_runtime(
        "ConvTranspose", *row.tensors, constant=(1, 2), strides=stride, pads=padding * 2, group=row.groups
    )


def _case(row: _Row) -> Case:
    peers = [Peer(name="torch.nn", make=lambda: _work(row, _TORCH, last=row.channels_last), target=row.target)]
    if not row.channels_last:
        if row.axes > 1:
            peers.append(Peer(name="torch.nn, channels-last", make=lambda: _work(row, _TORCH, last=True)))
        jax = conv_transpose_of_jax(**row.settings)
        peers += [
            Peer(name="ONNX Runtime", make=lambda: _onnx(row), needs=("onnx", "onnxruntime")),
            Peer(name="JAX", make=lambda: on_jax(jax, *row.tensors), needs=("jax",)),
        ]
    return Case(
        name=row.name,
        ours=lambda: _work(row, _OURS, last=row.channels_last),
        peers=tuple(peers),
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


def _layer(batch: int, channels: int, side: int) -> Work:
    tensors = torch.randn(batch, channels, side, side), torch.randn(channels, 64, 4, 4)
    return on_torch(lambda input, weight: conv_transpose2d(input, weight, stride=2, padding=1), *tensors)


TOPIC = Topic(
    tests=("tests/ops/test_conv_transpose.py",),
    cases=tuple(map(_case, _ROWS)),
    scalings=(Scaling(name="4×4 s2 p1, to 64 channels", make=_layer, batch=8, channels=64, side=28),),
)
