"""The matrix of a layer, against the usual way to find it: the images of the unit vectors."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from striate.ops.toeplitz import toeplitz

_SIZE = 32


def _work(matrix: Callable[[Tensor], Tensor]) -> Work:
    kernel = torch.randn(5, 5)

    def run() -> None:
        matrix(kernel)

    def results() -> tuple[Tensor, ...]:
        found = matrix(kernel)
        return (found.indices(), found.values()) if found.is_sparse else (found,)

    return Work(run=run, results=results)


def _ours(*, sparse: bool) -> Work:
    return _work(lambda kernel: toeplitz(kernel, (_SIZE, _SIZE), padding="same", sparse=sparse))


def _images(*, sparse: bool) -> Work:
    def matrix(kernel: Tensor) -> Tensor:
        units = torch.eye(_SIZE * _SIZE).view(-1, 1, _SIZE, _SIZE)
        found = F.conv2d(units, kernel[None, None], padding=2).flatten(1).T
        return found.to_sparse() if sparse else found

    return _work(matrix)


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
