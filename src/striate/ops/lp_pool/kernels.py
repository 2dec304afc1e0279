"""The kernels of norms of windows, line by line of the output or of the input.

A line is the last axis of a plane, with the channels of a pixel together where they lie so. Arrays are flat; `at` holds
(depth, height, width) of the input, of the output, of the kernel, its stride, low padding and dilation, and how many
numbers lie together in a pixel.
"""

import math
from typing import Any

import numpy as np

from striate.ops._compile import kernel

ABSOLUTE, SQUARE, POWERED = 1, 2, 0
"""What is summed: absolute numbers, their squares, or what has been raised to its power already."""


@kernel
def _places(at: Any) -> Any:
    # fmt: off
    return (
        at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7], at[8], at[9],
        at[10], at[11], at[12], at[13], at[14], at[15], at[16], at[17], at[18],
    )
    # fmt: on


@kernel
def sum_lines(source: Any, mode: int, at: Any, line: Any, result: Any, first: int, last: int) -> None:
    """result[o] = the sum of what the window o reads, or with squares the root of that, for lines of the output."""
    D, H, W, OD, OH, OW, KD, KH, KW, SD, SH, SW, low_z, low_y, low_x, ED, EH, EW, L = _places(at)
    spans = _spans(at)
    for number in range(first, last):
        p, y = number // OH, number % OH
        p, z = p // OD, p % OD
        empty = True
        for a in range(KD):
            iz = z * SD + a * ED - low_z
            if iz < 0 or iz >= D:
                continue
            for b in range(KH):
                iy = y * SH + b * EH - low_y
                if iy < 0 or iy >= H:
                    continue
                begin = ((p * D + iz) * H + iy) * W * L
                _add_line(source[begin : begin + W * L], mode, line, empty)
                empty = False
        out = result[number * OW * L : (number + 1) * OW * L]
        out[:] = 0
        if not empty:
            tap = 0
            while tap < KW:
                span = spans[tap, 0], spans[tap, 1], spans[tap, 2]
                if _paired(at, spans, tap):
                    _read_pairs(line, span, out)
                    tap += 1
                else:
                    _read_along(line, span, SW, L, out)
                tap += 1
            if mode == SQUARE:
                for i in range(OW * L):
                    out[i] = math.sqrt(out[i])


@kernel
def _add_line(row: Any, mode: int, line: Any, begins: bool) -> None:
    n = row.size
    if begins and mode == SQUARE:
        for i in range(n):
            line[i] = row[i] * row[i]
    elif begins and mode == ABSOLUTE:
        for i in range(n):
            line[i] = abs(row[i])
    elif begins:
        line[:n] = row
    elif mode == SQUARE:
        for i in range(n):
            line[i] += row[i] * row[i]
    elif mode == ABSOLUTE:
        for i in range(n):
            line[i] += abs(row[i])
    else:
        for i in range(n):
            line[i] += row[i]


@kernel
def _spans(at: Any) -> Any:
    """For each tap along a line the outputs x with 0 <= x * stride + shift < W: the first, how many, and the shift."""
    W, OW, KW, SW, low, EW = at[2], at[5], at[8], at[11], at[14], at[17]
    spans = np.empty((KW, 3), np.int64)
    for tap in range(KW):
        shift = tap * EW - low
        first = max(0, -(shift // SW))
        spans[tap, 0], spans[tap, 1], spans[tap, 2] = first, min(OW, (W - 1 - shift) // SW + 1) - first, shift
    return spans


@kernel
def _paired(at: Any, spans: Any, tap: int) -> bool:
    """Whether a tap and the next are side by side at a stride of 2, and inside for the same outputs."""
    side_by_side = at[11] == 2 and at[17] == 1 and at[18] == 1 and tap + 1 < len(spans)
    return side_by_side and spans[tap, 0] == spans[tap + 1, 0] and spans[tap, 1] == spans[tap + 1, 1]


@kernel
def _read_along(line: Any, span: Any, step: int, L: int, out: Any) -> None:
    """out[x] += line[x * step + shift] where that is inside."""
    first, count, shift = span
    # Behind a slice no index is negative, so that loops become vectors.
    read, to = line[(first * step + shift) * L :], out[first * L :]
    if L > 1:
        for x in range(count):
            pixel, sums = read[x * step * L : (x * step + 1) * L], to[x * L : (x + 1) * L]
            for i in range(L):
                sums[i] += pixel[i]
    elif step == 1:
        for x in range(count):
            to[x] += read[x]
    else:
        for x in range(count):
            to[x] += read[x * step]


@kernel
def _read_pairs(line: Any, span: Any, out: Any) -> None:
    """`_read_along` with a stride of 2 for two taps side by side, which together leave no gap."""
    first, count, shift = span
    read, to = line[first * 2 + shift :], out[first:]
    for x in range(count):
        to[x] += read[2 * x] + read[2 * x + 1]


@kernel
def correct_lines(
    source: Any, power: float, least: Any, most: Any, at: Any, result: Any, first: int, last: int
) -> None:
    """Norms out of a range are computed again, from numbers divided by the largest of their window."""
    D, H, W, OD, OH, OW, KD, KH, KW, SD, SH, SW, low_z, low_y, low_x, ED, EH, EW, L = _places(at)
    for number in range(first, last):
        out = result[number * OW * L : (number + 1) * OW * L]
        wrong = 0
        for i in range(OW * L):
            wrong += (out[i] < least) | (out[i] > most)
        if wrong == 0:
            continue
        p, y = number // OH, number % OH
        p, z = p // OD, p % OD
        for i in range(OW * L):
            # Not so where it is not a number.
            if not (out[i] < least or out[i] > most):
                continue
            x, c = i // L, i % L
            largest, total = 0.0, 0.0
            for turn in range(2):
                for a in range(KD):
                    iz = z * SD + a * ED - low_z
                    for b in range(KH):
                        iy = y * SH + b * EH - low_y
                        for t in range(KW):
                            ix = x * SW + t * EW - low_x
                            if 0 <= iz < D and 0 <= iy < H and 0 <= ix < W:
                                read = abs(source[(((p * D + iz) * H + iy) * W + ix) * L + c])
                                if turn == 0:
                                    largest = max(largest, float(read))
                                else:
                                    total += (read / largest) ** power
                if largest == 0 or largest == float("inf"):
                    break
            out[i] = largest * total ** (1 / power) if 0 < largest < float("inf") else largest


@kernel
def out_of_range(numbers: Any, least: Any, most: Any) -> int:
    """How many of the numbers are neither zero nor in a range."""
    count = 0
    for i in range(numbers.size):
        count += (numbers[i] != 0) & ((numbers[i] < least) | (numbers[i] > most))
    return count


@kernel
def spread_lines(shares: Any, mode: int, source: Any, at: Any, line: Any, result: Any, first: int, last: int) -> None:
    """result[i] = the sum of the shares of the windows that read i, for lines of the input.

    With squares it is multiplied by the source, and with absolute numbers by its sign.
    """
    D, H, W, OD, OH, OW, KD, KH, KW, SD, SH, SW, low_z, low_y, low_x, ED, EH, EW, L = _places(at)
    spans = _spans(at)
    for number in range(first, last):
        p, iy = number // H, number % H
        p, iz = p // D, p % D
        empty = True
        for a in range(KD):
            z = iz + low_z - a * ED
            if z < 0 or z % SD or z // SD >= OD:
                continue
            for b in range(KH):
                y = iy + low_y - b * EH
                if y < 0 or y % SH or y // SH >= OH:
                    continue
                begin = ((p * OD + z // SD) * OH + y // SH) * OW * L
                _add_line(shares[begin : begin + OW * L], POWERED, line, empty)
                empty = False
        out, own = result[number * W * L : (number + 1) * W * L], source[number * W * L : (number + 1) * W * L]
        out[:] = 0
        if empty:
            continue
        tap = 0
        while tap < KW:
            span = spans[tap, 0], spans[tap, 1], spans[tap, 2]
            if _paired(at, spans, tap):
                _write_pairs(line, span, out)
                tap += 1
            else:
                _write_along(line, span, SW, L, out)
            tap += 1
        if mode == SQUARE:
            for i in range(W * L):
                # A number that no window reads may be infinite.
                out[i] = out[i] * own[i] if out[i] != 0 else out[i]
        elif mode == ABSOLUTE:
            for i in range(W * L):
                out[i] *= (own[i] > 0) - (own[i] < 0)


@kernel
def _write_along(line: Any, span: Any, step: int, L: int, out: Any) -> None:
    """out[x * step + shift] += line[x] where that is inside."""
    first, count, shift = span
    to, read = out[(first * step + shift) * L :], line[first * L :]
    if L > 1:
        for x in range(count):
            sums, pixel = to[x * step * L : (x * step + 1) * L], read[x * L : (x + 1) * L]
            for i in range(L):
                sums[i] += pixel[i]
    elif step == 1:
        for x in range(count):
            to[x] += read[x]
    else:
        for x in range(count):
            to[x * step] += read[x]


@kernel
def _write_pairs(line: Any, span: Any, out: Any) -> None:
    """`_write_along` with a stride of 2 for two taps side by side, which together leave no gap."""
    first, count, shift = span
    to, read = out[first * 2 + shift :], line[first:]
    for x in range(count):
        to[2 * x] += read[x]
        to[2 * x + 1] += read[x]


@kernel
def spread_ratios(
    grads: Any, norms: Any, power: float, source: Any, at: Any, result: Any, first: int, last: int
) -> None:
    """The input's gradient, from ratios of a number and the norms of its windows, for lines of the input."""
    D, H, W, OD, OH, OW, KD, KH, KW, SD, SH, SW, low_z, low_y, low_x, ED, EH, EW, L = _places(at)
    for number in range(first, last):
        p, iy = number // H, number % H
        p, iz = p // D, p % D
        for i in range(W * L):
            ix, c = i // L, i % L
            own, total = source[number * W * L + i], 0.0
            for a in range(KD):
                z = iz + low_z - a * ED
                for b in range(KH):
                    y = iy + low_y - b * EH
                    for t in range(KW):
                        x = ix + low_x - t * EW
                        if z < 0 or z % SD or y < 0 or y % SH or x < 0 or x % SW or own == 0:
                            continue
                        z0, y0, x0 = z // SD, y // SH, x // SW
                        if z0 < OD and y0 < OH and x0 < OW:
                            o = (((p * OD + z0) * OH + y0) * OW + x0) * L + c
                            total += grads[o] * (abs(own) / norms[o]) ** (power - 1)
            result[number * W * L + i] = total if own > 0 else -total
