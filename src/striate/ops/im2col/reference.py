"""Columns by their definition: the places that every tap reads, looked up one by one."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def im2col(padded: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """columns[n, c * taps + k, p] = padded[n, c, p * stride + k * dilation], taps and placements row-major."""
    places = _places(padded.shape[2:], kernel, stride, dilation)
    return padded.flatten(2)[:, :, places.to(padded.device)].flatten(1, 2)


def col2im(
    columns: Tensor, sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """padded[n, c, i] = sum of columns[n, c * taps + k, p] over all taps k and placements p that read i."""
    places = _places(sizes, kernel, stride, dilation).to(columns.device)
    batch, channels = columns.shape[0], columns.shape[1] // math.prod(kernel)
    sums = columns.new_zeros(batch, channels, math.prod(sizes))
    return sums.index_add(2, places.flatten(), columns.reshape(batch, channels, -1)).view(batch, channels, *sizes)


def _places(sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The flat index that a tap reads at a placement: `(taps, placements)`."""
    places = torch.zeros(1, 1, dtype=torch.int64)
    for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        starts = torch.arange(0, n - d * (k - 1), s)
        along = torch.arange(k)[:, None] * d + starts
        places = (places[:, None, :, None] * n + along[:, None, :]).flatten(0, 1).flatten(1)
    return places
