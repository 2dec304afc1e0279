"""Random legal configurations of the operators."""

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from striate.geometry import Window, windows

WORDS = ["valid", "same", "same_upper", "same_lower", "half", "full", "causal"]
CROPPING_WORDS = ["valid", "same", "causal"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with numbers of its own, and an input that its windows fit.

    Args:
        settings: stride, padding, dilation and groups.
        input: `(N, in, *sizes)`.
        weight: `(out, in / groups, *kernel)`, transposed `(in, out / groups, *kernel)`.
        bias: `(out,)`.
        windows: one an axis.
    """

    settings: dict[str, Any]
    input: Tensor
    weight: Tensor
    bias: Tensor
    windows: tuple[Window, ...]

    @property
    def axes(self) -> int:
        return len(self.windows)

    @property
    def sizes(self) -> list[int]:
        return list(self.input.shape[2:])

    @property
    def by_axis(self) -> tuple[list[int], list[int]]:
        """Stride and dilation, one number an axis."""
        return [window.stride for window in self.windows], [window.dilation for window in self.windows]

    def pads(self) -> tuple[list[int], list[int]]:
        """The places that padding adds, low and high."""
        pads = [window.pads(n) for window, n in zip(self.windows, self.sizes, strict=True)]
        return [low for low, _ in pads], [high for _, high in pads]


def draw_padding(dice: random.Random, axes: int, words: list[str]) -> Any:
    """A number, a word, or a mix by axis of numbers, pairs and words."""
    form = dice.randrange(3)
    if form == 0:
        return dice.randrange(4)
    if form == 1:
        return dice.choice(words)
    # Numbers alone would be read as one an axis, pairs as (low, high) of each.
    kinds = [lambda: (dice.randrange(4), dice.randrange(4)), lambda: dice.choice(words)]
    return tuple(dice.choice(kinds)() for _ in range(axes))


def draw_tensor(dice: random.Random, shape: list[int], dtype: torch.dtype) -> Tensor:
    """Normal numbers, now and then channels-last."""
    generator = torch.Generator().manual_seed(dice.randrange(2**31))
    tensor = torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(len(shape))
    return tensor.contiguous(memory_format=layout) if layout and dice.random() < 0.3 else tensor


def draw_windows(dice: random.Random, axes: int, words: list[str]) -> tuple[dict[str, Any], tuple[Window, ...]]:
    """Settings without groups, and the windows that they make; kernels of at most 5, with four axes 3."""
    kernel = [dice.choice([1, 1, 2, 3, 3, 4, 5] if axes < 4 else [1, 2, 3]) for _ in range(axes)]
    stride = tuple(dice.choice([1, 1, 1, 2, 3]) for _ in range(axes))
    dilation = tuple(dice.choice([1, 1, 1, 2, 3]) for _ in range(axes))
    settings = {"stride": stride, "padding": draw_padding(dice, axes, words), "dilation": dilation}
    return settings, windows(axes, kernel, **settings)


def draw_sizes(dice: random.Random, axes: int) -> list[int]:
    return [dice.choice([1, 2, 3, 5, 8, 11] if axes < 4 else [1, 2, 3, 4]) for _ in range(axes)]


def draw_layer(dice: random.Random, most_axes: int = 3) -> Layer:
    """A convolution."""
    axes = dice.randint(1, most_axes)
    while True:
        settings, along = draw_windows(dice, axes, WORDS)
        sizes = draw_sizes(dice, axes)
        if all(window.fits(n) for window, n in zip(along, sizes, strict=True)):
            break
    groups, into, out, dtype = _draw_channels(dice)
    input = draw_tensor(dice, [dice.randint(1, 3), into, *sizes], dtype)
    weight = draw_tensor(dice, [out, into // groups, *(window.kernel for window in along)], dtype)
    return Layer({**settings, "groups": groups}, input, weight, draw_tensor(dice, [out], dtype), along)


def draw_transposed(dice: random.Random) -> tuple[Layer, tuple[int, ...]]:
    """A transposed convolution that leaves something of its output, and its output padding."""
    axes = dice.randint(1, 3)
    while True:
        settings, along = draw_windows(dice, axes, CROPPING_WORDS)
        sizes = [dice.choice([1, 2, 3, 5]) for _ in range(axes)]
        more = tuple(dice.choice([0, dice.randrange(max(window.stride, window.dilation))]) for window in along)
        outputs = [
            (n - 1) * window.stride + window.extent - sum(window.crops()) + extra
            for window, n, extra in zip(along, sizes, more, strict=True)
        ]
        if min(outputs) >= 1:
            break
    groups, into, out, dtype = _draw_channels(dice)
    input = draw_tensor(dice, [dice.randint(1, 3), into, *sizes], dtype)
    weight = draw_tensor(dice, [into, out // groups, *(window.kernel for window in along)], dtype)
    return Layer({**settings, "groups": groups}, input, weight, draw_tensor(dice, [out], dtype), along), more


def _draw_channels(dice: random.Random) -> tuple[int, int, int, torch.dtype]:
    """Groups, channels in and out, dtype."""
    groups = dice.choice([1, 1, 2, 3])
    into, out = (groups * dice.choice([1, 1, 2]) for _ in range(2))
    return groups, into, out, dice.choice([torch.float64, torch.float64, torch.float32, torch.bfloat16])
