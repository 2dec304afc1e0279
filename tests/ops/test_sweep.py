"""Random legal configurations against independent definitions: 300 in `make test`, 5,400 in `make sweep`."""

import random
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor
from torch.nn import functional as F

import striate
from ops.checks import assert_close, gradients_of
from striate.geometry import Window, windows
from striate.ops.conv import reference

WORDS = ["valid", "same", "same_upper", "same_lower", "half", "full", "causal"]
CONVOLUTIONS = (striate.conv1d, striate.conv2d, striate.conv3d)
TRANSPOSED = (striate.conv_transpose1d, striate.conv_transpose2d, striate.conv_transpose3d)
TORCH = (F.conv1d, F.conv2d, F.conv3d)


def draw_padding(dice: random.Random, axes: int) -> Any:
    """A number, a word, or a mix by axis of numbers, pairs and words."""
    form = dice.randrange(3)
    if form == 0:
        return dice.randrange(4)
    if form == 1:
        return dice.choice(WORDS)
    # Numbers alone would be read as one an axis, pairs as (low, high) of each.
    kinds = [lambda: (dice.randrange(4), dice.randrange(4)), lambda: dice.choice(WORDS)]
    return tuple(dice.choice(kinds)() for _ in range(axes))


def draw_tensor(dice: random.Random, shape: list[int], dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(dice.randrange(2**31))
    tensor = torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(len(shape))
    return tensor.contiguous(memory_format=layout) if layout and dice.random() < 0.3 else tensor


def draw_layer(dice: random.Random) -> tuple[int, dict[str, Any], Tensor, Tensor, Tensor, tuple[Window, ...]]:
    """Axes, settings, input, weight, bias and windows of a convolution whose windows fit."""
    while True:
        axes = dice.randint(1, 3)
        kernel = [dice.choice([1, 1, 2, 3, 3, 4, 5]) for _ in range(axes)]
        stride = tuple(dice.choice([1, 1, 1, 2, 3]) for _ in range(axes))
        dilation = tuple(dice.choice([1, 1, 1, 2, 3]) for _ in range(axes))
        padding = draw_padding(dice, axes)
        sizes = [dice.choice([1, 2, 3, 5, 8, 11]) for _ in range(axes)]
        along = windows(axes, kernel, stride, padding, dilation)
        if all(window.fits(n) for window, n in zip(along, sizes, strict=True)):
            break
    groups = dice.choice([1, 1, 2, 3])
    into, out = (groups * dice.choice([1, 1, 2]) for _ in range(2))
    dtype = dice.choice([torch.float64, torch.float64, torch.float32, torch.bfloat16])
    input = draw_tensor(dice, [dice.randint(1, 3), into, *sizes], dtype)
    weight = draw_tensor(dice, [out, into // groups, *kernel], dtype)
    bias = draw_tensor(dice, [out], dtype)
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return axes, settings, input, weight, bias, along


def check_convolution(dice: random.Random) -> None:
    axes, settings, input, weight, bias, along = draw_layer(dice)
    low, high = zip(*(w.pads(n) for w, n in zip(along, input.shape[2:], strict=True)), strict=True)
    stride, dilation, groups = settings["stride"], settings["dilation"], settings["groups"]

    def by_torch(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        sides = [side for pair in zip(reversed(low), reversed(high), strict=True) for side in pair]
        return TORCH[axes - 1](F.pad(input, sides), weight, bias, stride, 0, dilation, groups)

    def by_definition(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return reference.conv(input, weight, bias, stride, low, high, dilation, groups)

    def ours(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return CONVOLUTIONS[axes - 1](input, weight, bias, **settings)

    definition = dice.choice([by_torch, by_definition])
    wide = (input.double(), weight.double(), bias.double())
    sizes = tuple(tensor.abs() for tensor in wide)
    assert_close(ours(input, weight, bias), definition(*wide), terms=definition(*sizes))
    found = gradients_of(ours, input, weight, bias)
    for own, expected, terms in zip(
        found, gradients_of(definition, *wide), gradients_of(definition, *sizes), strict=True
    ):
        assert_close(own, expected, terms=terms)


def check_adjoint(dice: random.Random) -> None:
    """<conv(x), y> = <x, conv_transpose(y)>, for the crops that are the convolution's paddings."""
    axes, settings, input, weight, _, along = draw_layer(dice)
    input, weight = input.double(), weight.double()
    settings["padding"] = tuple(w.pads(n) for w, n in zip(along, input.shape[2:], strict=True))
    output = CONVOLUTIONS[axes - 1](input, weight, **settings)
    other = draw_tensor(dice, list(output.shape), torch.float64)
    extra = tuple(
        n - Window(w.kernel, w.stride, pair, w.dilation).transposed_output_size(m)
        if (m - 1) * w.stride + w.extent > sum(pair)
        else None
        for n, m, w, pair in zip(input.shape[2:], output.shape[2:], along, settings["padding"], strict=True)
    )
    bounds = [max(w.stride, w.dilation) for w in along]
    if any(e is None or not 0 <= e < bound for e, bound in zip(extra, bounds, strict=True)):
        return
    back = TRANSPOSED[axes - 1](
        other,
        weight,
        None,
        settings["stride"],
        settings["padding"],
        extra,
        settings["groups"],
        settings["dilation"],
    )
    assert back.shape == input.shape
    assert_close((output * other).sum(), (input * back).sum(), terms=(output * other).abs().sum())


def check_correlation(dice: random.Random) -> None:
    axes = dice.randint(1, 3)
    plane = draw_tensor(dice, [dice.randint(4, 9) for _ in range(axes)], torch.float64)
    kernel = draw_tensor(dice, [dice.randint(1, 4) for _ in range(axes)], torch.float64)
    mode = dice.choice(["valid", "full"])
    for ours, theirs in ((striate.correlate, scipy.signal.correlate), (striate.convolve, scipy.signal.convolve)):
        expected = theirs(plane.numpy(), kernel.numpy(), mode=mode, method="direct")
        assert_close(ours(plane, kernel, padding=mode), torch.from_numpy(np.ascontiguousarray(expected)))


CHECKS = {"convolution": check_convolution, "adjoint": check_adjoint, "correlation": check_correlation}


@pytest.mark.parametrize("chunk", range(10))
@pytest.mark.parametrize("name", CHECKS)
def test_some(name: str, chunk: int) -> None:
    for seed in range(10 * chunk, 10 * chunk + 10):
        CHECKS[name](random.Random(f"{name} {seed}"))


@pytest.mark.sweep
@pytest.mark.parametrize("chunk", range(18))
@pytest.mark.parametrize("name", CHECKS)
def test_many(name: str, chunk: int) -> None:
    for seed in range(1000 + 100 * chunk, 1100 + 100 * chunk):
        CHECKS[name](random.Random(f"{name} {seed}"))
