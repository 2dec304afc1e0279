"""Norms of windows by their definition, scaled by the largest number of each window."""

from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F


def lp_pool(
    input: Tensor,
    power: float,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    outputs: Sequence[int],
) -> Tensor:
    """output[n, c, p] = (sum over k of |input[n, c, p * stride + k * dilation - low]| ** power) ** (1 / power).

    Input outside the picture is zero; the derivative at zero is zero, to any order.
    """
    largest = torch.zeros((), dtype=input.dtype, device=input.device)
    for read in _taps(input.detach().abs(), kernel, stride, low, dilation, outputs):
        largest = torch.maximum(largest, read)
    # What it is does not change the norm, so that it counts as a constant.
    scale = torch.where((largest > 0) & (largest < torch.inf), largest, 1)
    sums = torch.zeros_like(scale)
    for read in _taps(input, kernel, stride, low, dilation, outputs):
        sums = sums + _power(read.abs() / scale, power)
    return scale * _power(sums, 1 / power)


def _power(numbers: Tensor, power: float) -> Tensor:
    """Powers of numbers that are not negative, without the slope of a root at zero."""
    nothing = numbers == 0
    return torch.where(nothing, 0, torch.where(nothing, 1, numbers) ** power)


def _taps(
    input: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    outputs: Sequence[int],
) -> Iterator[Tensor]:
    """What each tap reads, `(N, C, *outputs)`."""
    reach = [(out - 1) * s + d * (k - 1) + 1 for out, k, s, d in zip(outputs, kernel, stride, dilation, strict=True)]
    sides = zip(reversed(low), reversed(reach), reversed(input.shape[2:]), strict=True)
    padded = F.pad(input, [side for a, r, n in sides for side in (a, r - a - n)])
    for tap in product(*map(range, kernel)):
        read = padded
        for axis, (t, out, s, d) in enumerate(zip(tap, outputs, stride, dilation, strict=True), start=2):
            # Indexing would make an alias of a whole axis, for which batched gradients have no rule.
            read = torch.ops.aten.slice(read, axis, t * d, t * d + (out - 1) * s + 1, s)
        yield read
