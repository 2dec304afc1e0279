"""Reading pictures between their pixels, and the gradients of that, for a tile of output pixels.

A picture is channels-last and flat, `(pixels * channels,)`. What a sample needs is worked out once for each output
pixel, tap and offset group, never for each channel: the pixels around it, their weights and their slopes. Corners come
in fours: one four for a picture of one or two axes, two for a volume. In place of a corner outside the picture stands
the one inside beside it, and each has half of the weight: so the loops over channels have no branch, and no pixel that
may be infinite is multiplied by 0 where nothing is read.

Indices: b output pixel in the tile, g offset group, t tap, k corner, c channel.
"""

from typing import Any

import numpy as np

from striate.ops._compile import kernel
from striate.ops._lanes import LANES, add_product, multiply, put, spread, take, total

# Marks of a sample in place of its first corner's index.
_OUTSIDE = -1
_NOT_A_NUMBER = -2
# A move this far leaves every picture; its sum with a place from -_FAR / 2 up to _FAR fits 32 bits.
_FAR = 2**30


@kernel
def _places(grid: Any, begin: int, places: Any) -> None:
    """Where the windows of a tile's output pixels stand: placement * stride, by axis."""
    OH, OW = grid[1, 1], grid[1, 2]
    for b in range(places.shape[1]):
        row, x = divmod(begin + b, OW)
        z, y = divmod(row, OH)
        places[0, b], places[1, b], places[2, b] = z * grid[2, 0], y * grid[2, 1], x * grid[2, 2]


@kernel
def _is_near(place: int) -> bool:
    return -_FAR // 2 <= place < _FAR


@kernel
def _move_far(places: Any, first: int, moves: Any, scale: Any, shift: Any, starts: Any, moved: Any) -> None:
    """Split places[b] + first + shift + scale * moves[b] into starts[b], of 32 bits, and moved[b]."""
    number = moved.dtype.type
    for b in range(places.size):
        place, rest = places[b] + first, 0
        if not _is_near(place):
            place, rest = (places[b], first) if _is_near(places[b]) else (0, place)
        starts[b] = place
        moved[b] = shift + scale * moves[b] + number(rest)


@kernel
def _neighbours(
    places: Any, size: int, moves: Any, scale: Any, shift: Any, pixels: Any, weights: Any, state: Any
) -> None:
    """Along one axis: the two pixels around places[b] + shift + scale * moves[b], their weights and their slopes."""
    number = weights.dtype.type
    half, one, far = number(0.5), number(1), number(_FAR)
    # In 32 bits, or the loop would be half as fast.
    end, last, bottom, below = np.int32(size), np.int32(size - 1), np.int32(0), np.int32(-1)
    for b in range(places.size):
        move = shift + scale * moves[b]
        undefined = move != move
        move = move if abs(move) < far else far
        whole = np.int32(move)
        whole = np.int32(whole - 1) if move < whole else whole
        part = move - number(whole)
        low = np.int32(whole + places[b])
        high = np.int32(low + 1)
        low_inside = (low >= bottom) & (low < end)
        high_inside = (high >= bottom) & (high < end)
        pixels[0, b] = min(max(low, bottom), last)
        pixels[1, b] = min(max(high, bottom), last)
        share = one if low_inside & high_inside else half
        weights[0, b] = share * (one - part if low_inside else part)
        weights[1, b] = share * (part if high_inside else one - part)
        weights[2, b] = -share if low_inside else share
        weights[3, b] = share if high_inside else -share
        outside = (low < below) | (low >= end)
        state[b] = min(state[b], _NOT_A_NUMBER if undefined else (_OUTSIDE if outside else 0))


@kernel
def _around(
    grid: Any,
    places: Any,
    offset: Any,
    g: int,
    t: int,
    begin: int,
    scale: Any,
    shift: Any,
    pixels: Any,
    weights: Any,
    state: Any,
) -> None:
    """The neighbours of a tile's samples of one tap along every axis; an axis that is not there has one place."""
    B, axes = places.shape[1], offset.shape[2]
    missing, number = 3 - axes, weights.dtype.type
    state[:] = 0
    for axis in range(3):
        if axis < missing:
            pixels[axis] = 0
            # There are two rows of corners, of one four, and one plane.
            weights[axis, :2] = number(1 if axis == 0 else 0.5)
            weights[axis, 2:] = 0
        else:
            moves = offset[g, t, axis - missing, begin : begin + B]
            size, first = grid[0, axis], grid[3 + t, axis]
            if _is_near(first) and _is_near(first + (grid[1, axis] - 1) * grid[2, axis]):
                starts = (places[axis] + first).astype(np.int32)
                _neighbours(starts, size, moves, scale, shift[t, axis], pixels[axis], weights[axis], state)
            else:
                starts, moved = np.empty(B, np.int32), np.empty(B, weights.dtype)
                _move_far(places[axis], first, moves, scale, shift[t, axis], starts, moved)
                _neighbours(starts, size, moved, number(1), number(0), pixels[axis], weights[axis], state)


@kernel
def _read_factors(mask: Any, g: int, t: int, begin: int, factor: Any) -> None:
    """The factors of a tile's samples of one tap; an infinite one is NaN, for it multiplies shares of 0."""
    undefined = factor.dtype.type(np.nan)
    if mask.shape[2]:
        for b in range(factor.size):
            number = mask[g, t, begin + b]
            factor[b] = number if abs(number) < np.inf else undefined


@kernel
def corners(grid: Any, offset: Any, mask: Any, scale: Any, shift: Any, begin: int, index: Any, weight: Any) -> None:
    """index[g, t, k, b] and weight[g, t, k, b]: the pixels around each sample, and how much it takes of each.

    `grid` holds sizes, output sizes and strides, then the first place of each tap, by axis; `mask` has no pixels where
    there is none.
    """
    G, T, K, B = index.shape
    H, W = grid[0, 1], grid[0, 2]
    places = np.empty((3, B), np.int64)
    _places(grid, begin, places)
    pixels, weights = np.empty((3, 2, B), np.int32), np.empty((3, 4, B), weight.dtype)
    state, factor = np.empty(B, np.int32), np.ones(B, weight.dtype)
    for g in range(G):
        for t in range(T):
            _around(grid, places, offset, g, t, begin, scale, shift, pixels, weights, state)
            _read_factors(mask, g, t, begin, factor)
            for k in range(K):
                z, y, x = k // 4, k // 2 % 2, k % 2
                for b in range(B):
                    index[g, t, k, b] = (pixels[0, z, b] * H + pixels[1, y, b]) * W + pixels[2, x, b]
                    weight[g, t, k, b] = weights[0, z, b] * weights[1, y, b] * weights[2, x, b] * factor[b]
            for b in range(B):
                if state[b] < 0:
                    index[g, t, 0, b] = state[b] if factor[b] == factor[b] else _NOT_A_NUMBER


@kernel
def _fill(columns: Any, at: int, count: int, number: Any) -> None:
    for c in range(count):
        columns[at + c] = number


@kernel
def gather(
    picture: Any, channels: int, taps: int, K: int, index: Any, weight: Any, segments: Any, columns: Any, B: int
) -> None:
    """Columns: the channels of each sample, at start + b * row + t * tap; where `tap` is 0, their sum over the taps.

    A segment is (first channel, channels, offset group, start, row, tap); `index` and `weight` are flat.
    """
    nothing, undefined = columns.dtype.type(0), columns.dtype.type(np.nan)
    one = spread(columns.dtype.type(1))
    for c0, count, g, start, row, tap in segments:
        for b in range(B):
            for t in range(taps):
                at = start + b * row + t * tap
                corner = (g * taps + t) * K * B + b
                mark = index[corner]
                first = t == 0 or tap > 0
                if mark < 0:
                    if mark == _NOT_A_NUMBER:
                        _fill(columns, at, count, undefined)
                    elif first:
                        _fill(columns, at, count, nothing)
                    continue
                for k in range(0, K, 4):
                    k0, k1, k2, k3 = corner, corner + B, corner + 2 * B, corner + 3 * B
                    corner += 4 * B
                    p0, p1 = index[k0] * channels + c0, index[k1] * channels + c0
                    p2, p3 = index[k2] * channels + c0, index[k3] * channels + c0
                    w0, w1, w2, w3 = spread(weight[k0]), spread(weight[k1]), spread(weight[k2]), spread(weight[k3])
                    for c in range(0, count, LANES):
                        left = count - c
                        sums = multiply(w0, take(picture, p0 + c, left))
                        sums = add_product(sums, w1, take(picture, p1 + c, left))
                        sums = add_product(sums, w2, take(picture, p2 + c, left))
                        sums = add_product(sums, w3, take(picture, p3 + c, left))
                        if k > 0 or not first:
                            sums = add_product(take(columns, at + c, left), one, sums)
                        put(columns, at + c, sums, left)


@kernel
def scatter(
    picture: Any,
    channels: int,
    taps: int,
    K: int,
    index: Any,
    weight: Any,
    segments: Any,
    grad_columns: Any,
    columns: Any,
    grad_picture: Any,
    dots: Any,
    B: int,
) -> None:
    """Back through `gather`, reading each corner once.

    grad_picture[corner] += weight * grad_columns; dots[g, t, k, b] = the product of grad_columns and the corner's
    channels, from which the gradients of offsets and mask follow; columns, the samples again, for the weight's.
    `grad_picture` and `columns` are empty where they are not wanted.
    """
    nothing, undefined = columns.dtype.type(0), columns.dtype.type(np.nan)
    one = spread(columns.dtype.type(1))
    spreads, samples = grad_picture.size > 0, columns.size > 0
    dots[:] = 0
    for c0, count, g, start, row, tap in segments:
        for b in range(B):
            for t in range(taps):
                at = start + b * row + t * tap
                corner = (g * taps + t) * K * B + b
                mark = index[corner]
                if mark < 0:
                    if samples:
                        _fill(columns, at, count, nothing if mark == _OUTSIDE else undefined)
                    continue
                for k in range(0, K, 4):
                    k0, k1, k2, k3 = corner, corner + B, corner + 2 * B, corner + 3 * B
                    corner += 4 * B
                    p0, p1 = index[k0] * channels + c0, index[k1] * channels + c0
                    p2, p3 = index[k2] * channels + c0, index[k3] * channels + c0
                    w0, w1, w2, w3 = spread(weight[k0]), spread(weight[k1]), spread(weight[k2]), spread(weight[k3])
                    d0 = d1 = d2 = d3 = spread(nothing)
                    for c in range(0, count, LANES):
                        left = count - c
                        grad = take(grad_columns, at + c, left)
                        v0, v1 = take(picture, p0 + c, left), take(picture, p1 + c, left)
                        v2, v3 = take(picture, p2 + c, left), take(picture, p3 + c, left)
                        d0, d1 = add_product(d0, grad, v0), add_product(d1, grad, v1)
                        d2, d3 = add_product(d2, grad, v2), add_product(d3, grad, v3)
                        if samples:
                            sums = add_product(multiply(w0, v0), w1, v1)
                            sums = add_product(add_product(sums, w2, v2), w3, v3)
                            if k > 0:
                                sums = add_product(take(columns, at + c, left), one, sums)
                            put(columns, at + c, sums, left)
                        if spreads:
                            # In turn: two corners at the border may be the same pixel.
                            put(grad_picture, p0 + c, add_product(take(grad_picture, p0 + c, left), w0, grad), left)
                            put(grad_picture, p1 + c, add_product(take(grad_picture, p1 + c, left), w1, grad), left)
                            put(grad_picture, p2 + c, add_product(take(grad_picture, p2 + c, left), w2, grad), left)
                            put(grad_picture, p3 + c, add_product(take(grad_picture, p3 + c, left), w3, grad), left)
                    dots[k0] += total(d0)
                    dots[k1] += total(d1)
                    dots[k2] += total(d2)
                    dots[k3] += total(d3)


@kernel
def slopes(
    grid: Any,
    offset: Any,
    mask: Any,
    scale: Any,
    shift: Any,
    begin: int,
    dots: Any,
    grad_offset: Any,
    grad_mask: Any,
    place: int,
) -> None:
    """The gradients of offsets and mask, from pixel `place` of theirs on, from the products of `scatter`."""
    G, T, K, B = dots.shape
    missing = 3 - offset.shape[2]
    places = np.empty((3, B), np.int64)
    _places(grid, begin, places)
    pixels, weights = np.empty((3, 2, B), np.int32), np.empty((3, 4, B), dots.dtype)
    state, factor = np.empty(B, np.int32), np.ones(B, dots.dtype)
    sums = np.empty((4, B), dots.dtype)
    nothing, undefined = dots.dtype.type(0), dots.dtype.type(np.nan)
    for g in range(G):
        for t in range(T):
            _around(grid, places, offset, g, t, begin, scale, shift, pixels, weights, state)
            _read_factors(mask, g, t, begin, factor)
            sums[:] = 0
            for k in range(K):
                z, y, x = k // 4, k // 2 % 2, k % 2
                for b in range(B):
                    dot = dots[g, t, k, b]
                    wz, wy, wx = weights[0, z, b], weights[1, y, b], weights[2, x, b]
                    sums[0, b] += weights[0, 2 + z, b] * wy * wx * dot
                    sums[1, b] += wz * weights[1, 2 + y, b] * wx * dot
                    sums[2, b] += wz * wy * weights[2, 2 + x, b] * dot
                    sums[3, b] += wz * wy * wx * dot
            for axis in range(missing, 3):
                for b in range(B):
                    slope = sums[axis, b] * factor[b] * scale
                    grad_offset[g, t, axis - missing, place + b] = slope if state[b] == 0 else nothing
            if mask.shape[2]:
                for b in range(B):
                    beyond = nothing if state[b] == _OUTSIDE else undefined
                    grad_mask[g, t, place + b] = sums[3, b] if state[b] == 0 else beyond
