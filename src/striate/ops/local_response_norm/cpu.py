"""Local response normalisation on the CPU, in both memory formats.

The work goes tile by tile. A tile is laid into a room that stays in cache, as rows of numbers in the order of memory,
so that neighbours are as far apart everywhere, and all loops run over the whole tile.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.ops._compile import kernel
from striate.ops._door import memory_format
from striate.ops._lanes import LANES
from striate.ops._normalization.kernels import add_neighbours
from striate.ops._threads import Workspace, run_slabs

Array = NDArray[Any]

# Numbers of a tile, and the most slabs that the tiles are shared out to.
_TILE = 8192
_SLABS = 64


def forward(input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool) -> Tensor:
    """`x / (k + alpha * sum of x ** 2 over the neighbours) ** beta`."""
    maps = _numbers(input, input)
    result = torch.empty_like(maps)
    at = _layout(input, low, high, within_channel)
    numbers, written, settings = _flat(maps), _flat(result), at.settings(alpha, beta, k, _flat(maps).dtype)

    def work(first: int, last: int, rooms: tuple[Array, ...]) -> None:
        _normalize(*(numbers, at.tiles, *settings, *rooms, written, first, last))

    at.share(work, numbers.dtype)
    return result.to(input.dtype)


def backward(
    grad: Tensor, input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool
) -> Tensor:
    """The gradient of the input."""
    maps = _numbers(input, input)
    result = torch.empty_like(maps)
    at = _layout(input, low, high, within_channel)
    numbers, grads, written = _flat(maps), _flat(_numbers(grad, input)), _flat(result)
    settings = at.settings(alpha, beta, k, numbers.dtype)

    def work(first: int, last: int, rooms: tuple[Array, ...]) -> None:
        _go_back(*(grads, numbers, at.tiles, *settings, *rooms, written, first, last))

    at.share(work, numbers.dtype)
    return result.to(input.dtype)


def _numbers(tensor: Tensor, like: Tensor) -> Tensor:
    """The tensor as the kernels take it: float32 or float64, in the memory format of `like`."""
    wide = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
    return wide.detach().contiguous(memory_format=memory_format(like))


def _flat(maps: Tensor) -> Array:
    """The numbers in the order of memory."""
    order = maps if maps.is_contiguous() else maps.movedim(1, -1)
    array: Array = order.view(-1).numpy()
    return array


@dataclass(frozen=True, slots=True)
class _Layout:
    """The tiles of maps.

    Args:
        tiles: of each, where it begins, its rows, the length of a row, and by axis of neighbours (repeats, length of
            the axis, places from one neighbour to the next), zeros where there is no such axis.
        stride: from a row to the next in the maps.
        gap: zeros behind each row of a laid tile.
        low: neighbours before a number.
        high: neighbours behind it.
    """

    tiles: Array
    stride: int
    gap: int
    low: int
    high: int

    def settings(self, alpha: float, beta: float, k: float, dtype: Any) -> tuple[Any, ...]:
        """What the kernels know beside the numbers and the tiles; settings in the dtype of the numbers."""
        ones = np.ones(self.low + self.high + 1, dtype)
        return self.stride, self.gap, ones, self.low, *(dtype.type(number) for number in (alpha, beta, k))

    def share(self, work: Any, dtype: Any) -> None:
        """Call `work(first, last, rooms)` for runs of tiles, the same whatever the number of threads."""
        count = len(self.tiles)
        if count == 0:
            return
        size, step = int((self.tiles[:, 1] * (self.tiles[:, 2] + self.gap)).max()), -(-count // _SLABS)
        workspace = Workspace()

        def slab(number: int) -> None:
            rooms = tuple(workspace.array(f"{dtype} {room}", size, dtype) for room in range(3))
            work(number * step, min(count, (number + 1) * step), rooms)

        run_slabs(slab, -(-count // step))


def _layout(input: Tensor, low: int, high: int, within_channel: bool) -> _Layout:
    images, channels, *sizes = input.shape
    pixels = math.prod(sizes)
    # Maps of one pixel are rows of channels in either format.
    together = memory_format(input) != torch.contiguous_format or pixels == 1
    if not input.numel():
        return _Layout(np.empty((0, 12), np.int64), 0, 0, 0, 0)
    if within_channel:
        low, high = min(low, max(sizes) - 1), min(high, max(sizes) - 1)
        return _Layout(_windows(images, channels, sizes, together), channels, 0, low, high)
    low, high = min(low, channels - 1), min(high, channels - 1)
    if together:
        gap = max(low, high)
        rows = max(1, _TILE // (channels + gap))
        begin = np.arange(0, images * pixels, rows)
        own = np.minimum(rows, images * pixels - begin)
        return _Layout(
            _table(begin * channels, own, channels, [(1, own * (channels + gap), 1)]), channels, gap, low, high
        )
    width = max(LANES, _TILE // channels // LANES * LANES)
    image, first = np.meshgrid(np.arange(images), np.arange(0, pixels, width), indexing="ij")
    own = np.minimum(width, pixels - first)
    return _Layout(_table(image * channels * pixels + first, channels, own, [(1, channels, own)]), pixels, 0, low, high)


def _windows(images: int, channels: int, sizes: list[int], together: bool) -> Array:
    """The tiles where neighbours are places: some channels of an image that lie together, or some planes."""
    pixels = math.prod(sizes)
    around = [(math.prod(sizes[:axis]), size, math.prod(sizes[axis + 1 :])) for axis, size in enumerate(sizes)]
    if together:
        image, first = np.meshgrid(np.arange(images), np.arange(0, channels, LANES), indexing="ij")
        own = np.minimum(LANES, channels - first)
        axes = [(outer, length, inner * own) for outer, length, inner in around]
        return _table(image * pixels * channels + first, pixels, own, axes)
    planes = max(1, _TILE // pixels)
    begin = np.arange(0, images * channels, planes)
    count = np.minimum(planes, images * channels - begin)
    return _table(
        begin * pixels, 1, count * pixels, [(count * outer, length, inner) for outer, length, inner in around]
    )


def _table(begin: Array, rows: Any, length: Any, axes: list[tuple[Any, ...]]) -> Array:
    columns = [begin, rows, length, *(number for axis in axes for number in axis), *[0] * (9 - 3 * len(axes))]
    return np.stack([np.broadcast_to(column, begin.shape).ravel() for column in columns], axis=1).astype(np.int64)


@kernel
def _normalize(
    numbers: Any,
    tiles: Any,
    stride: int,
    gap: int,
    ones: Any,
    low: int,
    alpha: float,
    beta: float,
    k: float,
    room: Any,
    second: Any,
    third: Any,
    result: Any,
    first: int,
    last: int,
) -> None:
    for number in range(first, last):
        tile = tiles[number]
        found = _find_powers(numbers, tile, stride, gap, ones, low, alpha, beta, k, room, second, third)
        for row in range(tile[1]):
            begin, at = tile[0] + row * stride, row * (tile[2] + gap)
            x, p, y = numbers[begin : begin + tile[2]], found[1][at : at + tile[2]], result[begin : begin + tile[2]]
            for i in range(tile[2]):
                y[i] = x[i] * p[i]


@kernel
def _go_back(
    grads: Any,
    numbers: Any,
    tiles: Any,
    stride: int,
    gap: int,
    ones: Any,
    low: int,
    alpha: float,
    beta: float,
    k: float,
    room: Any,
    second: Any,
    third: Any,
    result: Any,
    first: int,
    last: int,
) -> None:
    """grad_input = grad * base ** -beta - 2 alpha beta x * sum over those whose neighbour x is of grad * y / base."""
    factor = -(alpha + alpha) * beta
    for number in range(first, last):
        tile = tiles[number]
        length, pitch = tile[2], tile[2] + gap
        found = _find_powers(numbers, tile, stride, gap, ones, low, alpha, beta, k, room, second, third)
        bases, powers, free = found
        for row in range(tile[1]):
            begin, at = tile[0] + row * stride, row * pitch
            x, g, laid = numbers[begin : begin + length], grads[begin : begin + length], free[at : at + pitch]
            b, p = bases[at : at + length], powers[at : at + length]
            for i in range(length):
                laid[i] = g[i] * x[i] * p[i] / b[i]
            laid[length:] = 0
        sums, _ = _add_along(tile, ones, ones.size - 1 - low, free, bases)
        for row in range(tile[1]):
            begin, at = tile[0] + row * stride, row * pitch
            x, g, y = numbers[begin : begin + length], grads[begin : begin + length], result[begin : begin + length]
            s, p = sums[at : at + length], powers[at : at + length]
            for i in range(length):
                y[i] = g[i] * p[i] + factor * x[i] * s[i]


@kernel
def _find_powers(
    numbers: Any,
    tile: Any,
    stride: int,
    gap: int,
    ones: Any,
    low: int,
    alpha: float,
    beta: float,
    k: float,
    room: Any,
    second: Any,
    third: Any,
) -> Any:
    """Of one tile k + alpha * sum of numbers ** 2 over the neighbours, that ** -beta, and the room that is left."""
    length, pitch = tile[2], tile[2] + gap
    count = tile[1] * pitch
    for row in range(tile[1]):
        begin = tile[0] + row * stride
        x, laid = numbers[begin : begin + length], room[row * pitch : (row + 1) * pitch]
        for i in range(length):
            laid[i] = x[i] * x[i]
        laid[length:] = 0
    sums, powers = _add_along(tile, ones, low, room, second)
    # A whole number beside a float32 would make a float64 of it. A division by a root would be made of an estimate,
    # which is NaN where the root is infinite; the root of a division is not.
    one, bases = ones[0], third
    if beta == 0.75:
        for i in range(count):
            bases[i] = k + alpha * sums[i]
            root = math.sqrt(one / bases[i])
            powers[i] = root * math.sqrt(root)
    elif beta == 0.5:
        for i in range(count):
            bases[i] = k + alpha * sums[i]
            powers[i] = math.sqrt(one / bases[i])
    elif beta == 1:
        for i in range(count):
            bases[i] = k + alpha * sums[i]
            powers[i] = one / bases[i]
    else:
        for i in range(count):
            bases[i] = k + alpha * sums[i]
            powers[i] = bases[i] ** -beta
    return bases, powers, sums


@kernel
def _add_along(tile: Any, ones: Any, low: int, numbers: Any, free: Any) -> Any:
    """The sums over neighbours along all axes of a tile, in one of the two rooms, and the other one."""
    for axis in range(3, 12, 3):
        if tile[axis]:
            add_neighbours(numbers, tile[axis], tile[axis + 1], tile[axis + 2], ones, low, free)
            numbers, free = free, numbers
    return numbers, free
