"""The matrix of a layer, against the usual way to find it: the images of the unit vectors."""

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from striate.ops.toeplitz import toeplitz

_SIZE = 32


def _kernel() -> Tensor:
    return torch.randn(5, 5, generator=torch.Generator().manual_seed(0))


def _ours(*, sparse: bool) -> Work:
    kernel = _kernel()

    def run() -> None:
        toeplitz(kernel, (_SIZE, _SIZE), padding="same", sparse=sparse)

    return Work(run=run)


def _images(*, sparse: bool) -> Work:
    kernel = _kernel()[None, None]

    def run() -> None:
        units = torch.eye(_SIZE * _SIZE).view(-1, 1, _SIZE, _SIZE)
        matrix = F.conv2d(units, kernel, padding=2).flatten(1).T
        if sparse:
            matrix.to_sparse()

    return Work(run=run)


TOPIC = Topic(
    tests=("tests/ops/test_toeplitz.py",),
    cases=tuple(
        Case(
            name=f"toeplitz, {kind}, {_SIZE}×{_SIZE}, 5×5",
            ours=lambda sparse=sparse: _ours(sparse=sparse),
            peers=(
                Peer(
                    name="conv2d of the unit vectors",
                    make=lambda sparse=sparse: _images(sparse=sparse),
                    target=Target(ratio=1.0),
                ),
            ),
            floor="writing the entries once",
        )
        for kind, sparse in (("dense", False), ("sparse", True))
    ),
)
