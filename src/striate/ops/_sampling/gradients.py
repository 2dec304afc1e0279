"""The gradients of samples, on many threads, with the same bits whatever their number.

Many samples read one pixel, so that the gradient of a picture is added up in one order by one thread. A batch of few
images is cut into blocks of channels, too, and the gradients of offsets, which all channels share, are then added up
block by block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from striate.ops._lanes import LANES
from striate.ops._sampling.samples import Array, Samples, Segments
from striate.ops._threads import run_slabs

# Numbers in which partial gradients of offsets are kept until they are added.
_PARTIAL = 1 << 20
# Pieces of work for the threads, where a batch has fewer images.
_PIECES = 8


@dataclass(frozen=True, slots=True)
class Block:
    """Channels that are read, or whose gradients are computed, together.

    Args:
        first: the first channel.
        last: one behind the last.
        segments: its stretches of channels with one offset group and one convolution group.
        columns: columns a pixel.
    """

    first: int
    last: int
    segments: Segments
    columns: int


def block(first: int, last: int, *, together: int, group: int, taps: int) -> Block:
    """Channels with columns `(pixels, groups, taps, channels of a group)`.

    Args:
        first: the first channel.
        last: one behind the last.
        together: channels that move together.
        group: channels that go to one product.
        taps: of the window; 0 where the samples of all taps are added up in one column.
    """
    ends = {first, last}
    for size in (together, group):
        ends.update(range(-(-first // size) * size, last, size))
    inner, each = sorted(ends), group * max(taps, 1)
    columns, tap = (last - first) // group * each, group if taps else 0
    stretches = [
        (c, d - c, c // together, (c - first) // group * each + (c - first) % group, columns, tap)
        for c, d in zip(inner, inner[1:], strict=False)
    ]
    return Block(first, last, np.array(stretches, dtype=np.int64).reshape(-1, 6), columns)


class Layer(Protocol):
    """What stands behind the samples: it makes outputs of columns."""

    def grad_columns(self, block: int, image: int, begin: int, end: int, grad_columns: Array) -> None:
        """Write the gradients of a tile's columns."""

    def grad_weight(self, chain: int, block: int, image: int, begin: int, end: int, columns: Array) -> None:
        """Add a tile to the weight's gradient; each chain has its own."""


def cuts(images: int, channels: int, unit: int) -> list[tuple[int, int]]:
    """Channels in blocks (first, last), so that a small batch has work for many threads, the same for any number.

    Args:
        images: in the batch.
        channels: of the picture.
        unit: channels that must stay together.
    """
    wanted = max(1, min(-(-_PIECES // max(images, 1)), channels // max(unit, LANES)))
    places = [channels // unit * piece // wanted * unit for piece in range(wanted + 1)]
    return list(zip(places, places[1:], strict=False))


def backward(
    samples: Samples, blocks: Sequence[Block], chains: int, layer: Layer, *, input: bool, moves: bool, weight: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of pictures `(N, pixels, C)`, of offsets and of mask; those of the weight are the layer's.

    Args:
        samples: what was read.
        blocks: of channels.
        chains: the images are dealt to so many chains, each worked through in order.
        layer: what stands behind the samples.
        input: whether the pictures' gradient is wanted; empty if not.
        moves: whether those of offsets and mask are; unwritten if not.
        weight: whether the layer wants columns.
    """
    numbers = samples.offsets.dtype
    grad_pictures = np.zeros((samples.images, samples.pictures.shape[1] if input else 0), numbers)
    grads = np.empty(samples.offsets.shape, numbers), np.empty(samples.masks.shape, numbers)
    for first, last in _bands(samples, len(blocks)):
        # One block writes to the gradients themselves; of more, each has its own until the band is done.
        parts = [
            grad[None] if len(blocks) == 1 else np.empty((len(blocks), *grad.shape[:-1], last - first), numbers)
            for grad in grads
        ]

        def work(slab: int, first: int = first, last: int = last, parts: list[Array] = parts) -> None:
            chain, number = divmod(slab, len(blocks))
            block = blocks[number]
            for image in range(chain, samples.images, chains):
                for begin, end in samples.tiles(block.columns, first, last):
                    size = (end - begin) * block.columns
                    grad_columns, columns = samples.room("grad_columns", size), samples.room("columns", size * weight)
                    layer.grad_columns(number, image, begin, end, grad_columns)
                    dots = samples.scatter(
                        image, begin, end, block.segments, grad_columns, columns, grad_pictures[image]
                    )
                    if moves:
                        samples.slopes(
                            image, begin, dots, parts[0][number, image], parts[1][number, image], begin - first
                        )
                    if weight:
                        layer.grad_weight(chain, number, image, begin, end, columns)

        run_slabs(work, chains * len(blocks))
        if len(blocks) > 1 and moves:
            for grad, part in zip(grads, parts, strict=True):
                if grad.size:
                    np.add.reduce(part, axis=0, out=grad[..., first:last])
    pictures = torch.from_numpy(grad_pictures)
    pictures = pictures.view(samples.images, pictures.shape[1] // samples.channels, samples.channels)
    return pictures, torch.from_numpy(grads[0]), torch.from_numpy(grads[1])


def _bands(samples: Samples, blocks: int) -> list[tuple[int, int]]:
    """The pixels that are worked on together, so that partial gradients of offsets stay small."""
    numbers = blocks * samples.offsets[..., 0].size * 2
    size = samples.pixels if blocks == 1 else max(LANES, _PARTIAL // max(numbers, 1))
    return [(begin, min(begin + size, samples.pixels)) for begin in range(0, samples.pixels, max(size, 1))]
