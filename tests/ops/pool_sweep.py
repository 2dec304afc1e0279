"""Random legal configurations of maxima and averages of windows, against PyTorch's on maps that are padded before."""

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import striate
from ops.checks import Function, assert_close, gradients_of
from ops.draws import WORDS, draw_sizes, draw_tensor, draw_windows
from striate.geometry import Window, windows

MAXIMA = (striate.max_pool1d, striate.max_pool2d, striate.max_pool3d)
BACK = (striate.max_unpool1d, striate.max_unpool2d, striate.max_unpool3d)
AVERAGES = (striate.avg_pool1d, striate.avg_pool2d, striate.avg_pool3d)
TORCH_MAXIMA = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
DTYPES = [torch.float64, torch.float64, torch.float32, torch.bfloat16, torch.float16]
_NOTHING = -1e30


@dataclass(frozen=True, slots=True)
class Pool:
    """Windows with settings of their own, and an input that they fit.

    Args:
        settings: kernel, stride, padding, dilation and `ceil_mode`.
        input: `(N, C, *sizes)`.
        windows: one an axis.
    """

    settings: dict[str, Any]
    input: Tensor
    windows: tuple[Window, ...]

    @property
    def axes(self) -> int:
        return len(self.windows)

    def read(self) -> list[tuple[Window, int, tuple[range, ...]]]:
        """By axis: the window, the size of the input and the places that each placement reads."""
        return [(w, n, w.placements(n)) for w, n in zip(self.windows, self.input.shape[2:], strict=True)]


def draw_pool(dice: random.Random) -> Pool:
    axes = dice.randint(1, 3)
    while True:
        settings, along = draw_windows(dice, axes, WORDS)
        settings |= {"kernel_size": tuple(w.kernel for w in along), "ceil_mode": dice.random() < 0.5}
        along, sizes = windows(axes, **settings), draw_sizes(dice, axes)
        if all(window.fits(n) for window, n in zip(along, sizes, strict=True)):
            break
    shape = [dice.randint(1, 2), dice.choice([1, 2, 3, 17]), *sizes]
    return Pool(settings, draw_tensor(dice, shape, dice.choice(DTYPES)), along)


def compare(ours: Function, definition: Function, input: Tensor) -> None:
    """Outputs and gradients, the definition's in float64."""
    wide = input.double()
    assert_close(ours(input), definition(wide))
    (found,), (wished,) = gradients_of(ours, input), gradients_of(definition, wide)
    assert_close(found, wished)


def check_max(dice: random.Random) -> None:
    pool = draw_pool(dice)
    input = pool.input.mul(2).round() if dice.random() < 0.5 else pool.input
    sides = [side for _, n, read in reversed(pool.read()) for side in (-read[0][0], max(0, read[-1][-1] + 1 - n))]
    stride, dilation = [w.stride for w in pool.windows], [w.dilation for w in pool.windows]

    def ours(input: Tensor) -> Tensor:
        found: Tensor = MAXIMA[pool.axes - 1](input, **pool.settings)
        return found.clamp_min(_NOTHING) if found.dtype != torch.float16 else found.clamp_min(-6e4)

    def by_torch(input: Tensor) -> Tensor:
        padded = F.pad(input, sides, value=_NOTHING if pool.input.dtype != torch.float16 else -6e4)
        return TORCH_MAXIMA[pool.axes - 1](padded, pool.settings["kernel_size"], stride, 0, dilation)

    # What a window finds that sees nothing is larger by far than all else.
    scale = torch.where(by_torch(input.double()) < -1e4, 0, 1)
    compare(lambda x: ours(x) * scale.to(x.dtype), lambda x: by_torch(x) * scale, input)
    largest, indices = MAXIMA[pool.axes - 1](input, **pool.settings, return_indices=True)
    flat = input.flatten(2).gather(2, indices.clamp_min(0).flatten(2)).view(indices.shape)
    assert torch.equal(torch.where(indices < 0, -torch.inf, flat), largest)
    assert torch.equal(indices < 0, scale == 0)


def check_average(dice: random.Random) -> None:
    pool = draw_pool(dice)
    include, divisor = dice.random() < 0.5, dice.choice([None, None, -3, 7])
    among = {"count_include_pad": include, "divisor_override": divisor}

    def by_matrices(input: Tensor) -> Tensor:
        """One product an axis, from the places that every window reads."""
        for axis, (window, n, read) in enumerate(pool.read(), start=2):
            low, high = window.pads(n)
            start, end = (-low, n + high) if include else (0, n)
            rows = [[float(place in taps) for place in range(n)] for taps in read]
            counts = [max(1, sum(start <= place < end for place in taps)) for taps in read]
            matrix = torch.tensor(rows, dtype=torch.float64)
            if divisor is None:
                matrix /= torch.tensor(counts)[:, None]
            input = torch.tensordot(input, matrix, dims=([axis], [1])).movedim(-1, axis)
        return input if divisor is None else input / divisor

    def ours(input: Tensor) -> Tensor:
        return AVERAGES[pool.axes - 1](input, **pool.settings, **among)

    wide = pool.input.double()
    terms = by_matrices(wide.abs())
    assert_close(ours(pool.input), by_matrices(wide), terms=terms)
    (found,), (wished,) = gradients_of(ours, pool.input), gradients_of(by_matrices, wide)
    assert_close(found, wished)


def check_unpool(dice: random.Random) -> None:
    axes = dice.randint(1, 3)
    sizes = [dice.choice([2, 3, 5] if axes < 3 else [2, 3]) for _ in range(axes)]
    kernel = tuple(dice.randint(1, 2) for _ in range(axes))
    pooled = draw_tensor(dice, [dice.randint(1, 2), dice.choice([1, 3, 17]), *sizes], dice.choice(DTYPES))
    largest, indices = MAXIMA[axes - 1](pooled, kernel, 1, return_indices=True)

    def ours(values: Tensor) -> Tensor:
        return BACK[axes - 1](values, indices, kernel, 1, output_size=sizes)

    def one_by_one(values: Tensor) -> Tensor:
        output = values.new_zeros(*values.shape[:2], pooled[0, 0].numel())
        for value, place in zip(values.flatten(2).split(1, 2), indices.flatten(2).split(1, 2), strict=True):
            output = output.scatter(2, place, value)
        return output.view_as(pooled)

    compare(ours, one_by_one, draw_tensor(dice, list(largest.shape), pooled.dtype))
