"""Gaussian pooling by its definition: a sum over the taps of the window, divided by the sum of the weights."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def gaussian_pool(
    input: Tensor,
    sigma: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
) -> Tensor:
    """output[n, c, p] = sum over k of w[c, k] * input[n, c, p * stride + k - low] / sum over k of w[c, k].

    `w[c, k] = exp(-sum over axes a of (k_a - (kernel_a - 1) / 2) ** 2 / (2 * sigma[c, a] ** 2))`; `sigma` is
    `(C, axes)`, and input outside the picture is zero.
    """
    pairs = [side for sides in zip(reversed(low), reversed(high), strict=True) for side in sides]
    padded = F.pad(input, pairs)
    outputs = [(n - k) // s + 1 for n, k, s in zip(padded.shape[2:], kernel, stride, strict=True)]
    sums: Tensor = padded.new_zeros(*padded.shape[:2], *outputs)
    weights = sigma.new_zeros(sigma.shape[0])
    for tap in product(*map(range, kernel)):
        centred = torch.tensor([t - (k - 1) / 2 for t, k in zip(tap, kernel, strict=True)]).to(sigma)
        weight = torch.exp(-(centred.square() / (2 * sigma.square())).sum(1))
        along = zip(tap, outputs, stride, strict=True)
        read: Any = (..., *(slice(t, t + (n - 1) * s + 1, s) for t, n, s in along))
        sums = sums + weight.view(-1, *[1] * len(kernel)) * padded[read]
        weights = weights + weight
    return sums / weights.view(-1, *[1] * len(kernel))
