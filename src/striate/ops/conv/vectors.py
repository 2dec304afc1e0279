"""Depthwise convolution of sixteen planes at a time, on the CPU, for both memory formats.

Sixteen planes are laid flat together, with a vector in every place. A tap is then one offset for all of them, no load
crosses a cache line, and sums stay in registers from the first tap to the last.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._compile import kernel
from striate.ops._door import memory_format
from striate.ops._lanes import LANES, add_product, load, put, store, take, transpose
from striate.ops._threads import Workspace, run_slabs
from striate.ops.conv.layout import Layout, in_slabs

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Planes:
    """Maps as planes of pixels in a flat array, in either memory format.

    Args:
        numbers: all of them, float32 or float64.
        images: in the batch.
        channels: of an image.
        pixels: of a plane.
        together: whether the channels of a pixel lie together.
    """

    numbers: Array
    images: int
    channels: int
    pixels: int
    together: bool

    def steps(self) -> tuple[int, int]:
        """From a plane to the next, and from a pixel to the next."""
        return (1, self.channels) if self.together else (self.pixels, 1)

    def blocks(self) -> Array:
        """Where each sixteen planes begin, and how many they are; those of other images fill a block up."""
        if self.together:
            image, c = np.indices((self.images, -(-self.channels // LANES))).reshape(2, -1)
            begins = image * self.pixels * self.channels + c * LANES
            return np.stack([begins, np.minimum(LANES, self.channels - c * LANES)], axis=1)
        planes = np.arange(0, self.images * self.channels, LANES)
        return np.stack([planes * self.pixels, np.minimum(LANES, self.images * self.channels - planes)], axis=1)

    def filters(self, taps: Tensor) -> Array:
        """Taps `(C, count)` as vectors `(blocks, count * 16)`; the blocks that follow repeat them."""
        if self.together:
            order = torch.arange(-(-self.channels // LANES) * LANES)
            padded = torch.cat([taps, taps.new_zeros(len(order) - self.channels, taps.shape[1])])
        else:
            order = torch.arange(math.lcm(self.channels, LANES)) % self.channels
            padded = taps
        vectors = padded[order].view(-1, LANES, taps.shape[1]).transpose(1, 2)
        array: Array = vectors.flatten(1).contiguous().numpy()
        return array

    def by_plane(self, sums: Array) -> Tensor:
        """Sums `(blocks, count, 16)` as `(images, C, count)`."""
        rows = torch.from_numpy(sums).transpose(1, 2)
        if self.together:
            return rows.reshape(self.images, -1, sums.shape[1])[:, : self.channels]
        return rows.reshape(-1, sums.shape[1])[: self.images * self.channels].view(self.images, self.channels, -1)


def _channels_together(maps: Tensor) -> bool:
    """Whether channels are taken as they lie in channels-last maps; a few would leave most of a vector empty."""
    return memory_format(maps) != torch.contiguous_format and maps.shape[1] >= LANES // 2


def _planes(maps: Tensor, together: bool) -> _Planes:
    wide = maps.detach() if maps.dtype in (torch.float32, torch.float64) else maps.detach().float()
    flat = wide.flatten(2).transpose(1, 2) if together else wide.flatten(2)
    images, channels, *sizes = maps.shape
    return _Planes(flat.reshape(-1).contiguous().numpy(), images, channels, math.prod(sizes), together)


def correlate(input: Tensor, taps: Tensor, bias: Tensor | None, at: Layout) -> Tensor:
    """The correlation of maps with one filter a channel.

    Args:
        input: `(N, C, *sizes)`.
        taps: `(C, count)`.
        bias: `(C,)` or None.
        at: how a plane lies.

    Returns:
        `(N, C, *output sizes)` in the input's dtype; channels-last if the input is, unless its channels are few.
    """
    together = _channels_together(input)
    maps = _planes(input, together)
    dtype = torch.from_numpy(maps.numbers).dtype
    layout = memory_format(input) if together else torch.contiguous_format
    result = torch.empty((*input.shape[:2], *at.outputs), dtype=dtype, memory_format=layout)
    outputs = _planes(result, together)
    filters = maps.filters(taps.detach().to(dtype))
    start = torch.zeros(maps.channels, dtype=dtype) if bias is None else bias.detach().to(dtype)
    starts = maps.filters(start[:, None])
    given = maps.numbers, maps.steps(), filters, starts, outputs.numbers, outputs.steps()
    blocks, written = maps.blocks(), outputs.blocks()

    workspace = Workspace()

    def work(band: _Band, first: int, last: int) -> None:
        begins, tos = blocks + [band.read * maps.steps()[1], 0], written + [band.written * outputs.steps()[1], 0]
        rooms = band.rooms(workspace, maps.numbers.dtype)
        _correlate_blocks(*(*band.sizes, *given, begins, tos, *rooms, first, last))

    _in_bands(at, len(blocks), work)
    return result.to(input.dtype)


def products(input: Tensor, grad: Tensor, at: Layout) -> Tensor:
    """The sums over places of the gradient times what each tap reads there: the weight's gradient.

    Args:
        input: `(N, C, *sizes)`.
        grad: `(N, C, *output sizes)`.
        at: how a plane lies.

    Returns:
        `(C, taps)`, float32 or float64.
    """
    together = _channels_together(input)
    maps, grads = _planes(input, together), _planes(grad, together)
    blocks, others = maps.blocks(), grads.blocks()
    sums = np.zeros((len(at.bands(len(blocks), LANES)), len(blocks), len(at.offsets) * LANES), maps.numbers.dtype)
    given = maps.numbers, maps.steps(), grads.numbers, grads.steps()

    workspace = Workspace()

    def work(band: _Band, first: int, last: int) -> None:
        begins, tos = blocks + [band.read * maps.steps()[1], 0], others + [band.written * grads.steps()[1], 0]
        rooms = band.rooms(workspace, maps.numbers.dtype)
        _products_of_blocks(*(*band.sizes, *given, begins, tos, *rooms, sums[band.number], first, last))

    _in_bands(at, len(blocks), work)
    whole = np.add.reduce(sums, axis=0)
    return maps.by_plane(whole.reshape(len(blocks), -1, LANES)).sum(0)


@dataclass(frozen=True, slots=True)
class _Band:
    """Some rows of the output.

    Args:
        number: of the band.
        sizes: what the kernels know of it: sizes of input and output, place and offsets.
        read: pixels of the input before the first that is read.
        written: pixels of the output before the first that is written.
    """

    number: int
    sizes: tuple[Any, ...]
    read: int
    written: int

    def rooms(self, workspace: Workspace, dtype: Any) -> tuple[Array, Array, Array]:
        """Vectors for a padded plane, for the pixels of the input and for those of the output."""
        sizes, outputs, place, _ = self.sizes
        names = {"plane": math.prod(place[3:]), "pixels": math.prod(sizes), "outputs": math.prod(outputs)}
        plane, pixels, others = (workspace.array(name, size * LANES, dtype) for name, size in names.items())
        return plane, pixels, others


def _in_bands(at: Layout, blocks: int, work: Callable[[_Band, int, int], None]) -> None:
    """Call `work(band, first, last)` for bands of rows and runs of blocks, the same whatever the number of threads."""
    bands = []
    for number, (first, last) in enumerate(at.bands(blocks, LANES)):
        own, rows = at.part(first, last)
        sizes = three(own.sizes, 1), three(own.outputs, 1), own.place, own.offsets
        bands.append(_Band(number, sizes, rows.start * math.prod(at.sizes[1:]), first * math.prod(at.outputs[1:])))
    if len(bands) == 1:
        in_slabs(blocks, lambda first, last: work(bands[0], first, last))
    else:
        run_slabs(lambda slab: work(bands[slab // blocks], slab % blocks, slab % blocks + 1), len(bands) * blocks)


@kernel
def _correlate_blocks(
    sizes: Any,
    shape: Any,
    place: Any,
    offsets: Any,
    numbers: Any,
    steps: Any,
    filters: Any,
    starts: Any,
    result: Any,
    result_steps: Any,
    blocks: Any,
    result_blocks: Any,
    plane: Any,
    pixels: Any,
    sums: Any,
    first: int,
    last: int,
) -> None:
    for block in range(first, last):
        begin, count = blocks[block]
        own = block % len(filters)
        _lay(numbers, begin, steps, count, sizes, place, pixels, plane)
        to = result_blocks[block, 0]
        _correlate(plane, offsets, filters[own], starts[own], shape, place, sums, result, to, result_steps, count)


@kernel
def _products_of_blocks(
    sizes: Any,
    shape: Any,
    place: Any,
    offsets: Any,
    numbers: Any,
    steps: Any,
    grads: Any,
    grad_steps: Any,
    blocks: Any,
    grad_blocks: Any,
    plane: Any,
    pixels: Any,
    others: Any,
    sums: Any,
    first: int,
    last: int,
) -> None:
    for block in range(first, last):
        begin, count = blocks[block]
        _lay(numbers, begin, steps, count, sizes, place, pixels, plane)
        _bring(grads, grad_blocks[block, 0], grad_steps, count, shape[0] * shape[1] * shape[2], others, 0)
        _products(plane, offsets, others, shape, place, sums[block])


@kernel
def _bring(source: Any, at: int, steps: Any, count: int, pixels: int, target: Any, to: int) -> None:
    """The pixels of sixteen planes as vectors; of `count` planes, with zeros for the rest."""
    plane, pixel = steps
    if plane == 1:
        for x in range(pixels):
            store(target, to + x * LANES, take(source, at + x * pixel, count))
    elif count == LANES and pixels >= LANES:
        for x in range(0, pixels, LANES):
            # The last sixteen pixels overlap those before.
            x = min(x, pixels - LANES)
            transpose(source, at + x, plane, target, to + x * LANES, LANES)
    else:
        for x in range(pixels):
            for i in range(LANES):
                target[to + x * LANES + i] = source[at + i * plane + x] if i < count else 0


@kernel
def _give(source: Any, at: int, pixels: int, target: Any, to: int, steps: Any, count: int) -> None:
    """Vectors as the pixels of sixteen planes, or of the first `count`."""
    plane, pixel = steps
    if plane == 1:
        for x in range(pixels):
            put(target, to + x * pixel, load(source, at + x * LANES), count)
    elif count == LANES and pixels >= LANES:
        for x in range(0, pixels, LANES):
            x = min(x, pixels - LANES)
            transpose(source, at + x * LANES, LANES, target, to + x, plane)
    else:
        for i in range(count):
            for x in range(pixels):
                target[to + i * plane + x] = source[at + x * LANES + i]


@kernel
def _lay(numbers: Any, begin: int, steps: Any, count: int, sizes: Any, place: Any, pixels: Any, plane: Any) -> None:
    """Lay sixteen planes flat: phase by phase of the stride, padded with zeros."""
    depth, height, width = sizes
    low_z, low_y, low_x, step_z, step_y, step_x, pitch_z, pitch_y, pitch_x = place
    # Short rows of planes are no whole vectors, and those of a stride go to several places.
    direct = step_x == 1 and (steps[0] == 1 or width >= LANES)
    if not direct:
        _bring(numbers, begin, steps, count, depth * height * width, pixels, 0)
    plane[:] = 0
    at = 0
    for z in range(depth):
        for y in range(height):
            at_z, at_y = z + low_z, y + low_y
            phase = ((at_z % step_z) * step_y + at_y % step_y) * step_x
            line = (at_z // step_z * pitch_y + at_y // step_y) * pitch_x
            if direct:
                to = phase * pitch_z * pitch_y * pitch_x + line + low_x
                _bring(numbers, begin + at * steps[1], steps, count, width, plane, to * LANES)
            else:
                for x in range(width):
                    at_x = x + low_x
                    to = (phase + at_x % step_x) * pitch_z * pitch_y * pitch_x + line + at_x // step_x
                    store(plane, to * LANES, load(pixels, (at + x) * LANES))
            at += width


@kernel
def _correlate(
    plane: Any,
    offsets: Any,
    filters: Any,
    start: Any,
    shape: Any,
    place: Any,
    sums: Any,
    result: Any,
    begin: int,
    steps: Any,
    planes: int,
) -> None:
    """result[z, y, x] = start + sum over t of filters[t] * plane[(z, y, x) + offsets[t]], sixteen planes at once."""
    OD, OH, OW = shape
    height, width, count = place[7], place[8], offsets.size
    bias, by_rows = load(start, 0), steps[0] == 1 or OW >= LANES
    for z in range(OD):
        for y in range(OH):
            row, to = (z * height + y) * width, (z * OH + y) * OW
            x = 0
            while x + 8 <= OW:
                a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = bias
                for t in range(count):
                    w, p = load(filters, t * LANES), (row + x + offsets[t]) * LANES
                    a0 = add_product(a0, w, load(plane, p))
                    a1 = add_product(a1, w, load(plane, p + LANES))
                    a2 = add_product(a2, w, load(plane, p + 2 * LANES))
                    a3 = add_product(a3, w, load(plane, p + 3 * LANES))
                    a4 = add_product(a4, w, load(plane, p + 4 * LANES))
                    a5 = add_product(a5, w, load(plane, p + 5 * LANES))
                    a6 = add_product(a6, w, load(plane, p + 6 * LANES))
                    a7 = add_product(a7, w, load(plane, p + 7 * LANES))
                q = (to + x) * LANES
                store(sums, q, a0)
                store(sums, q + LANES, a1)
                store(sums, q + 2 * LANES, a2)
                store(sums, q + 3 * LANES, a3)
                store(sums, q + 4 * LANES, a4)
                store(sums, q + 5 * LANES, a5)
                store(sums, q + 6 * LANES, a6)
                store(sums, q + 7 * LANES, a7)
                x += 8
            while x < OW:
                a0 = bias
                for t in range(count):
                    a0 = add_product(a0, load(filters, t * LANES), load(plane, (row + x + offsets[t]) * LANES))
                store(sums, (to + x) * LANES, a0)
                x += 1
            if by_rows:
                _give(sums, to * LANES, OW, result, begin + to * steps[1], steps, planes)
    if not by_rows:
        _give(sums, 0, OD * OH * OW, result, begin, steps, planes)


@kernel
def _products(plane: Any, offsets: Any, grads: Any, shape: Any, place: Any, sums: Any) -> None:
    """sums[t] = sum over (z, y, x) of grads[z, y, x] * plane[(z, y, x) + offsets[t]], sixteen planes at once."""
    OD, OH, OW = shape
    height, width, count = place[7], place[8], offsets.size
    nothing = load(sums, 0)
    t = 0
    while t + 9 <= count:
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = nothing
        o0, o1, o2 = offsets[t] * LANES, offsets[t + 1] * LANES, offsets[t + 2] * LANES
        o3, o4, o5 = offsets[t + 3] * LANES, offsets[t + 4] * LANES, offsets[t + 5] * LANES
        o6, o7, o8 = offsets[t + 6] * LANES, offsets[t + 7] * LANES, offsets[t + 8] * LANES
        for z in range(OD):
            for y in range(OH):
                row, to = (z * height + y) * width * LANES, (z * OH + y) * OW * LANES
                for x in range(0, OW * LANES, LANES):
                    g, p = load(grads, to + x), row + x
                    s0 = add_product(s0, g, load(plane, p + o0))
                    s1 = add_product(s1, g, load(plane, p + o1))
                    s2 = add_product(s2, g, load(plane, p + o2))
                    s3 = add_product(s3, g, load(plane, p + o3))
                    s4 = add_product(s4, g, load(plane, p + o4))
                    s5 = add_product(s5, g, load(plane, p + o5))
                    s6 = add_product(s6, g, load(plane, p + o6))
                    s7 = add_product(s7, g, load(plane, p + o7))
                    s8 = add_product(s8, g, load(plane, p + o8))
        store(sums, t * LANES, s0)
        store(sums, (t + 1) * LANES, s1)
        store(sums, (t + 2) * LANES, s2)
        store(sums, (t + 3) * LANES, s3)
        store(sums, (t + 4) * LANES, s4)
        store(sums, (t + 5) * LANES, s5)
        store(sums, (t + 6) * LANES, s6)
        store(sums, (t + 7) * LANES, s7)
        store(sums, (t + 8) * LANES, s8)
        t += 9
    while t < count:
        s0, o0 = nothing, offsets[t] * LANES
        for z in range(OD):
            for y in range(OH):
                row, to = (z * height + y) * width * LANES, (z * OH + y) * OW * LANES
                for x in range(0, OW * LANES, LANES):
                    s0 = add_product(s0, load(grads, to + x), load(plane, row + x + o0))
        store(sums, t * LANES, s0)
        t += 1
