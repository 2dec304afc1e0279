"""Maxima by their definition: the tap that reads the largest so far is kept, and looked up at the end."""

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._padding import pairs
from striate.ops._pooling.taps import outputs_of, under


def max_pool(
    input: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """output[n, c, o] = the largest input[n, c, o * stride - low + k * dilation] inside, and its flat place.

    The first of equal numbers is taken, and the last NaN. Where no tap is inside: -infinity, and the place -1.
    """
    taps = winners(input, kernel, stride, low, high, dilation)
    places = places_of(taps, input.shape[2:], kernel, stride, low, dilation)
    return looked_up(input, places, -math.inf), places


def winners(
    input: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """The number of the tap that reads the largest, row-major; -1 where none is inside."""
    outputs = outputs_of(input.shape[2:], kernel, stride, low, high, dilation)
    padded = F.pad(input.detach(), pairs(low, high), value=-math.inf)
    inside = F.pad(torch.ones(1, 1, *input.shape[2:], dtype=torch.bool, device=input.device), pairs(low, high))
    best = torch.full_like(under(padded, [0] * len(kernel), outputs, stride, dilation), -math.inf)
    taps = torch.full_like(best, -1, dtype=torch.int64)
    for number, tap in enumerate(product(*map(range, kernel))):
        value, here = (under(maps, tap, outputs, stride, dilation) for maps in (padded, inside))
        wins = here & ((taps < 0) | (value > best) | value.isnan())
        best, taps = torch.where(wins, value, best), torch.where(wins, number, taps)
    return taps


def places_of(
    taps: Tensor,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """The flat places `(N, C, *outputs)`, int64, that the taps with these numbers read; -1 for no tap."""
    count = math.prod(kernel)
    numbers = torch.arange(count, device=taps.device)
    steps, starts, pitch = torch.zeros_like(numbers), torch.zeros((), dtype=torch.int64, device=taps.device), 1
    for axis in reversed(range(len(kernel))):
        steps = steps + numbers % kernel[axis] * dilation[axis] * pitch
        numbers = numbers // kernel[axis]
        along = torch.arange(taps.shape[axis + 2], device=taps.device) * stride[axis] - low[axis]
        starts = starts + (along * pitch).view(-1, *[1] * (len(kernel) - 1 - axis))
        pitch = pitch * sizes[axis]
    none = (taps < 0) | (taps >= count)
    return torch.where(none, -1, steps[torch.where(none, 0, taps).long()] + starts)


def looked_up(maps: Tensor, places: Tensor, elsewhere: float) -> Tensor:
    """The numbers of `(N, C, *sizes)` at flat places `(N, C, *outputs)`; another number at the place -1."""
    found = maps.flatten(2).gather(2, places.clamp_min(0).flatten(2)).view(places.shape)
    return torch.where(places < 0, elsewhere, found)
