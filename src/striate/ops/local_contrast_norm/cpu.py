"""Local contrast normalisation on the CPU, in both memory formats.

The maps are read once for their mean and their spread over the channels, and once more for the result: the squares of
`v = x - local mean` have the mean `spread + (mean - local mean) ** 2`. In between there are only planes of one channel.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.ops._door import memory_format
from striate.ops._threads import run_slabs
from striate.ops.local_contrast_norm.pixels import BLOCK, apply, average, average_gradients, go_back
from striate.ops.local_contrast_norm.planes import find_factors, find_gradients
from striate.ops.local_contrast_norm.window import Rule

Array = NDArray[Any]

# Fewer images than these are shared out in bands of pixels, of which there are so many in an image.
_WHOLE = 4
_BANDS = 8


def forward(input: Tensor, rule: Rule) -> Tensor:
    """`v = x - sum of w * x`, and `v / max(c, sqrt(sum of w * v ** 2))`, each where the rule asks for it."""
    maps, at = _numbers(input, input), _layout(input)
    result = torch.empty_like(maps)
    if not result.numel():
        return result.to(input.dtype)
    numbers, written = _flat(maps), _flat(result)
    planes, window = _planes(at, numbers.dtype, 4), _window(rule, at, numbers.dtype)

    def read(image: int, first: int, last: int) -> None:
        average(numbers, *at.place(image), first, last, rule.subtract, rule.divide, planes[image])

    def between(image: int) -> None:
        find_factors(planes[image], *window)

    def write(image: int, first: int, last: int) -> None:
        apply(numbers, *at.place(image), first, last, planes[image], written)

    _in_steps(at, read, between, write)
    return result.to(input.dtype)


def backward(grad: Tensor, input: Tensor, rule: Rule) -> Tensor:
    """The gradient of the input."""
    maps, at = _numbers(input, input), _layout(input)
    result = torch.empty_like(maps)
    if not result.numel():
        return result.to(input.dtype)
    numbers, grads, written = _flat(maps), _flat(_numbers(grad, input)), _flat(result)
    planes, window = _planes(at, numbers.dtype, 7), _window(rule, at, numbers.dtype)

    def read(image: int, first: int, last: int) -> None:
        average(numbers, *at.place(image), first, last, rule.subtract, rule.divide, planes[image])

    def between(image: int) -> None:
        find_factors(planes[image], *window)

    def read_again(image: int, first: int, last: int) -> None:
        average_gradients(grads, numbers, *at.place(image), first, last, planes[image])

    def between_again(image: int) -> None:
        find_gradients(planes[image], *window)

    def write(image: int, first: int, last: int) -> None:
        go_back(grads, numbers, *at.place(image), first, last, planes[image], written)

    _in_steps(at, read, between, read_again, between_again, write)
    return result.to(input.dtype)


def _numbers(tensor: Tensor, like: Tensor) -> Tensor:
    """The tensor as the kernels take it: float32 or float64, in the memory format of `like`."""
    wide = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
    return wide.detach().contiguous(memory_format=memory_format(like))


def _flat(maps: Tensor) -> Array:
    """The numbers in the order of memory."""
    order = maps if maps.is_contiguous() else maps.movedim(1, -1)
    array: Array = order.view(-1).numpy()
    return array


@dataclass(frozen=True, slots=True)
class _Layout:
    """How maps lie in memory.

    Args:
        images: in the batch.
        channels: of an image.
        sizes: of a map.
        together: whether the channels of a pixel lie together.
    """

    images: int
    channels: int
    sizes: tuple[int, ...]
    together: bool

    @property
    def pixels(self) -> int:
        """Of a map."""
        return math.prod(self.sizes)

    def place(self, image: int) -> tuple[int, int, int, bool]:
        """What the kernels know of an image: where it begins, its channels, its pixels, and their order."""
        return image * self.channels * self.pixels, self.channels, self.pixels, self.together


def _layout(input: Tensor) -> _Layout:
    images, channels, *sizes = input.shape
    return _Layout(images, channels, tuple(sizes), memory_format(input) != torch.contiguous_format)


def _planes(at: _Layout, dtype: Any, count: int) -> Array:
    """Planes of each image: mean, squares, local mean and factor; of a gradient, three more."""
    return np.empty((at.images, count, at.pixels), dtype)


def _window(rule: Rule, at: _Layout, dtype: Any) -> tuple[Any, ...]:
    """What the kernels know of a rule.

    The axes as (repeats, length, places from one to the next, taps), their weights, by pixel 1 / the weight inside and
    what a root is multiplied by, the floor or -1, and what is done.
    """
    axes, weights = [], np.zeros((len(at.sizes), max(rule.kernel)), dtype)
    inside = np.ones(1)
    for axis, length in enumerate(at.sizes):
        own = np.array(rule.weights(axis))
        weights[axis, : own.size] = own
        axes.append((math.prod(at.sizes[:axis]), length, math.prod(at.sizes[axis + 1 :]), own.size))
        along = np.convolve(np.ones(length), own)[own.size // 2 :][:length]
        inside = np.multiply.outer(inside, along if rule.renormalize else np.ones(length))
    inverse = 1 / inside.ravel()
    factor = inverse if rule.outside else np.sqrt(inverse)
    # 1 / what is smaller than any normal number would be infinite; 0 is taken for no floor.
    floor = -1.0 if rule.floor is None else rule.floor and max(rule.floor, float(np.finfo(dtype).tiny))
    given = inverse.astype(dtype), factor.astype(dtype), dtype.type(floor)
    return np.array(axes), weights, *given, rule.subtract, rule.divide, rule.renormalize


def _in_steps(at: _Layout, *steps: Callable[..., None]) -> None:
    """Take steps in turn: those of pixels, `step(image, first, last)`, and between them those of planes, `step(image)`.

    Many images take all steps one by one; of a few, the pixels are shared out. Either way it is the same whatever the
    number of threads.
    """
    if at.images >= _WHOLE:

        def whole(image: int) -> None:
            for number, step in enumerate(steps):
                step(image) if number % 2 else step(image, 0, at.pixels)

        run_slabs(whole, at.images)
        return
    width = -(-at.pixels // (_BANDS * BLOCK)) * BLOCK
    bands = -(-at.pixels // width)
    for number, step in enumerate(steps):
        if number % 2:
            run_slabs(step, at.images)
        else:

            def band(slab: int, step: Callable[..., None] = step) -> None:
                first = slab % bands * width
                step(slab // bands, first, min(at.pixels, first + width))

            run_slabs(band, at.images * bands)
