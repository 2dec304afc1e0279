"""Numbers put back on the CPU, and what comes back to them; plane by plane, sixteen at once in channels-last."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from striate.ops._compile import kernel
from striate.ops._lanes import LANES, put, spread, take
from striate.ops._pooling.planes import blank, numbers, share
from striate.ops._pooling.taps import format_of


def forward(input: Tensor, indices: Tensor, sizes: Sequence[int], channels_last: bool) -> Tensor:
    """The numbers of `(N, C, *outputs)` at their indices in `(N, C, *sizes)`, zeros elsewhere.

    Raises:
        ValueError: if an index lies outside.
    """
    layout, shape = format_of(input.ndim, channels_last), (*input.shape[:2], *sizes)
    result, places = blank(shape, input.dtype, layout)
    values, named, wrong = numbers(input, layout), numbers(indices, layout), np.full(1, -1)
    at = _at(input.shape, sizes, channels_last)
    share(_units(at), 1, len(places), lambda _, *units: _put(values, named, places, wrong, at, *units))
    if wrong[0] >= 0:
        bad = int(named[wrong[0]])
        raise ValueError(
            f"max_unpool: indices must be from 0 to {math.prod(sizes) - 1}, places of an output of {tuple(sizes)}, "
            f"or -1, got {bad}"
        )
    return result.to(input.dtype)


def backward(grad: Tensor, indices: Tensor, channels_last: bool) -> Tensor:
    """The gradient `(N, C, *outputs)` of the numbers: that of their place, 0 for those that another has replaced."""
    layout = format_of(grad.ndim, channels_last)
    result, values = blank(indices.shape, grad.dtype, layout)
    grads, named = numbers(grad, layout), numbers(indices, layout)
    at = _at(indices.shape, grad.shape[2:], channels_last)
    share(_units(at), 1, len(grads), lambda _, *units: _get(grads, named, values, at, *units))
    return result.to(grad.dtype)


def _at(shape: Sequence[int], sizes: Sequence[int], channels_last: bool) -> tuple[int, int, int, int]:
    """Planes that lie apart, planes that lie together, numbers in each, and places in each."""
    planes, inner = (shape[0], shape[1]) if channels_last else (shape[0] * shape[1], 1)
    return planes, inner, math.prod(shape[2:]), math.prod(sizes)


def _units(at: tuple[int, int, int, int]) -> int:
    """Sixteen planes that lie together are one."""
    return at[0] * -(-at[1] // LANES)


@kernel
def _put(values: Any, named: Any, places: Any, wrong: Any, at: Any, first: int, last: int) -> None:
    """places[p, named[p, j]] = values[p, j], in the order of j; `wrong` is where an index is none."""
    _, inner, many, size = at
    blocks = -(-inner // LANES)
    for unit in range(first, last):
        p, start = unit // blocks, unit % blocks * LANES
        together = min(LANES, inner - start)
        begin, to = p * many * inner + start, p * size * inner + start
        if together == inner:
            places[to : to + size * inner] = 0
        else:
            for i in range(size):
                put(places, to + i * inner, spread(places.dtype.type(0)), together)
        for j in range(many):
            for i in range(begin + j * inner, begin + j * inner + together):
                place = named[i]
                if 0 <= place < size:
                    places[to + place * inner + i - begin - j * inner] = values[i]
                elif place != -1:
                    wrong[0] = i


@kernel
def _get(grads: Any, named: Any, values: Any, at: Any, first: int, last: int) -> None:
    """values[p, j] = grads[p, named[p, j]] for the last j that names a place, 0 for the others."""
    _, inner, many, size = at
    blocks = -(-inner // LANES)
    left = np.empty(size * min(inner, LANES), grads.dtype)
    for unit in range(first, last):
        p, start = unit // blocks, unit % blocks * LANES
        together = min(LANES, inner - start)
        begin, to = p * many * inner + start, p * size * inner + start
        if together == inner:
            left[: size * inner] = grads[to : to + size * inner]
        else:
            for i in range(size):
                put(left, i * together, take(grads, to + i * inner, together), together)
        # From the last, which takes all.
        for j in range(many - 1, -1, -1):
            for i in range(together):
                place, value = named[begin + j * inner + i], left.dtype.type(0)
                if 0 <= place < size:
                    value = left[place * together + i]
                    left[place * together + i] = 0
                values[begin + j * inner + i] = value
