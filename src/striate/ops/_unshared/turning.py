"""Maps as PyTorch holds them, in the order of the kernels and back: places outermost, images innermost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.ops._door import memory_format
from striate.ops._threads import Workspace, run_slabs
from striate.ops._unshared import kernels

Array = NDArray[Any]
Part = tuple[int, int]

# Parts of the work, the same whatever the threads, and the numbers worth a part of their own.
_SLABS, _WORTH = 8, 1 << 15
_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}
_workspace = Workspace()


def room(name: str, sizes: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor of any numbers, which lasts until this thread asks for one of that name again."""
    numbers = _workspace.array(f"{name}, {dtype}", math.prod(sizes), _NUMPY[dtype])
    return torch.from_numpy(numbers).view(*sizes)


def read(name: str, maps: Tensor, low: Sequence[int], spans: Sequence[int], images: int, dtype: torch.dtype) -> Tensor:
    """Maps `(N, C, *sizes)` in a plane of `spans` places, of which `low` is their first; in the room of that name.

    Returns:
        `(*spans, C, images)`, zero where there are no maps.
    """
    inner, outer = _overlap(maps.shape[2:], low, spans)
    numbers = room(name, (*spans, maps.shape[1], images), dtype)
    if maps.shape[0] != images or outer != [slice(0, span) for span in spans]:
        numbers.zero_()
    lines = _lines(maps, low, numbers)
    if lines is None:
        numbers[*outer, :, : maps.shape[0]] = maps.detach()[:, :, *inner].movedim((1, 0), (-2, -1))
        return numbers
    source, target, table = flat(maps), flat(numbers), np.arange(maps.shape[0]) * lines.image

    def collect(first: int, last: int) -> None:
        kernels.collect(
            source, table, lines.maps[first:last], lines.plane[first:last], lines.length, lines.step, target
        )

    in_parts(len(lines.maps), min(_SLABS, maps.numel() // _WORTH), collect)
    return numbers


def write(numbers: Tensor, low: Sequence[int], bias: Tensor | None, result: Tensor) -> None:
    """Write `(*spans, C, images)` from the place `low` on to `(N, C, *sizes)`, with a bias `(C,)` or `(*sizes, C)`."""
    inner, outer = _overlap(result.shape[2:], low, numbers.shape[:-2])
    whole = inner == [slice(0, n) for n in result.shape[2:]]
    added = numbers.new_zeros(()) if bias is None else bias.detach().to(numbers.dtype)
    if added.ndim == 1:
        added = added.view(*[1] * len(low), -1)
    added = added.movedim(-1, 0) if added.ndim else added
    lines = _lines(result, low, numbers)
    if lines is None:
        values = numbers[*outer, :, : result.shape[0]].movedim((-2, -1), (1, 0))
        if not whole:
            result.copy_(added.expand(result.shape))
        result[:, :, *inner] = values + added.expand(result.shape[1:])[:, *inner]
        return
    if not whole:
        result.zero_()
    source, target, table = flat(numbers), flat(result), np.arange(lines.length) * lines.step

    def distribute(first: int, last: int) -> None:
        images = result.shape[0]
        kernels.distribute(source, table, lines.plane[first:last], lines.maps[first:last], images, lines.image, target)

    in_parts(len(lines.maps), min(_SLABS, result.numel() // _WORTH), distribute)
    if bias is not None:
        result += added


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """Numbers that lie side by side in maps, and where they lie in a plane.

    Args:
        maps: where each line begins in the first image.
        plane: where it begins in the plane.
        length: numbers of a line.
        step: from one of them to the next in the plane.
        image: from one image to the next in the maps.
    """

    maps: Array
    plane: Array
    length: int
    step: int
    image: int


def _lines(maps: Tensor, low: Sequence[int], numbers: Tensor) -> _Lines | None:
    """The lines of maps in either memory format; None for what PyTorch copies as well or better."""
    together = memory_format(maps) != torch.contiguous_format
    images = numbers.shape[-1]
    if maps.dtype != numbers.dtype or not (together or maps.is_contiguous()) or images % kernels.TOGETHER:
        return None
    return _lines_of(tuple(maps.shape[1:]), tuple(low), tuple(numbers.shape[:-2]), images, together)


@lru_cache(maxsize=64)
def _lines_of(
    shape: tuple[int, ...], low: tuple[int, ...], spans: tuple[int, ...], images: int, together: bool
) -> _Lines:
    channels, *sizes = shape
    inner, outer = _overlap(sizes, low, spans)
    maps, plane = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for n, span, own, other in zip(sizes, spans, inner, outer, strict=True):
        maps = (maps[:, None] * n + np.arange(own.start, own.stop)).ravel()
        plane = (plane[:, None] * span + np.arange(other.start, other.stop)).ravel()
    place, image = channels * images, channels * int(np.prod(sizes))
    if together:
        return _Lines(maps * channels, plane * place, channels, images, image)
    length = inner[-1].stop - inner[-1].start
    begins, starts = maps[:: max(length, 1), None], plane[:: max(length, 1), None]
    each = np.arange(channels)
    begins, starts = begins + each * (image // channels), starts * place + each * images
    return _Lines(begins.ravel(), starts.ravel(), length, place, image)


def in_parts(count: int, most: int, work: Callable[[int, int], None]) -> None:
    """Call `work(first, last)` for so many things in at most so many parts, the same whatever the threads."""
    slabs = parts(count, most)
    run_slabs(lambda slab: work(*slabs[slab]), len(slabs))


def parts(count: int, most: int) -> list[Part]:
    """So many things in parts of (first, last)."""
    step = max(1, -(-count // max(1, most)))
    return [(begin, min(begin + step, count)) for begin in range(0, count, step)]


def flat(tensor: Tensor) -> Array:
    """The numbers of maps as they lie in memory, in either memory format; of anything else that is contiguous."""
    tensor = tensor.detach()
    if not tensor.is_contiguous():
        tensor = tensor.movedim(1, -1)
    array: Array = tensor.view(-1).numpy()
    return array


def _overlap(sizes: Sequence[int], low: Sequence[int], spans: Sequence[int]) -> tuple[list[slice], list[slice]]:
    """Where maps and a plane in which they begin at `low` overlap: places of the maps, and of the plane."""
    starts = [max(0, -a) for a in low]
    stops = [min(n, span - a) for n, a, span in zip(sizes, low, spans, strict=True)]
    inner = [slice(start, max(start, stop)) for start, stop in zip(starts, stops, strict=True)]
    return inner, [slice(part.start + a, part.stop + a) for part, a in zip(inner, low, strict=True)]
