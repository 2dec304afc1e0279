"""Pictures read between their pixels, tile by tile of the output."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._door import memory_format
from striate.ops._lanes import LANES
from striate.ops._sampling import kernels
from striate.ops._threads import Workspace

Segments = NDArray[np.int64]
"""Rows of (first channel, channels, offset group, first column, columns a pixel, columns a tap)."""

Array = NDArray[Any]

# Numbers of a tile's columns and corners, so that they stay in the second-level cache.
_TILE = 262144


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the taps of a window stand before offsets move them.

    Args:
        sizes: of the picture, by axis.
        outputs: sizes of the output.
        stride: from one window to the next.
        starts: the first place of each tap, whole, `(taps, axes)`.
        shift: what is added to that, in pixels, `(taps, axes)`; None for nothing.
        scale: pixels for an offset of 1.
    """

    sizes: Sequence[int]
    outputs: Sequence[int]
    stride: Sequence[int]
    starts: NDArray[np.int64]
    shift: NDArray[np.float64] | None = None
    scale: float = 1.0


class Samples:
    """Pictures with offsets and mask, ready to be read.

    Args:
        input: `(N, C, *sizes)`.
        offset: `(N, groups * taps * axes, *outputs)`.
        mask: `(N, groups * taps, *outputs)` or None.
        grid: where the taps stand.
    """

    def __init__(self, input: Tensor, offset: Tensor, mask: Tensor | None, grid: Grid) -> None:
        axes, self.taps = len(grid.sizes), len(grid.starts)
        self.images, self.channels = input.shape[:2]
        self.pixels = math.prod(grid.outputs)
        self.dtype = torch.float64 if input.dtype == torch.float64 else torch.float32
        self.pictures = _bits(rows(input.detach()).contiguous().flatten(1))
        self.offset_groups = offset.shape[1] // (self.taps * axes)
        sizes = self.images, self.offset_groups, self.taps
        self.offsets = self._numbers(offset).reshape(*sizes, axes, self.pixels)
        self.masks = self._numbers(offset[..., :0] if mask is None else mask).reshape(
            *sizes, self.pixels if mask is not None else 0
        )
        self.corners = 8 if axes == 3 else 4
        table = [three(grid.sizes, 1), three(grid.outputs, 1), three(grid.stride, 1)]
        self._grid = np.array(table + [three(start, 0) for start in grid.starts.tolist()], dtype=np.int64)
        number = self.offsets.dtype.type
        shift = np.zeros((self.taps, axes)) if grid.shift is None else grid.shift
        # Taps may be so far apart that float32 cannot hold it, and infinity would not come back.
        shift = np.clip(shift, np.finfo(number).min, np.finfo(number).max)
        self._move = number(grid.scale), np.array([three(row, 0) for row in shift.tolist()], dtype=number)
        self._workspace = Workspace()

    def _numbers(self, tensor: Tensor) -> Array:
        array: Array = tensor.detach().to(self.dtype).contiguous().numpy()
        return array

    def room(self, name: str, *sizes: int, dtype: Any = None) -> Array:
        """An array of this thread's, whose contents last until the thread asks for that name again."""
        return self._workspace.array(name, math.prod(sizes), dtype or self.offsets.dtype).reshape(sizes)

    def tiles(self, columns: int, first: int = 0, last: int | None = None) -> list[tuple[int, int]]:
        """The output pixels from `first` to `last` in tiles of (begin, end), the same whatever the threads.

        Args:
            columns: columns a pixel.
            first: the first pixel.
            last: one behind the last; None for all.
        """
        last = self.pixels if last is None else last
        numbers = columns + 3 * self.offset_groups * self.taps * self.corners
        size = max(LANES, min(1024, _TILE // numbers) // LANES * LANES)
        return [(begin, min(begin + size, last)) for begin in range(first, last, size)]

    def gather(self, image: int, begin: int, end: int, segments: Segments, columns: Array) -> None:
        """Write the samples of a tile to flat columns."""
        index, weight = self._corners(image, begin, end)
        sizes = self.channels, self.taps, self.corners
        kernels.gather(self.pictures[image], *sizes, index.ravel(), weight.ravel(), segments, columns, end - begin)

    def scatter(
        self,
        image: int,
        begin: int,
        end: int,
        segments: Segments,
        grad_columns: Array,
        columns: Array,
        grad_picture: Array,
    ) -> Array:
        """Add the gradients of a tile's columns to the picture's, and write the columns, where there is room.

        Returns:
            `(groups, taps, corners, pixels)`: the products from which `slopes` makes the gradients of offsets and mask.
        """
        index, weight = self._corners(image, begin, end)
        dots = self.room("dots", *index.shape)
        kernels.scatter(
            self.pictures[image],
            self.channels,
            self.taps,
            self.corners,
            index.ravel(),
            weight.ravel(),
            segments,
            grad_columns,
            columns,
            grad_picture,
            dots.ravel(),
            end - begin,
        )
        return dots

    def slopes(self, image: int, begin: int, dots: Array, grad_offset: Array, grad_mask: Array, place: int) -> None:
        """Write the gradients of a tile's offsets and mask, from pixel `place` of theirs on."""
        offset, mask = self.offsets[image], self.masks[image]
        kernels.slopes(self._grid, offset, mask, *self._move, begin, dots, grad_offset, grad_mask, place)

    def _corners(self, image: int, begin: int, end: int) -> tuple[Array, Array]:
        sizes = self.offset_groups, self.taps, self.corners, end - begin
        index, weight = self.room("index", *sizes, dtype=np.int32), self.room("weight", *sizes)
        kernels.corners(self._grid, self.offsets[image], self.masks[image], *self._move, begin, index, weight)
        return index, weight


def rows(maps: Tensor) -> Tensor:
    """Maps `(N, C, *sizes)` as `(N, pixels, C)`, a view in either memory format."""
    return maps.flatten(2).transpose(1, 2)


def empty_maps(like: Tensor, *sizes: int) -> Tensor:
    """Maps that nobody has written, in the memory format of others."""
    result: Tensor = torch.empty(sizes, dtype=like.dtype, memory_format=memory_format(like))
    return result


def _bits(tensor: Tensor) -> Array:
    """The numbers for a kernel: bfloat16 by its bits, float16 as float32."""
    if tensor.dtype == torch.bfloat16:
        return np.asarray(tensor.detach().view(torch.int16).numpy().view(np.uint16))
    return np.asarray((tensor.float() if tensor.dtype == torch.float16 else tensor).detach().numpy())
