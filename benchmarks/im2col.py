"""Windows as columns, and their adjoint, against PyTorch's unfold and fold, ONNX Runtime and JAX."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.jax_on_cpu import im2col as im2col_of_jax
from benchmarks.peers.jax_on_cpu import on_jax
from benchmarks.peers.onnx_runtime import on_onnx_runtime
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import on_torch
from striate.ops.im2col import col2im2d, im2col2d, im2col3d

_SHAPES = {3: (8, 32, 56, 56), 7: (8, 3, 224, 224)}
_EQUAL = Target(ratio=1.0, with_backward=1.0)


def _columns(kernel: int) -> Tensor:
    return F.unfold(torch.randn(*_SHAPES[kernel]), kernel)


def _im2col(kernel: int) -> Case:
    def on(function: Callable[..., Tensor]) -> Work:
        return on_torch(lambda input: function(input, kernel), torch.randn(*_SHAPES[kernel]))

    def jax() -> Work:
        return on_jax(im2col_of_jax((kernel, kernel)), torch.randn(*_SHAPES[kernel]))

    return Case(
        name=f"im2col2d, {'×'.join(map(str, _SHAPES[kernel]))}, {kernel}×{kernel}",
        ours=lambda: on(im2col2d),
        peers=(
            Peer(name="torch.nn.functional.unfold", make=lambda: on(F.unfold), target=_EQUAL),
            Peer(name="JAX, conv_general_dilated_patches", make=jax, needs=("jax",)),
        ),
        floor="writing the columns once",
    )


def _col2im(kernel: int) -> Case:
    size = _SHAPES[kernel][2:]

    def on(function: Callable[..., Tensor]) -> Work:
        return on_torch(lambda columns: function(columns, size, kernel), _columns(kernel))

    def onnx() -> Work:
        sizes = torch.tensor(size), torch.tensor([kernel, kernel])
        return on_onnx_runtime("Col2Im", _columns(kernel), *sizes, constant=(1, 2))

    return Case(
        name=f"col2im2d, {'×'.join(map(str, _SHAPES[kernel]))}, {kernel}×{kernel}",
        ours=lambda: on(col2im2d),
        peers=(
            Peer(name="torch.nn.functional.fold", make=lambda: on(F.fold), target=_EQUAL),
            Peer(name="ONNX Runtime, Col2Im", make=onnx, needs=("onnx", "onnxruntime")),
        ),
        floor="reading the columns once",
    )


def _volume_by_unfold(input: Tensor) -> Tensor:
    views = input.unfold(2, 3, 1).unfold(3, 3, 1).unfold(4, 3, 1)
    return views.permute(0, 1, 5, 6, 7, 2, 3, 4).flatten(1, 4).flatten(2)


def _volume() -> Tensor:
    return torch.randn(2, 8, 16, 32, 32)


TOPIC = Topic(
    tests=("tests/ops/test_im2col.py",),
    cases=(
        *map(_im2col, _SHAPES),
        *map(_col2im, _SHAPES),
        Case(
            name="im2col3d, 2×8×16×32×32, 3×3×3",
            ours=lambda: on_torch(lambda input: im2col3d(input, 3), _volume()),
            peers=(
                Peer(
                    name="Tensor.unfold three times, and a copy",
                    make=lambda: on_torch(_volume_by_unfold, _volume()),
                    target=Target(ratio=0.9, with_backward=1.0),
                ),
                Peer(
                    name="JAX, conv_general_dilated_patches",
                    make=lambda: on_jax(im2col_of_jax((3, 3, 3)), _volume()),
                    needs=("jax",),
                ),
            ),
            floor="writing the columns once",
        ),
    ),
    scalings=(
        Scaling(
            name="im2col2d 3×3, same size",
            make=lambda batch, channels, side: on_torch(
                lambda input: im2col2d(input, 3, padding=1), torch.randn(batch, channels, side, side)
            ),
            batch=8,
            channels=32,
            side=56,
        ),
    ),
)
