"""Windows as columns, and their adjoint, against PyTorch's unfold and fold."""

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from striate.ops.im2col import col2im2d, im2col2d, im2col3d

_SHAPES = {3: (8, 32, 56, 56), 7: (8, 3, 224, 224)}


def _input(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _work(function: object, tensor: Tensor, *settings: object) -> Work:
    assert callable(function)
    leaf = tensor.clone().requires_grad_()

    def with_backward() -> None:
        function(leaf, *settings).sum().backward()
        leaf.grad = None

    def run() -> None:
        function(tensor, *settings)

    return Work(run=run, with_backward=with_backward)


def _columns(kernel: int) -> Tensor:
    return F.unfold(_input(*_SHAPES[kernel]), kernel)


def _volume_by_unfold(input: Tensor) -> Tensor:
    views = input.unfold(2, 3, 1).unfold(3, 3, 1).unfold(4, 3, 1)
    return views.permute(0, 1, 5, 6, 7, 2, 3, 4).flatten(1, 4).flatten(2)


TOPIC = Topic(
    tests=("tests/ops/test_im2col.py",),
    cases=(
        *(
            Case(
                name=f"im2col2d, {'×'.join(map(str, shape))}, {kernel}×{kernel}",
                ours=lambda kernel=kernel, shape=shape: _work(im2col2d, _input(*shape), kernel),
                peers=(
                    Peer(
                        name="torch.nn.functional.unfold",
                        make=lambda kernel=kernel, shape=shape: _work(F.unfold, _input(*shape), kernel),
                        target=Target(ratio=1.0, with_backward=1.0),
                    ),
                ),
                floor="writing the columns once",
            )
            for kernel, shape in _SHAPES.items()
        ),
        *(
            Case(
                name=f"col2im2d, {'×'.join(map(str, shape))}, {kernel}×{kernel}",
                ours=lambda kernel=kernel, shape=shape: _work(col2im2d, _columns(kernel), shape[2:], kernel),
                peers=(
                    Peer(
                        name="torch.nn.functional.fold",
                        make=lambda kernel=kernel, shape=shape: _work(F.fold, _columns(kernel), shape[2:], kernel),
                        target=Target(ratio=1.0, with_backward=1.0),
                    ),
                ),
                floor="reading the columns once",
            )
            for kernel, shape in _SHAPES.items()
        ),
        Case(
            name="im2col3d, 2×8×16×32×32, 3×3×3",
            ours=lambda: _work(im2col3d, _input(2, 8, 16, 32, 32), 3),
            peers=(
                Peer(
                    name="Tensor.unfold three times, and a copy",
                    make=lambda: _work(_volume_by_unfold, _input(2, 8, 16, 32, 32)),
                    target=Target(ratio=0.9, with_backward=1.0),
                ),
            ),
            floor="writing the columns once",
        ),
    ),
)
