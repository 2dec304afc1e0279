"""Averages of windows on the CPU: the rows of a window are added up, and then the sum along itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._compile import kernel
from striate.ops._lanes import LANES, load, multiply, put, spread, store, take
from striate.ops._pooling.lanes import add, divide, lay, lift, rounded
from striate.ops._pooling.planes import (
    blank,
    geometry,
    numbers,
    reader,
    reading,
    share,
    taps_inside,
)
from striate.ops._pooling.taps import format_of


def forward(
    input: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    outputs: Sequence[int],
    counted: Sequence[int],
    divisor: int,
    channels_last: bool,
) -> Tensor:
    """The averages of `(N, C, *sizes)`."""
    planes, at = geometry(input.shape, outputs, kernel, stride, low, dilation, channels_last)
    layout = format_of(input.ndim, channels_last)
    result, averages = blank((*input.shape[:2], *outputs), input.dtype, layout)
    source, run = numbers(input, layout), _of_pixels if channels_last else _of_rows
    among = _counted(counted), divisor
    share(planes, at[5], len(source), lambda *units: run(source, averages, at, among, *units))
    return result.to(input.dtype)


def backward(
    grad: Tensor,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    counted: Sequence[int],
    divisor: int,
    channels_last: bool,
) -> Tensor:
    """The gradient `(N, C, *sizes)` of the input: each place gets its part of the outputs whose windows hold it."""
    shape = (*grad.shape[:2], *sizes)
    planes, at = geometry(shape, grad.shape[2:], kernel, stride, low, dilation, channels_last)
    layout = format_of(grad.ndim, channels_last)
    result, sums = blank(shape, grad.dtype, layout)
    grads, run = numbers(grad, layout), _to_pixels if channels_last else _to_rows
    among = _counted(counted), divisor
    share(planes, at[1], len(sums), lambda *units: run(grads, sums, at, among, *units))
    return result.to(grad.dtype)


def _counted(counted: Sequence[int]) -> tuple[int, ...]:
    """Where the places begin and end that an average counts, along depth, height and width."""
    axes = len(counted) // 2
    return *three(counted[:axes], 0), *three(counted[axes:], 1)


@kernel
def _many(o: int, stride: int, low: int, taps: int, dilation: int, start: int, end: int) -> int:
    """How many taps of a window along one axis read from start to end; 1 if none does."""
    first, last = taps_inside(o * stride - low - start, end - start, taps, dilation)
    return max(1, last - first)


@kernel
def _of_rows(input: Any, output: Any, at: Any, among: Any, bands: int, first: int, last: int) -> None:
    """output[p, o] = the sum over k of input[p, o * stride - low + k * dilation], over how many are counted."""
    D, H, W, _, OD, OH, OW, KD, KH, KW, sz, sy, sx, lz, ly, lx, dz, dy, dx = at
    (z0, y0, x0, z1, y1, x1), divisor = among
    width, pitch = rounded(OW), rounded(max(OW + (KW - 1) * dx // sx, (lx + W) // sx)) + 2 * LANES
    zero = input.dtype.type(0)
    phases = np.zeros(sx * pitch, input.dtype)
    offsets = np.array([kx * dx % sx * pitch + kx * dx // sx for kx in range(KW)])
    many = np.ones(width, input.dtype)
    for ox in range(OW):
        many[ox] = _many(ox, sx, lx, KW, dx, x0, x1) if divisor == 0 else 1
    line = np.zeros(rounded(W), input.dtype)
    for unit in range(first, last):
        p, band = unit // bands, unit % bands
        for oz in range(OD):
            z, (kz_from, kz_to) = oz * sz - lz, taps_inside(oz * sz - lz, D, KD, dz)
            for oy in range(OH * band // bands, OH * (band + 1) // bands):
                y, (ky_from, ky_to) = oy * sy - ly, taps_inside(oy * sy - ly, H, KH, dy)
                for v in range(0, W, LANES):
                    total = spread(zero)
                    for kz in range(kz_from, kz_to):
                        for ky in range(ky_from, ky_to):
                            row = ((p * D + z + kz * dz) * H + y + ky * dy) * W
                            total = add(total, take(input, row + v, W - v))
                    store(line, v, total)
                lay(line[:W], lx, sx, phases, pitch)
                lines = _many(oz, sz, lz, KD, dz, z0, z1) * _many(oy, sy, ly, KH, dy, y0, y1)
                scale = spread(input.dtype.type(lines if divisor == 0 else divisor))
                for v in range(0, OW, LANES):
                    total = spread(zero)
                    for offset in offsets:
                        total = add(total, load(phases, offset + v))
                    total = divide(total, multiply(load(many, v), scale))
                    put(output, ((p * OD + oz) * OH + oy) * OW + v, total, OW - v)


@kernel
def _to_rows(grads: Any, sums: Any, at: Any, among: Any, bands: int, first: int, last: int) -> None:
    """sums[p, i] = the sum of grads[p, o], over how many o counts, for every tap of a window o that reads i."""
    D, H, W, _, OD, OH, OW, KD, KH, KW, sz, sy, sx, lz, ly, lx, dz, dy, dx = at
    (z0, y0, x0, z1, y1, x1), divisor = among
    width, margin, end = rounded(OW), (KW - 1) * dx // sx, (lx + W - 1) // sx + 1
    pitch = rounded(end) + 2 * LANES
    phases, held = np.zeros(sx * pitch, grads.dtype), np.zeros(margin + max(width, end) + 2 * LANES, grads.dtype)
    many = np.ones(width, grads.dtype)
    for ox in range(OW):
        many[ox] = _many(ox, sx, lx, KW, dx, x0, x1) if divisor == 0 else 1
    rows, found = OH if bands == 1 else _most_rows(bands, at), np.zeros(KD * KH, np.int64)
    parts = np.empty(OD * rows * width, grads.dtype)
    for unit in range(first, last):
        p, band = unit // bands, unit % bands
        top, bottom = H * band // bands, H * (band + 1) // bands
        oy_from, oy_to = reading(top, bottom, OH, KH, sy, ly, dy)
        for oz in range(OD):
            for oy in range(oy_from, oy_to):
                lines = _many(oz, sz, lz, KD, dz, z0, z1) * _many(oy, sy, ly, KH, dy, y0, y1)
                scale = spread(grads.dtype.type(lines if divisor == 0 else divisor))
                begin, to = ((p * OD + oz) * OH + oy) * OW, (oz * rows + oy - oy_from) * width
                for v in range(0, width, LANES):
                    part = divide(take(grads, begin + v, OW - v), multiply(load(many, v), scale))
                    store(parts, to + v, part)
        before = -1
        for z in range(D):
            for y in range(top, bottom):
                count, same = 0, True
                for kz in range(KD):
                    oz = reader(z, kz, sz, lz, dz, 0, OD)
                    for ky in range(KH):
                        oy = reader(y, ky, sy, ly, dy, oy_from, oy_to)
                        if oz >= 0 and oy >= 0:
                            place = (oz * rows + oy - oy_from) * width
                            same = same and found[count] == place
                            found[count] = place
                            count += 1
                # Where windows do not overlap, the next row gets the same.
                if not same or count != before:
                    _spread_along(parts, found[:count], width, held, margin, phases, pitch, at)
                before = count
                begin = ((p * D + z) * H + y) * W
                lift(phases, pitch, lx, sx, sums[begin : begin + W])


@kernel
def _spread_along(parts: Any, found: Any, width: int, held: Any, margin: int, phases: Any, pitch: int, at: Any) -> None:
    """The sum of some rows of outputs, and what of it every place of the input's row gets, phase by phase."""
    W, KW, sx, lx, dx = at[2], at[9], at[12], at[15], at[18]
    nothing = spread(parts.dtype.type(0))
    for v in range(0, width, LANES):
        total = nothing
        for place in found:
            total = add(total, load(parts, place + v))
        store(held, margin + v, total)
    for phase in range(sx):
        for v in range(lx // sx, (lx + W - 1) // sx + 1, LANES):
            total = nothing
            for kx in range(KW):
                if kx * dx % sx == phase:
                    total = add(total, load(held, margin + v - kx * dx // sx))
            store(phases, phase * pitch + v, total)


@kernel
def _most_rows(bands: int, at: Any) -> int:
    """The most rows of outputs that read one of the bands of the input's rows."""
    H, OH, KH, sy, ly, dy = at[1], at[5], at[8], at[11], at[14], at[17]
    most = 0
    for band in range(bands):
        first, last = reading(H * band // bands, H * (band + 1) // bands, OH, KH, sy, ly, dy)
        most = max(most, last - first)
    return most


@kernel
def _of_pixels(input: Any, output: Any, at: Any, among: Any, bands: int, first: int, last: int) -> None:
    """`_of_rows` for channels-last: sixteen channels of one output at once."""
    D, H, W, inner, OD, OH, OW, KD, KH, KW, sz, sy, sx, lz, ly, lx, dz, dy, dx = at
    (z0, y0, x0, z1, y1, x1), divisor = among
    for unit in range(first, last):
        p, band = unit // bands, unit % bands
        for oz in range(OD):
            z, (kz_from, kz_to) = oz * sz - lz, taps_inside(oz * sz - lz, D, KD, dz)
            for oy in range(OH * band // bands, OH * (band + 1) // bands):
                y, (ky_from, ky_to) = oy * sy - ly, taps_inside(oy * sy - ly, H, KH, dy)
                lines = _many(oz, sz, lz, KD, dz, z0, z1) * _many(oy, sy, ly, KH, dy, y0, y1)
                for ox in range(OW):
                    x, (kx_from, kx_to) = ox * sx - lx, taps_inside(ox * sx - lx, W, KW, dx)
                    many = lines * _many(ox, sx, lx, KW, dx, x0, x1) if divisor == 0 else divisor
                    to = (((p * OD + oz) * OH + oy) * OW + ox) * inner
                    for i in range(0, inner, LANES):
                        total = spread(input.dtype.type(0))
                        for kz in range(kz_from, kz_to):
                            for ky in range(ky_from, ky_to):
                                row = ((p * D + z + kz * dz) * H + y + ky * dy) * W + x
                                for kx in range(kx_from, kx_to):
                                    total = add(total, take(input, (row + kx * dx) * inner + i, inner - i))
                        put(output, to + i, divide(total, spread(input.dtype.type(many))), inner - i)


@kernel
def _to_pixels(grads: Any, sums: Any, at: Any, among: Any, bands: int, first: int, last: int) -> None:
    """`_to_rows` for channels-last."""
    D, H, W, inner, OD, OH, OW, KD, KH, KW, sz, sy, sx, lz, ly, lx, dz, dy, dx = at
    (z0, y0, x0, z1, y1, x1), divisor = among
    for unit in range(first, last):
        p, band = unit // bands, unit % bands
        top, bottom = H * band // bands, H * (band + 1) // bands
        for z in range(D):
            begin = ((p * D + z) * H + top) * W * inner
            sums[begin : begin + (bottom - top) * W * inner] = 0
        oy_from, oy_to = reading(top, bottom, OH, KH, sy, ly, dy)
        for oz in range(OD):
            z, (kz_from, kz_to) = oz * sz - lz, taps_inside(oz * sz - lz, D, KD, dz)
            for oy in range(oy_from, oy_to):
                # Only the rows of this band are written.
                y, (ky_from, ky_to) = oy * sy - ly, taps_inside(oy * sy - ly - top, bottom - top, KH, dy)
                lines = _many(oz, sz, lz, KD, dz, z0, z1) * _many(oy, sy, ly, KH, dy, y0, y1)
                for ox in range(OW):
                    x, (kx_from, kx_to) = ox * sx - lx, taps_inside(ox * sx - lx, W, KW, dx)
                    many = lines * _many(ox, sx, lx, KW, dx, x0, x1) if divisor == 0 else divisor
                    begin = (((p * OD + oz) * OH + oy) * OW + ox) * inner
                    for i in range(0, inner, LANES):
                        part = divide(take(grads, begin + i, inner - i), spread(grads.dtype.type(many)))
                        for kz in range(kz_from, kz_to):
                            for ky in range(ky_from, ky_to):
                                row = ((p * D + z + kz * dz) * H + y + ky * dy) * W + x
                                for kx in range(kx_from, kx_to):
                                    to = (row + kx * dx) * inner + i
                                    put(sums, to, add(take(sums, to, inner - i), part), inner - i)
