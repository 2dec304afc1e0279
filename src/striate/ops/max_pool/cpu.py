"""Maxima of windows on the CPU: each row once, along itself, and then into every output whose window holds it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.ops._compile import kernel
from striate.ops._lanes import LANES, load, put, spread, store, take
from striate.ops._pooling.lanes import add, larger, lay, of_larger, put_whole, rounded, where_whole
from striate.ops._pooling.planes import (
    blank,
    geometry,
    numbers,
    read_by,
    reading,
    rows_of_a_band,
    share,
    taps_inside,
)
from striate.ops._pooling.taps import format_of

# Taps up to which asking each of them is faster than looking up which has won.
_FEW = 32


def forward(
    input: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    outputs: Sequence[int],
    channels_last: bool,
    kind: torch.dtype | None,
) -> tuple[Tensor, Tensor]:
    """The maxima of `(N, C, *sizes)`, and the numbers of the taps that read them; none of these without a `kind`."""
    planes, at = geometry(input.shape, outputs, kernel, stride, low, dilation, channels_last)
    layout, sizes = format_of(input.ndim, channels_last), (*input.shape[:2], *outputs)
    result, maxima = blank(sizes, input.dtype, layout)
    taps, winners = (torch.empty(0, dtype=torch.uint8), None) if kind is None else blank(sizes, kind, layout)
    source, run = numbers(input, layout), _of_pixels if channels_last else _of_rows
    share(planes, at[5], len(source), lambda *units: run(source, maxima, winners, at, *units))
    return result.to(input.dtype), taps


def backward(
    grad: Tensor,
    taps: Tensor,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    channels_last: bool,
) -> Tensor:
    """The gradient `(N, C, *sizes)` of the input: each output's goes where its tap has read."""
    shape = (*grad.shape[:2], *sizes)
    planes, at = geometry(shape, grad.shape[2:], kernel, stride, low, dilation, channels_last)
    layout = format_of(grad.ndim, channels_last)
    result, sums = blank(shape, grad.dtype, layout)
    grads, winners = numbers(grad, layout), numbers(taps, layout)
    run = _to_pixels if channels_last and math.prod(kernel) <= _FEW else _to_rows
    share(planes, at[1], len(sums), lambda *units: run(grads, winners, sums, at, *units))
    return result.to(grad.dtype)


@kernel
def _of_rows(input: Any, output: Any, winners: Any, at: Any, bands: int, first: int, last: int) -> None:
    """output[p, o] = the largest input[p, o * stride - low + k * dilation], winners[p, o] the k that reads it."""
    D, H, W, _, OD, OH, OW, KD, KH, KW, sz, sy, sx, lz, ly, lx, dz, dy, dx = at
    width, pitch = rounded(OW), rounded(max(OW + (KW - 1) * dx // sx, (lx + W) // sx)) + 2 * LANES
    nothing = input.dtype.type(-np.inf)
    phases = np.full(sx * pitch, nothing, input.dtype)
    offsets = np.array([kx * dx % sx * pitch + kx * dx // sx for kx in range(KW)])
    starts = np.zeros(width, input.dtype)
    for ox in range(OW):
        kx_from, kx_to = taps_inside(ox * sx - lx, W, KW, dx)
        starts[ox] = kx_from if kx_from < kx_to else -1
    rows = rows_of_a_band(bands, OH, H, KH, sy, ly, dy)
    best = np.empty(D * rows * width, input.dtype)
    taps = np.empty(1 if winners is None else best.size, input.dtype)
    for unit in range(first, last):
        p, band = unit // bands, unit % bands
        top, bottom = OH * band // bands, OH * (band + 1) // bands
        y_from, y_to = read_by(top, bottom, H, KH, sy, ly, dy)
        for z in range(D):
            for y in range(y_from, y_to):
                begin = ((p * D + z) * H + y) * W
                lay(input[begin : begin + W], lx, sx, phases, pitch)
                _along(phases, offsets, starts, best, taps, (z * rows + y - y_from) * width, winners)
        for oz in range(OD):
            z, (kz_from, kz_to) = oz * sz - lz, taps_inside(oz * sz - lz, D, KD, dz)
            for oy in range(top, bottom):
                y, (ky_from, ky_to) = oy * sy - ly, taps_inside(oy * sy - ly, H, KH, dy)
                begin = ((p * OD + oz) * OH + oy) * OW
                for v in range(0, OW, LANES):
                    held = spread(nothing)
                    which = held
                    for kz in range(kz_from, kz_to):
                        for ky in range(ky_from, ky_to):
                            place = ((z + kz * dz) * rows + y - y_from + ky * dy) * width + v
                            value = load(best, place)
                            if winners is not None:
                                tap = add(load(taps, place), spread(input.dtype.type((kz * KH + ky) * KW)))
                                if kz == kz_from and ky == ky_from:
                                    which = tap
                                which = of_larger(held, value, which, tap)
                            held = larger(held, value)
                    put(output, begin + v, held, OW - v)
                    if winners is not None:
                        put_whole(winners, begin + v, which, OW - v)
                if winners is not None:
                    for ox in range(OW):
                        if kz_from == kz_to or ky_from == ky_to or starts[ox] < 0:
                            winners[begin + ox] = -1


@kernel
def _along(phases: Any, offsets: Any, starts: Any, best: Any, taps: Any, to: int, winners: Any) -> None:
    """The maxima of the windows of a row, and the taps that read them; the first inside where all are -infinity."""
    for v in range(0, starts.size, LANES):
        held = spread(phases.dtype.type(-np.inf))
        which = load(starts, v)
        for kx in range(offsets.size):
            value = load(phases, offsets[kx] + v)
            if winners is not None:
                which = of_larger(held, value, which, spread(phases.dtype.type(kx)))
            held = larger(held, value)
        store(best, to + v, held)
        if winners is not None:
            store(taps, to + v, which)


@kernel
def _of_pixels(input: Any, output: Any, winners: Any, at: Any, bands: int, first: int, last: int) -> None:
    """`_of_rows` for channels-last: sixteen channels of one output at once."""
    D, H, W, inner, OD, OH, OW, KD, KH, KW, sz, sy, sx, lz, ly, lx, dz, dy, dx = at
    nothing = spread(input.dtype.type(-np.inf))
    for unit in range(first, last):
        p, band = unit // bands, unit % bands
        for oz in range(OD):
            z, (kz_from, kz_to) = oz * sz - lz, taps_inside(oz * sz - lz, D, KD, dz)
            for oy in range(OH * band // bands, OH * (band + 1) // bands):
                y, (ky_from, ky_to) = oy * sy - ly, taps_inside(oy * sy - ly, H, KH, dy)
                for ox in range(OW):
                    x, (kx_from, kx_to) = ox * sx - lx, taps_inside(ox * sx - lx, W, KW, dx)
                    to = (((p * OD + oz) * OH + oy) * OW + ox) * inner
                    none = kz_from == kz_to or ky_from == ky_to or kx_from == kx_to
                    start = -1 if none else (kz_from * KH + ky_from) * KW + kx_from
                    for i in range(0, inner, LANES):
                        held, which = nothing, spread(input.dtype.type(start))
                        for kz in range(kz_from, kz_to):
                            for ky in range(ky_from, ky_to):
                                row = ((p * D + z + kz * dz) * H + y + ky * dy) * W
                                for kx in range(kx_from, kx_to):
                                    value = take(input, (row + x + kx * dx) * inner + i, inner - i)
                                    if winners is not None:
                                        tap = spread(input.dtype.type((kz * KH + ky) * KW + kx))
                                        which = of_larger(held, value, which, tap)
                                    held = larger(held, value)
                        put(output, to + i, held, inner - i)
                        if winners is not None:
                            put_whole(winners, to + i, which, inner - i)


@kernel
def _to_rows(grads: Any, winners: Any, sums: Any, at: Any, bands: int, first: int, last: int) -> None:
    """sums[p, i] = the sum of grads[p, o] over the outputs whose tap winners[p, o] reads i."""
    D, H, W, inner, OD, OH, OW, KD, KH, KW, sz, sy, sx, lz, ly, lx, dz, dy, dx = at
    count = KD * KH * KW
    steps, rows = np.empty(count, np.int64), np.empty(count, np.int64)
    for tap in range(count):
        kz, ky, kx = tap // (KH * KW), tap // KW % KH, tap % KW
        steps[tap], rows[tap] = (((kz * dz) * H + ky * dy) * W + kx * dx) * inner, ky * dy
    for unit in range(first, last):
        p, band = unit // bands, unit % bands
        top, bottom = H * band // bands, H * (band + 1) // bands
        _clear(sums, p, top, bottom, at)
        oy_from, oy_to = reading(top, bottom, OH, KH, sy, ly, dy)
        for oz in range(OD):
            for oy in range(oy_from, oy_to):
                y = oy * sy - ly
                whole = y >= top and y + (KH - 1) * dy < bottom
                row = ((p * OD + oz) * OH + oy) * OW
                start = (((p * D + oz * sz - lz) * H + y) * W - lx) * inner
                for ox in range(OW):
                    for i in range(inner):
                        place = (row + ox) * inner + i
                        tap = winners[place]
                        if 0 <= tap < count and (whole or top <= y + rows[tap] < bottom):
                            sums[start + ox * sx * inner + i + steps[tap]] += grads[place]


@kernel
def _to_pixels(grads: Any, winners: Any, sums: Any, at: Any, bands: int, first: int, last: int) -> None:
    """`_to_rows` for channels-last and few taps: each of them asks sixteen channels whether it has won."""
    D, H, W, inner, OD, OH, OW, KD, KH, KW, sz, sy, sx, lz, ly, lx, dz, dy, dx = at
    for unit in range(first, last):
        p, band = unit // bands, unit % bands
        top, bottom = H * band // bands, H * (band + 1) // bands
        _clear(sums, p, top, bottom, at)
        oy_from, oy_to = reading(top, bottom, OH, KH, sy, ly, dy)
        for oz in range(OD):
            z, (kz_from, kz_to) = oz * sz - lz, taps_inside(oz * sz - lz, D, KD, dz)
            for oy in range(oy_from, oy_to):
                # Only the rows of this band are written.
                y, (ky_from, ky_to) = oy * sy - ly, taps_inside(oy * sy - ly - top, bottom - top, KH, dy)
                for ox in range(OW):
                    x, (kx_from, kx_to) = ox * sx - lx, taps_inside(ox * sx - lx, W, KW, dx)
                    begin = (((p * OD + oz) * OH + oy) * OW + ox) * inner
                    for i in range(0, inner, LANES):
                        grad = take(grads, begin + i, inner - i)
                        for kz in range(kz_from, kz_to):
                            for ky in range(ky_from, ky_to):
                                row = ((p * D + z + kz * dz) * H + y + ky * dy) * W + x
                                for kx in range(kx_from, kx_to):
                                    tap, to = (kz * KH + ky) * KW + kx, (row + kx * dx) * inner + i
                                    part = where_whole(winners, begin + i, inner - i, tap, grad)
                                    put(sums, to, add(take(sums, to, inner - i), part), inner - i)


@kernel
def _clear(sums: Any, p: int, top: int, bottom: int, at: Any) -> None:
    """Write zeros in the rows of a band."""
    D, H, row = at[0], at[1], at[2] * at[3]
    for z in range(D):
        begin = ((p * D + z) * H + top) * row
        sums[begin : begin + (bottom - top) * row] = 0
