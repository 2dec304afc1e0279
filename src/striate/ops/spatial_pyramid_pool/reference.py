"""Spatial pyramid pooling by its definition: every bin of every level, one by one."""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from striate.geometry import adaptive_windows


def spatial_pyramid_pool(input: Tensor, levels: Sequence[Sequence[int]], reduction: str) -> Tensor:
    """output[n]: level after level, in it channel after channel, in that the reduction of bin after bin."""
    axes = tuple(range(2, input.ndim))
    parts = []
    for level in levels:
        bins = []
        for own in product(*(adaptive_windows(n, out) for n, out in zip(input.shape[2:], level, strict=True))):
            part = input
            for axis, window in zip(axes, own, strict=True):
                part = part.narrow(axis, window.start, len(window))
            bins.append(part.amax(axes) if reduction == "max" else part.mean(axes))
        parts.append(torch.stack(bins, 2).flatten(1))
    return torch.cat(parts, 1)
