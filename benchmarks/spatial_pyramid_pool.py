"""Spatial pyramid pooling against the same levels composed from PyTorch's adaptive pooling."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import on_torch
from striate.ops.spatial_pyramid_pool import spatial_pyramid_pool2d

_LEVELS = (6, 3, 2, 1)


def _composed(input: Tensor) -> Tensor:
    return torch.cat([F.adaptive_max_pool2d(input, level).flatten(1) for level in _LEVELS], 1)


def _ours(input: Tensor) -> Tensor:
    return spatial_pyramid_pool2d(input, _LEVELS)


def _on(function: Callable[[Tensor], Tensor]) -> Work:
    return on_torch(function, torch.randn(8, 256, 13, 13))


TOPIC = Topic(
    tests=("tests/ops/test_spatial_pyramid_pool.py",),
    cases=(
        Case(
            name="levels 6, 3, 2, 1 of 8×256×13²",
            ours=lambda: _on(_ours),
            peers=(
                Peer(
                    name="torch.nn, composed",
                    make=lambda: _on(_composed),
                    target=Target(ratio=0.97, with_backward=0.97),
                ),
            ),
            floor="reading the input once",
        ),
    ),
    scalings=(
        Scaling(
            name="levels 6, 3, 2, 1",
            make=lambda batch, channels, side: on_torch(_ours, torch.randn(batch, channels, side, side)),
            batch=8,
            channels=256,
            side=14,
        ),
    ),
)
