"""The three products of unshared convolution, spot by spot: sums over windows, their transpose, and outer products.

A plane is padded and flat, `(places * C * images,)`, the images innermost; what a convolution gives are spots, flat as
`(spots * out * images,)`. A window is then a table of offsets, the same at every spot, and each weight multiplies a
vector of images. A few images would leave most of it empty: for them a window is gathered first, and the vectors lie
along the weights.

Every kernel takes the spots `first` to `last` of weights `(spots, groups * each, numbers of a window)`, of which spot
`base` is the first that is there. `starts` says where each spot's window begins, `taps` where the numbers of one group
lie from there, and `group` is from one group to the next.

Indices: p spot, g group, o output channel of the group, k number of the window, n image.
"""

from typing import Any

from striate.ops._compile import kernel
from striate.ops._unshared.blocks import (
    add_first_products,
    add_first_scaled,
    add_outer,
    add_products,
    add_scaled,
    add_to,
    empty_1x8,
    empty_1x16,
    empty_4x8,
    empty_4x16,
    empty_8x8,
    empty_8x16,
    fetch_block,
    fetch_line,
    lanes_of,
    put_first,
    put_rows,
    put_totals,
    rows_of,
    stream_rows,
    turn,
)

LANES = 16
"""What the room for the numbers of a window is rounded up to."""

LINE = 64
"""Bytes of a line of the caches."""

TOGETHER = 8
"""What the number of images is rounded up to, unless they are few."""

# Numbers fetched ahead of the weights, whose rows are too short for the processor to foresee the next: 32 KiB.
_AHEAD = 8192


@kernel
def collect(maps: Any, image: Any, begins: Any, starts: Any, length: int, step: int, plane: Any) -> None:
    """plane[starts[l] + i * step + n] = maps[begins[l] + image[n] + i] for lines l, their numbers i and images n."""
    images = image.size
    for line in range(begins.size):
        n = 0
        while n + TOGETHER <= images:
            i = 0
            while i + TOGETHER <= length:
                turn(maps, begins[line] + i, image, n, plane, starts[line] + i * step + n, step)
                i += TOGETHER
            for rest in range(i, length):
                for m in range(n, n + TOGETHER):
                    plane[starts[line] + rest * step + m] = maps[begins[line] + image[m] + rest]
            n += TOGETHER
        for m in range(n, images):
            for i in range(length):
                plane[starts[line] + i * step + m] = maps[begins[line] + image[m] + i]


@kernel
def distribute(plane: Any, place: Any, starts: Any, begins: Any, images: int, image: int, maps: Any) -> None:
    """maps[begins[l] + n * image + i] = plane[starts[l] + place[i] + n] for lines l, their numbers i and images n."""
    length = place.size
    for line in range(begins.size):
        n = 0
        while n + TOGETHER <= images:
            i = 0
            while i + TOGETHER <= length:
                turn(plane, starts[line] + n, place, i, maps, begins[line] + n * image + i, image)
                i += TOGETHER
            for rest in range(i, length):
                for m in range(n, n + TOGETHER):
                    maps[begins[line] + m * image + rest] = plane[starts[line] + place[rest] + m]
            n += TOGETHER
        for m in range(n, images):
            for i in range(length):
                maps[begins[line] + m * image + i] = plane[starts[line] + place[i] + m]


@kernel
def sums(
    starts: Any,
    taps: Any,
    group: int,
    groups: int,
    images: int,
    plane: Any,
    weight: Any,
    base: int,
    first: int,
    last: int,
    spots: Any,
) -> None:
    """spots[p, o, n] = sum over k of weight[p, o, k] * plane[window k of p, n], for whole vectors of images."""
    each = spots.size // (starts.size * groups * images)
    wide = images // LANES * LANES
    for p in range(first, last):
        for g in range(groups):
            row = (p * groups + g) * each
            at = starts[p] + g * group, (row - base * groups * each) * taps.size, row * images
            if wide > 0:
                o = _sum_rows(empty_8x16(plane), 0, each, at, taps, 0, wide, images, plane, weight, spots)
                o = _sum_rows(empty_4x16(plane), o, each, at, taps, 0, wide, images, plane, weight, spots)
                _sum_rows(empty_1x16(plane), o, each, at, taps, 0, wide, images, plane, weight, spots)
            if wide < images:
                o = _sum_rows(empty_8x8(plane), 0, each, at, taps, wide, images, images, plane, weight, spots)
                o = _sum_rows(empty_4x8(plane), o, each, at, taps, wide, images, images, plane, weight, spots)
                _sum_rows(empty_1x8(plane), o, each, at, taps, wide, images, images, plane, weight, spots)


@kernel
def _sum_rows(
    empty: Any,
    o: int,
    each: int,
    at: Any,
    taps: Any,
    begin: int,
    end: int,
    images: int,
    plane: Any,
    weight: Any,
    spots: Any,
) -> int:
    """As many output channels at a time as a block has rows, from `o` on; returns the first that is left."""
    rows, K = rows_of(empty), taps.size
    window, filters, to = at
    while o + rows <= each:
        row = filters + o * K
        for n in range(begin, end, lanes_of(empty)):
            block = empty
            for k in range(K):
                block = add_outer(block, weight, row + k, K, plane, window + taps[k] + n)
                fetch_line(block, weight, row + k * rows + _AHEAD)
            put_rows(block, spots, to + o * images + n, images, 0)
        o += rows
    return o


@kernel
def spread(
    starts: Any,
    taps: Any,
    group: int,
    groups: int,
    images: int,
    spots: Any,
    weight: Any,
    base: int,
    first: int,
    last: int,
    plane: Any,
    origin: int,
) -> None:
    """plane[window k of p, n] += sum over o of weight[p, o, k] * spots[p, o, n]; the plane begins at `origin`."""
    each = spots.size // (starts.size * groups * images)
    wide = images // LANES * LANES
    for p in range(first, last):
        for g in range(groups):
            row = (p * groups + g) * each
            at = starts[p] - origin + g * group, (row - base * groups * each) * taps.size, row * images
            if wide > 0:
                k = _spread_rows(empty_8x16(plane), 0, each, at, taps, 0, wide, images, spots, weight, plane)
                k = _spread_rows(empty_4x16(plane), k, each, at, taps, 0, wide, images, spots, weight, plane)
                _spread_rows(empty_1x16(plane), k, each, at, taps, 0, wide, images, spots, weight, plane)
            if wide < images:
                k = _spread_rows(empty_8x8(plane), 0, each, at, taps, wide, images, images, spots, weight, plane)
                k = _spread_rows(empty_4x8(plane), k, each, at, taps, wide, images, images, spots, weight, plane)
                _spread_rows(empty_1x8(plane), k, each, at, taps, wide, images, images, spots, weight, plane)


@kernel
def _spread_rows(
    empty: Any,
    k: int,
    each: int,
    at: Any,
    taps: Any,
    begin: int,
    end: int,
    images: int,
    spots: Any,
    weight: Any,
    plane: Any,
) -> int:
    """As many numbers of the window at a time as a block has rows, from `k` on; returns the first that is left."""
    rows, K = rows_of(empty), taps.size
    window, filters, to = at
    while k + rows <= K:
        ahead = _ahead(k, each, K)
        for n in range(begin, end, lanes_of(empty)):
            block = empty
            for o in range(each):
                block = add_outer(block, weight, filters + o * K + k, 1, spots, to + o * images + n)
                fetch_line(block, weight, filters + o * K + ahead)
            add_to(block, plane, window + n, taps, k)
        k += rows
    return k


@kernel
def _ahead(k: int, each: int, K: int) -> int:
    """What is read after number k of a row where rows are read side by side: of this spot, or of one of the next."""
    places, number = divmod(k + max(LANES, _AHEAD // each), K)
    return places * each * K + number


@kernel
def join(pieces: Any, begins: Any, sizes: Any, plane: Any) -> None:
    """The sum of pieces that lie one behind another, and belong to a plane from `begins` on; zeros between them."""
    covered = first = 0
    for piece in range(begins.size):
        begin, end = begins[piece], begins[piece] + sizes[piece]
        plane[covered:begin] = 0
        both = max(min(covered, end), begin)
        for i in range(begin, both):
            plane[i] += pieces[first + i - begin]
        for i in range(both, end):
            plane[i] = pieces[first + i - begin]
        covered = max(covered, end)
        first += sizes[piece]
    plane[covered:] = 0


@kernel
def outer(
    starts: Any,
    taps: Any,
    group: int,
    groups: int,
    images: int,
    plane: Any,
    spots: Any,
    room: Any,
    base: int,
    first: int,
    last: int,
    weight: Any,
    lined: bool,
) -> None:
    """weight[p, o, k] = sum over n of spots[p, o, n] * plane[window k of p, n].

    If vectors of weights are `lined` up with the caches, these need not be read before they are written.
    """
    each = spots.size // (starts.size * groups * images)
    width = (taps.size + LANES - 1) // LANES * LANES
    for p in range(first, last):
        for g in range(groups):
            _gather(plane, starts[p] + g * group, taps, images, width, room)
            row = (p * groups + g) * each
            at = (row - base * groups * each) * taps.size, row * images, lined
            o = _outer_rows(empty_8x16(plane), 0, each, at, taps.size, images, width, spots, room, weight)
            o = _outer_rows(empty_4x16(plane), o, each, at, taps.size, images, width, spots, room, weight)
            _outer_rows(empty_1x16(plane), o, each, at, taps.size, images, width, spots, room, weight)


@kernel
def _gather(plane: Any, window: int, taps: Any, images: int, width: int, room: Any) -> None:
    """room[n, k] = plane[window k, n], rows of `width`."""
    k = 0
    if images % TOGETHER == 0:
        while k + TOGETHER <= taps.size:
            for n in range(0, images, TOGETHER):
                turn(plane, window + n, taps, k, room, n * width + k, width)
            k += TOGETHER
    for rest in range(k, taps.size):
        for n in range(images):
            room[n * width + rest] = plane[window + taps[rest] + n]


@kernel
def _outer_rows(
    empty: Any, o: int, each: int, at: Any, K: int, images: int, width: int, spots: Any, room: Any, weight: Any
) -> int:
    """As many output channels at a time as a block has rows, from `o` on; returns the first that is left."""
    rows = rows_of(empty)
    filters, to, lined = at
    while o + rows <= each:
        for k in range(0, K, LANES):
            block = empty
            for n in range(images):
                block = add_outer(block, spots, to + o * images + n, images, room, n * width + k)
            target = filters + o * K
            if lined:
                stream_rows(block, weight, target + k, K, LANES)
                continue
            fetch_block(block, weight, target + k * rows + _AHEAD)
            if k + LANES <= K:
                put_rows(block, weight, target + k, K, LANES)
            else:
                put_first(block, weight, target + k, K, K - k)
        o += rows
    return o


@kernel
def few_sums(
    starts: Any,
    taps: Any,
    group: int,
    groups: int,
    images: int,
    plane: Any,
    weight: Any,
    room: Any,
    base: int,
    first: int,
    last: int,
    spots: Any,
) -> None:
    """What `sums` gives, along the weights; room holds a window of every image."""
    each = spots.size // (starts.size * groups * images)
    width = (taps.size + LANES - 1) // LANES * LANES
    for p in range(first, last):
        for g in range(groups):
            _gather(plane, starts[p] + g * group, taps, images, width, room)
            row = (p * groups + g) * each
            at = (row - base * groups * each) * taps.size, row * images
            o = _few_sum_rows(empty_8x16(plane), 0, each, at, taps.size, images, width, room, weight, spots)
            o = _few_sum_rows(empty_4x16(plane), o, each, at, taps.size, images, width, room, weight, spots)
            _few_sum_rows(empty_1x16(plane), o, each, at, taps.size, images, width, room, weight, spots)


@kernel
def _few_sum_rows(
    empty: Any, o: int, each: int, at: Any, K: int, images: int, width: int, room: Any, weight: Any, spots: Any
) -> int:
    """As many output channels at a time as a block has rows, from `o` on; returns the first that is left."""
    rows, full = rows_of(empty), K // LANES * LANES
    filters, to = at
    while o + rows <= each:
        row = filters + o * K
        for n in range(images):
            block = empty
            for k in range(0, full, LANES):
                block = add_products(block, weight, row + k, K, room, n * width + k, LANES)
                fetch_block(block, weight, row + k * rows + _AHEAD)
            if full < K:
                block = add_first_products(block, weight, row + full, K, room, n * width + full, K - full)
            put_totals(block, spots, to + o * images + n, images)
        o += rows
    return o


@kernel
def few_spread(
    starts: Any,
    taps: Any,
    group: int,
    groups: int,
    images: int,
    spots: Any,
    weight: Any,
    room: Any,
    base: int,
    first: int,
    last: int,
    plane: Any,
    origin: int,
) -> None:
    """What `spread` adds, along the weights; room holds the sums of a window."""
    each = spots.size // (starts.size * groups * images)
    for p in range(first, last):
        for g in range(groups):
            row = (p * groups + g) * each
            window = starts[p] - origin + g * group
            at = (row - base * groups * each) * taps.size, row * images
            for n in range(images):
                k = _few_spread_rows(empty_8x16(plane), 0, each, at, taps.size, n, images, spots, weight, room)
                k = _few_spread_rows(empty_4x16(plane), k, each, at, taps.size, n, images, spots, weight, room)
                k = _few_spread_rows(empty_1x16(plane), k, each, at, taps.size, n, images, spots, weight, room)
                if k < taps.size:
                    block = empty_1x16(plane)
                    for o in range(each):
                        row = at[0] + o * taps.size + k
                        block = add_first_scaled(block, weight, row, 0, spots, at[1] + o * images + n, taps.size - k)
                    put_rows(block, room, k, 0, LANES)
                for k in range(taps.size):
                    plane[window + taps[k] + n] += room[k]


@kernel
def _few_spread_rows(
    empty: Any, k: int, each: int, at: Any, K: int, n: int, images: int, spots: Any, weight: Any, room: Any
) -> int:
    """As many vectors of the window at a time as a block has rows, from `k` on; returns the first number left."""
    rows = rows_of(empty)
    filters, to = at
    while k + rows * LANES <= K:
        block, ahead = empty, _ahead(k, each, K)
        for o in range(each):
            block = add_scaled(block, weight, filters + o * K + k, LANES, spots, to + o * images + n, LANES)
            fetch_block(block, weight, filters + o * K + ahead)
        put_rows(block, room, k, LANES, LANES)
        k += rows * LANES
    return k
