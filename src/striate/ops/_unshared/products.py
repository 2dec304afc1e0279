"""What the CPU rooms of unshared convolution launch: planes and spots in the kernels' order, shared out to threads."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from striate.ops._threads import run_slabs
from striate.ops._unshared import kernels
from striate.ops._unshared.kernels import LANES, LINE, TOGETHER
from striate.ops._unshared.turning import Array, Part, flat, in_parts, parts, read, room, write

# Parts of the work, the same whatever the threads, and the products worth a part of their own. The parts of a transpose
# overlap: so many are made of it that this is not most of them, or the least.
_SLABS, _LEAST_SLABS, _WORTH = 8, 4, 1 << 17
# Up to so many images, and from so many numbers of a window on, the kernels for a few images are faster.
_FEW, _LONG = 3, 32
# Weights of low precision that are widened at a time, so that they stay in the second-level cache.
_TILE = 1 << 18


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the windows of a convolution stand in the plane that its padding makes of the input.

    Args:
        outputs: of the convolution, or inputs of the transposed one: spots by axis, as all that follow.
        kernel: taps.
        stride: places from one window to the next.
        low: padding before the input.
        dilation: places from one tap to the next.
    """

    outputs: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    low: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def of(cls, weight: Tensor, stride: Sequence[int], low: Sequence[int], dilation: Sequence[int]) -> "Grid":
        """That of weights `(*outputs, out, in/groups, *kernel)`."""
        axes = len(stride)
        return cls(
            tuple(weight.shape[:axes]), tuple(weight.shape[axes + 2 :]), tuple(stride), tuple(low), tuple(dilation)
        )

    @property
    def spans(self) -> tuple[int, ...]:
        """Sizes of the plane, from the first place that a window reads to the last."""
        along = zip(self.outputs, self.kernel, self.stride, self.dilation, strict=True)
        return tuple((n - 1) * s + d * (k - 1) + 1 for n, k, s, d in along)


class Layer:
    """Weights of every spot, and the sizes of what they are multiplied by.

    Args:
        weight: `(*outputs, out, C/groups, *kernel)`.
        grid: where its windows stand.
        channels: C, of the plane.
        images: in the batch, at least one.
    """

    def __init__(self, weight: Tensor, grid: Grid, channels: int, images: int) -> None:
        axes = len(grid.outputs)
        self.grid, self.channels, self.out, into = grid, channels, *weight.shape[axes : axes + 2]
        self.spots, self.window = math.prod(grid.outputs), into * math.prod(grid.kernel)
        self.dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
        self.few = images <= _FEW and self.window >= _LONG
        self.images = images if self.few else -(-images // TOGETHER) * TOGETHER
        starts, taps = _tables(grid, channels, into, self.images)
        self._at = starts, taps, into * self.images, channels // into, self.images
        self._rows = weight.detach().contiguous().view(self.spots, -1)
        self._numbers = flat(self._rows) if weight.dtype == self.dtype else None
        self._slabs = min(_SLABS, max(1, weight.numel() * self.images // _WORTH))

    def plane(self, maps: Tensor) -> Array:
        """The padded input of the convolution `(N, C, *sizes)`, for the products."""
        return flat(read("plane", maps, self.grid.low, self.grid.spans, self.images, self.dtype))

    def outputs(self, maps: Tensor) -> Array:
        """Its output `(N, out, *outputs)`, for the products."""
        return flat(read("outputs", maps, self._origin, self.grid.outputs, self.images, self.dtype))

    def gather(self, plane: Array, bias: Tensor | None, result: Tensor) -> None:
        """Write the sums over all windows to `(N, out, *outputs)`."""
        spots = room("sums", (*self.grid.outputs, self.out, self.images), self.dtype)
        numbers = flat(spots)

        def work(first: int, last: int) -> None:
            for begin, end, weight, base in self._weights(first, last):
                if self.few:
                    kernels.few_sums(*self._at, plane, weight, self._room(), base, begin, end, numbers)
                else:
                    kernels.sums(*self._at, plane, weight, base, begin, end, numbers)

        in_parts(self.spots, self._slabs, work)
        write(spots, self._origin, bias, result)

    def scatter(self, spots: Array, bias: Tensor | None, result: Tensor) -> None:
        """Add what each spot spreads over its window, and write it to `(N, C, *sizes)`."""
        plane = room("spread", (*self.grid.spans, self.channels, self.images), self.dtype)
        place, starts = self.channels * self.images, self._at[0]
        reach = (int(self._at[1].max()) // place + 1) * place
        slabs = parts(self.spots, min(self._slabs, max(_LEAST_SLABS, plane.numel() // reach)))
        # Neighbours overlap: each has a piece of the plane to itself, and the pieces are added in order.
        begins = starts[[first for first, _ in slabs]]
        sizes = starts[[last - 1 for _, last in slabs]] + reach - begins
        ends = sizes.cumsum()
        pieces = flat(room("pieces", (int(ends[-1]),), self.dtype))

        def work(slab: int) -> None:
            origin, piece = begins[slab], pieces[ends[slab] - sizes[slab] : ends[slab]]
            piece.fill(0)
            for begin, end, weight, base in self._weights(*slabs[slab]):
                if self.few:
                    kernels.few_spread(*self._at, spots, weight, self._room(), base, begin, end, piece, origin)
                else:
                    kernels.spread(*self._at, spots, weight, base, begin, end, piece, origin)

        run_slabs(work, len(slabs))
        kernels.join(pieces, begins, sizes, flat(plane))
        write(plane, self.grid.low, bias, result)

    def outer(self, plane: Array, spots: Array, result: Tensor) -> None:
        """Write the products of windows and spots, summed over the images, to weights."""
        rows, numbers = result.view(self.spots, -1), flat(result) if self._numbers is not None else None
        lined = rows.data_ptr() % LINE == 0 and self.window % LANES == 0

        def work(first: int, last: int) -> None:
            if numbers is not None:
                kernels.outer(*self._at, plane, spots, self._room(), 0, first, last, numbers, lined)
                return
            for begin, end in self._tiles(first, last):
                wide = torch.empty(end - begin, rows.shape[1], dtype=self.dtype)
                kernels.outer(*self._at, plane, spots, self._room(), begin, begin, end, flat(wide), False)
                rows[begin:end] = wide

        in_parts(self.spots, self._slabs, work)

    @property
    def _origin(self) -> tuple[int, ...]:
        return (0,) * len(self.grid.outputs)

    def _room(self) -> Array:
        """Room for a window of each image; what rounds it up stays zero."""
        size = self.images * -(-self.window // LANES) * LANES
        return np.zeros(size, np.float64 if self.dtype == torch.float64 else np.float32)

    def _tiles(self, first: int, last: int) -> list[Part]:
        step = max(1, _TILE // self._rows.shape[1])
        return [(begin, min(begin + step, last)) for begin in range(first, last, step)]

    def _weights(self, first: int, last: int) -> Iterator[tuple[int, int, Array, int]]:
        """Spots from begin to end, flat weights that hold theirs, and the spot with which these begin."""
        if self._numbers is not None:
            yield first, last, self._numbers, 0
            return
        for begin, end in self._tiles(first, last):
            yield begin, end, flat(self._rows[begin:end].to(self.dtype)), begin


@lru_cache(maxsize=64)
def _tables(grid: Grid, channels: int, into: int, images: int) -> tuple[Array, Array]:
    """Where each window begins in a flat plane, and where the numbers of one group lie from there."""
    starts, taps = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for span, n, k, s, d in zip(grid.spans, grid.outputs, grid.kernel, grid.stride, grid.dilation, strict=True):
        starts = (starts[:, None] * span + np.arange(n) * s).ravel()
        taps = (taps[:, None] * span + np.arange(k) * d).ravel()
    numbers = (np.arange(into)[:, None] + taps * channels) * images
    return starts * (channels * images), numbers.ravel()
