"""Local response normalisation from its formula."""

import torch
from torch import Tensor
from torch.nn import functional as F


def local_response_norm(
    input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool
) -> Tensor:
    """`x / (k + alpha * sum of x ** 2 over the neighbours) ** beta`.

    Args:
        input: `(N, C, *sizes)`.
        low: neighbours before a number.
        high: neighbours behind it.
        alpha: factor of the sum.
        beta: exponent.
        k: what the sum is added to.
        within_channel: whether neighbours lie along all axes of sizes, not along the channels.

    Returns:
        The input's shape and dtype; computed in float32 at least.
    """
    wide = input.to(torch.promote_types(input.dtype, torch.float32))
    sums = wide * wide
    for axis in range(2, input.ndim) if within_channel else (1,):
        sums = _add_neighbours(sums, axis, low, high)
    return (wide / (k + alpha * sums) ** beta).to(input.dtype)


def _add_neighbours(maps: Tensor, axis: int, low: int, high: int) -> Tensor:
    n = maps.shape[axis]
    padded = F.pad(maps, [0, 0] * (maps.ndim - 1 - axis) + [low, high])
    sums = padded.narrow(axis, 0, n)
    for t in range(1, low + high + 1):
        sums = sums + padded.narrow(axis, t, n)
    return sums
