"""Deformable aggregation on the CPU: the samples of a tile are added up as they are read, and there are no columns."""

from itertools import product

import numpy as np
import torch
from torch import Tensor

from striate.ops._sampling.gradients import Block, block, cuts
from striate.ops._sampling.gradients import backward as through_samples
from striate.ops._sampling.samples import Array, Grid, Samples, empty_maps, rows
from striate.ops._threads import run_slabs


def forward(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
) -> Tensor:
    """The sum of samples of `(N, C, *sizes)`, in the input's memory format."""
    grid = _grid(input, offset, kernel_size, stride, low, dilation, offset_scale, remove_center)
    samples = Samples(input, offset, mask, grid)
    result = empty_maps(input, *input.shape[:2], *offset.shape[2:])
    places, whole = rows(result), _block(samples, 0, samples.channels)
    work = [(image, *tile) for image in range(samples.images) for tile in samples.tiles(whole.columns)]

    def tile(number: int) -> None:
        image, begin, end = work[number]
        sums = samples.room("columns", (end - begin) * whole.columns)
        samples.gather(image, begin, end, whole.segments, sums)
        places[image, begin:end] = torch.from_numpy(sums).view(end - begin, -1)

    run_slabs(tile, len(work))
    return result


def backward(
    grad: Tensor,
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of input, offset and mask; an empty tensor for one that is not needed."""
    grid = _grid(input, offset, kernel_size, stride, low, dilation, offset_scale, remove_center)
    samples = Samples(input, offset, mask, grid)
    blocks = [_block(samples, first, last) for first, last in cuts(samples.images, samples.channels, 1)]
    layer = _Sums(blocks, rows(grad).detach())
    pictures, offsets, masks = through_samples(
        samples, blocks, max(samples.images, 1), layer, input=needs[0], moves=needs[1] or needs[2], weight=False
    )
    grad_input = input.new_empty(0)
    if needs[0]:
        grad_input = empty_maps(input, *input.shape)
        rows(grad_input).copy_(pictures)
    return (
        grad_input,
        offsets.view(offset.shape).to(offset.dtype) if needs[1] else offset.new_empty(0),
        masks.view(mask.shape).to(mask.dtype) if needs[2] else mask.new_empty(0),
    )


def _grid(
    input: Tensor,
    offset: Tensor,
    kernel_size: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    offset_scale: float,
    remove_center: bool,
) -> Grid:
    """The window grows around its middle; whole pixels go to the places, and the rest to the shift."""
    taps = np.array(list(product(*map(range, kernel_size))), dtype=np.int64) * dilation
    if remove_center:
        taps = np.delete(taps, len(taps) // 2, axis=0)
    middle = np.array([d * (k - 1) // 2 for k, d in zip(kernel_size, dilation, strict=True)])
    move = (taps - middle) * offset_scale
    # What is far away stays in the shift, from which an offset may take it back.
    whole = np.where(np.abs(move) < 2**29, np.floor(move), 0).astype(np.int64)
    return Grid(input.shape[2:], offset.shape[2:], stride, whole + middle - low, move - whole, offset_scale)


def _block(samples: Samples, first: int, last: int) -> Block:
    """Channels whose samples are added up over the taps."""
    together = samples.channels // samples.offset_groups
    return block(first, last, together=together, group=last - first, taps=0)


class _Sums:
    """Every sample of a place has the gradient of that place."""

    def __init__(self, blocks: list[Block], grad: Tensor) -> None:
        self._blocks, self._grad = blocks, grad

    def grad_columns(self, block: int, image: int, begin: int, end: int, grad_columns: Array) -> None:
        """Write the gradients of a tile's sums."""
        own = self._blocks[block]
        target = torch.from_numpy(grad_columns).view(end - begin, own.columns)
        target.copy_(self._grad[image, begin:end, own.first : own.last])

    def grad_weight(self, chain: int, block: int, image: int, begin: int, end: int, columns: Array) -> None:
        """There is no weight."""
