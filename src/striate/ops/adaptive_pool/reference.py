"""Adaptive pooling by its definition, along one axis after another."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from striate.geometry import adaptive_windows


def adaptive_avg_pool(input: Tensor, output_size: Sequence[int]) -> Tensor:
    """The mean of each window: the mean of the means of its rows, which are equally long."""
    means = input.to(torch.promote_types(input.dtype, torch.float32))
    for axis, out in enumerate(output_size, start=input.ndim - len(output_size)):
        windows = adaptive_windows(input.shape[axis], out)
        means = torch.stack([means.narrow(axis, own.start, len(own)).mean(axis) for own in windows], axis)
    return means.to(input.dtype)


def adaptive_max_pool(input: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The largest number of each window and its flat index; of equal ones the first, in the order of rows."""
    axes = len(output_size)
    sizes = input.shape[-axes:]
    indices = torch.arange(math.prod(sizes), device=input.device).view(sizes).expand(input.shape)
    # From the last axis on, so that of equal numbers the one in the first row wins.
    for axis in range(input.ndim - 1, input.ndim - 1 - axes, -1):
        values, places = [], []
        for own in adaptive_windows(input.shape[axis], output_size[axis - input.ndim]):
            value, winner = input.narrow(axis, own.start, len(own)).max(axis, keepdim=True)
            values.append(value)
            places.append(indices.narrow(axis, own.start, len(own)).gather(axis, winner))
        input, indices = torch.cat(values, axis), torch.cat(places, axis)
    return input, indices
