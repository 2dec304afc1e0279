"""Blur pooling by its definition: means of two neighbours, again and again, of which every few are kept."""

from collections.abc import Sequence

from torch import Tensor


def blur_pool(padded: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """The padded input, along each axis averaged `kernel - 1` times with the next place, then strided."""
    for axis, (k, s) in enumerate(zip(kernel, stride, strict=True), start=2):
        for _ in range(k - 1):
            n = padded.shape[axis]
            padded = (padded.narrow(axis, 0, n - 1) + padded.narrow(axis, 1, n - 1)) / 2
        padded = padded[(slice(None),) * axis + (slice(None, None, s),)]
    return padded
