"""The deformable operators as loops over single numbers, as torchvision writes them, and inputs to compare on."""

import math
from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

from striate.geometry import windows


def read(plane: Tensor, point: Sequence[Tensor]) -> Tensor:
    """A plane at one real coordinate an axis."""
    if any(x <= -1 or x >= n for x, n in zip(point, plane.shape, strict=True)):
        return plane.new_zeros(())
    below = [math.floor(x.detach()) for x in point]
    total = plane.new_zeros(())
    for corner in product((0, 1), repeat=len(point)):
        at = [b + up for b, up in zip(below, corner, strict=True)]
        if all(0 <= i < n for i, n in zip(at, plane.shape, strict=True)):
            share = plane.new_ones(())
            for x, b, up in zip(point, below, corner, strict=True):
                share = share * (x - b if up else 1 - (x - b))
            total = total + share * plane[tuple(at)]
    return total


def convolved(
    input: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Deformable convolution, number by number."""
    axes, kernel, into = len(stride), weight.shape[2:], weight.shape[1]
    taps = list(product(*map(range, kernel)))
    filters = weight.shape[0] * into // input.shape[1]
    moves = input.shape[1] * len(taps) * axes // offset.shape[1]
    numbers = []
    for n, o, place in product(range(input.shape[0]), range(weight.shape[0]), _places(offset.shape[2:])):
        total = input.new_zeros(()) if bias is None else bias[o]
        for i, (k, tap) in product(range(into), enumerate(taps)):
            c = o // filters * into + i
            moved = c // moves * len(taps) + k
            point = [
                offset[(n, moved * axes + axis, *place)] + (p * s - a + t * d)
                for axis, (p, s, a, t, d) in enumerate(zip(place, stride, low, tap, dilation, strict=True))
            ]
            factor = 1 if mask is None else mask[(n, moved, *place)]
            total = total + weight[(o, i, *tap)] * factor * read(input[n, c], point)
        numbers.append(total)
    return torch.stack(numbers).view(input.shape[0], weight.shape[0], *offset.shape[2:])


def aggregated(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
) -> Tensor:
    """Deformable aggregation, number by number."""
    axes = len(stride)
    taps = [
        tap
        for tap in product(*map(range, kernel_size))
        if not remove_center or any(2 * t != k - 1 for t, k in zip(tap, kernel_size, strict=True))
    ]
    middle = [(d * (k - 1)) // 2 for k, d in zip(kernel_size, dilation, strict=True)]
    numbers = []
    for n, c, place in product(range(input.shape[0]), range(input.shape[1]), _places(offset.shape[2:])):
        total = input.new_zeros(())
        for k, tap in enumerate(taps):
            moved = c * groups // input.shape[1] * len(taps) + k
            point = [
                (offset[(n, moved * axes + axis, *place)] + (t * d - m)) * offset_scale + (p * s - a + m)
                for axis, (p, s, a, t, d, m) in enumerate(zip(place, stride, low, tap, dilation, middle, strict=True))
            ]
            total = total + mask[(n, moved, *place)] * read(input[n, c], point)
        numbers.append(total)
    return torch.stack(numbers).view(*input.shape[:2], *offset.shape[2:])


def _places(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return product(*map(range, sizes))


def outputs(
    sizes: Sequence[int], kernel: int | Sequence[int], stride: int, padding: object, dilation: int
) -> list[int]:
    """The sizes of an operator's output."""
    along = windows(len(sizes), kernel, stride, padding, dilation)  # type: ignore[arg-type]
    return [window.output_size(n) for window, n in zip(along, sizes, strict=True)]


def draw(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def draw_offsets(generator: torch.Generator, *shape: int, reach: int = 2, scale: float = 1.0) -> Tensor:
    """Offsets that lead between the places, away from the kinks; `scale` is what they will be multiplied by.

    Coordinates made of them are exact in float32, and none is a place even where windows shrink by half.
    """
    whole = torch.randint(-reach, reach, shape, generator=generator)
    part = (2 * torch.randint(6, 26, shape, generator=generator) + 1).double() / 64
    return (whole + part) / scale
