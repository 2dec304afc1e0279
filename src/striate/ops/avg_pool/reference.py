"""Averages by their definition: the sum of what every tap reads, over how many there are."""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._padding import pairs
from striate.ops._pooling.taps import outputs_of, under


def avg_pool(
    input: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    over: Sequence[int],
    dilation: Sequence[int],
    include_pad: bool,
    divisor: int | None,
) -> Tensor:
    """output[n, c, o] = the sum over taps k of input[n, c, o * stride - low + k * dilation], over their `counts`.

    Sums are float32 at least. Of the places behind the input, `over` are no padding.
    """
    outputs = outputs_of(input.shape[2:], kernel, stride, low, high, dilation)
    padded = F.pad(input.to(torch.promote_types(input.dtype, torch.float32)), pairs(low, high))
    sums = torch.zeros_like(under(padded, [0] * len(kernel), outputs, stride, dilation))
    for tap in product(*map(range, kernel)):
        sums = sums + under(padded, tap, outputs, stride, dilation)
    if divisor is not None:
        return (sums / divisor).to(input.dtype)
    many = counts(input.shape[2:], outputs, kernel, stride, low, high, over, dilation, include_pad, input.device)
    return (sums / many).to(input.dtype)


def counts(
    sizes: Sequence[int],
    outputs: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    over: Sequence[int],
    dilation: Sequence[int],
    include_pad: bool,
    device: torch.device,
) -> Tensor:
    """How many taps of each window lie in the input, or in the padding as well; 1 where none does."""
    many = torch.ones((), dtype=torch.int64, device=device)
    for n, o, k, s, a, b, more, d in zip(sizes, outputs, kernel, stride, low, high, over, dilation, strict=True):
        start, end = (-a, n + b - more) if include_pad else (0, n)
        read = torch.arange(o, device=device)[:, None] * s - a + torch.arange(k, device=device) * d
        many = many[..., None] * ((read >= start) & (read < end)).sum(1)
    return many.clamp_min(1)
