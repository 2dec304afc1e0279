"""Where the samples of a tile of output pixels stand, and the corners around them, in Triton.

Places along three axes are tuples (z, y, x); an axis that is not there has the size 1 and no corners. Coordinates are
split into whole pixels and a part below 1, so that a far place costs no precision.
"""

from typing import NamedTuple

from striate.ops._triton import jit, tl

NEAR = 2**29
"""Where no place of a window, and no pixel, is as far as this, 32 bits hold it."""
# More than any picture has, and less than 32 and 64 bits hold with a place added.
_FAR, _FARTHER = tl.constexpr(2.0**30), tl.constexpr(2.0**61)


class Taps(NamedTuple):
    """What a kernel is compiled for: taps of a window, along three axes, and how numbers and indices are held."""

    axes: int
    many: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    low: tuple[int, ...]
    dilation: tuple[int, ...]
    middle: tuple[int, ...]
    scale: float
    remove_center: bool
    masked: bool
    number: str
    integer: str


@jit
def _along(place, tap, offset, TAPS: tl.constexpr, AXIS: tl.constexpr):
    """One axis: the pixel below each sample, the part above it, and whether there is no saying."""
    start = place.to(tl.dtype(TAPS.integer)) * TAPS.stride[AXIS] - TAPS.low[AXIS]
    step = tl.cast(tap, tl.dtype(TAPS.integer)) * TAPS.dilation[AXIS]
    FAR: tl.constexpr = _FAR if TAPS.integer == "int32" else _FARTHER
    if TAPS.scale == 1:
        start += step
        move = offset
    else:
        start += TAPS.middle[AXIS]
        move = (tl.cast(step - TAPS.middle[AXIS], tl.dtype(TAPS.number)) + offset) * TAPS.scale
    unknown = move != move
    move = tl.where(unknown, 0, tl.minimum(tl.maximum(move, -FAR), FAR))
    whole = tl.floor(move)
    return start + whole.to(tl.dtype(TAPS.integer)), move - whole, unknown


@jit
def places_of(m, outputs):
    """The image of each pixel of all images, its number there, and its place (z, y, x)."""
    P = outputs[0] * outputs[1] * outputs[2]
    n = m // P
    p = m - n * P
    row = p // outputs[2]
    plane = row // outputs[1]
    return n, p, (plane, row - plane * outputs[1], p - row * outputs[2])


@jit
def samples_of(offset, mask, places, own, g, t, outputs, G, TAPS: tl.constexpr):
    """The samples of tap t for pixels at their places, in offset group g: (below, part, unknown, factor).

    `own` tells pixels from the rest of the tile. The factor of a sample that stands nowhere is NaN, as an infinite one.
    """
    n, p, place = places
    P = outputs[0] * outputs[1] * outputs[2]
    at = (n * G + g) * TAPS.many + t
    # The number of a tap in the window, in the order of rows.
    k = t
    if TAPS.remove_center:
        k += tl.cast(t >= TAPS.many // 2, tl.int32)
    first = offset + at * TAPS.axes * P + p
    move = tl.load(first + (TAPS.axes - 1) * P, mask=own, other=0).to(tl.dtype(TAPS.number))
    x, part_x, unknown = _along(place[2], k % TAPS.kernel[2], move, TAPS, 2)
    y, z, part_y, part_z = x, x, part_x, part_x
    if TAPS.axes > 1:
        move = tl.load(first + (TAPS.axes - 2) * P, mask=own, other=0).to(tl.dtype(TAPS.number))
        y, part_y, lost = _along(place[1], k // TAPS.kernel[2] % TAPS.kernel[1], move, TAPS, 1)
        unknown = unknown | lost
    if TAPS.axes > 2:
        move = tl.load(first, mask=own, other=0).to(tl.dtype(TAPS.number))
        z, part_z, lost = _along(place[0], k // (TAPS.kernel[1] * TAPS.kernel[2]), move, TAPS, 0)
        unknown = unknown | lost
    factor = part_x * 0 + 1
    if TAPS.masked:
        factor = tl.load(mask + at * P + p, mask=own, other=0).to(tl.dtype(TAPS.number))
        factor = tl.where(tl.abs(factor) < float("inf"), factor, float("nan"))
    factor = tl.where(unknown, float("nan"), factor)
    return (z, y, x), (part_z, part_y, part_x), unknown & own, factor


@jit
def corner_of(below, part, exists, sizes, CORNER: tl.constexpr, TAPS: tl.constexpr):
    """One corner of each sample: its pixel, whether it is in the picture, and its shares along the axes.

    The bits of CORNER say which of two neighbours it is along x, y and z.
    """
    x = below[2] + CORNER % 2
    inside = exists & (x >= 0) & (x < sizes[2])
    pixel = x
    share_x = part[2] if CORNER % 2 else 1 - part[2]
    share_y, share_z = part[2] * 0 + 1, part[2] * 0 + 1
    if TAPS.axes > 1:
        y = below[1] + CORNER // 2 % 2
        inside = inside & (y >= 0) & (y < sizes[1])
        pixel += y * sizes[2]
        share_y = part[1] if CORNER // 2 % 2 else 1 - part[1]
    if TAPS.axes > 2:
        z = below[0] + CORNER // 4
        inside = inside & (z >= 0) & (z < sizes[0])
        pixel += z * sizes[1] * sizes[2]
        share_z = part[0] if CORNER // 4 else 1 - part[0]
    return tl.where(inside, pixel, 0).to(tl.dtype(TAPS.integer)), inside, share_z, share_y, share_x


@jit
def sampled(
    input,
    first,
    c,
    own_c,
    own,
    samples,
    sizes,
    C,
    TAPS: tl.constexpr,
):
    """A tile (pixels, channels) of samples, times their factors; `first` is the first pixel of each one's picture."""
    below, part, unknown, factor = samples
    exists = own & (unknown == 0)
    total = tl.zeros((own.shape[0], c.shape[0]), tl.dtype(TAPS.number))
    for corner in tl.static_range(2**TAPS.axes):
        pixel, inside, share_z, share_y, share_x = corner_of(below, part, exists, sizes, corner, TAPS)
        at = input + ((first + pixel) * C)[:, None] + c[None, :]
        values = tl.load(at, mask=inside[:, None] & own_c[None, :], other=0).to(tl.dtype(TAPS.number))
        total += values * (share_z * share_y * share_x * factor)[:, None]
    return total
