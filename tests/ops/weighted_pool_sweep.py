"""Random legal configurations of norms, weighted averages and pyramids, against what PyTorch makes of columns."""

import math
import random
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import striate
from ops.checks import Function, assert_close, gradients_of
from ops.draws import WORDS, draw_padding, draw_sizes, draw_tensor
from striate.geometry import Window, windows

NORMS = (striate.lp_pool1d, striate.lp_pool2d, striate.lp_pool3d)
GAUSSIANS = (striate.gaussian_pool1d, striate.gaussian_pool2d, striate.gaussian_pool3d)
BLURS = (striate.blur_pool1d, striate.blur_pool2d, striate.blur_pool3d)
PYRAMIDS = (striate.spatial_pyramid_pool1d, striate.spatial_pyramid_pool2d, striate.spatial_pyramid_pool3d)
MAXIMA = (striate.adaptive_max_pool1d, striate.adaptive_max_pool2d, striate.adaptive_max_pool3d)
AVERAGES = (striate.adaptive_avg_pool1d, striate.adaptive_avg_pool2d, striate.adaptive_avg_pool3d)


def check_norm(dice: random.Random) -> None:
    axes, settings, along, input = draw_pooling(dice, dilated=True)
    # In low precision the largest number would have equals.
    power = dice.choice([1, 2, 2.0, 3, 0.7, 4.5, *[math.inf] * (input.dtype != torch.bfloat16)])
    kernel = settings.pop("kernel_size")
    # Far from zero, near which a low power's slope is steep, and of a size that may leave the range of the numbers.
    size = dice.choice([1, 1, 1e-25, 1e25])
    input = (input + input.sign()) * size

    def by_columns(input: Tensor) -> Tensor:
        return torch.linalg.vector_norm(columns(input / size, along).double(), power, dim=-1) * size

    compare(lambda input: NORMS[axes - 1](input, power, kernel, **settings), by_columns, input)


def check_gaussian(dice: random.Random) -> None:
    axes, settings, along, input = draw_pooling(dice)
    shape = dice.choice([(), (axes,), (input.shape[1], 1), (input.shape[1], axes)])
    sigma = draw_tensor(dice, [1, *shape], torch.float64)[0].abs() + 0.4
    settings = {name: settings[name] for name in ("kernel_size", "stride", "padding")}

    def by_columns(input: Tensor, sigma: Tensor) -> Tensor:
        spread = sigma.double().expand(input.shape[1], axes)
        taps = torch.tensor([*product(*(range(window.kernel) for window in along))], dtype=torch.float64)
        centred = taps - torch.tensor([(window.kernel - 1) / 2 for window in along], dtype=torch.float64)
        weights = torch.softmax(-(centred[None] / spread[:, None]).square().sum(-1) / 2, -1)
        return (columns(input, along) * weights.view(-1, *[1] * axes, len(taps))).sum(-1)

    ours = lambda input, sigma: GAUSSIANS[axes - 1](input, sigma=sigma, **settings)  # noqa: E731
    compare(ours, by_columns, input, sigma.to(input.dtype if input.dtype != torch.bfloat16 else torch.float32))


def check_blur(dice: random.Random) -> None:
    axes, settings, along, input = draw_pooling(dice)
    pads = [window.pads(n) for window, n in zip(along, input.shape[2:], strict=True)]
    most = max(max(pair) - n for pair, n in zip(pads, input.shape[2:], strict=True))
    mode = dice.choice(["zeros", "replicate", *["circular"] * (most <= 0), *["reflect"] * (most < 0)])
    inside = [Window(window.kernel, window.stride) for window in along]
    settings = {name: settings[name] for name in ("kernel_size", "stride", "padding")}

    def by_columns(input: Tensor) -> Tensor:
        sides = [side for pair in reversed(pads) for side in pair]
        padded = F.pad(input, sides, "constant" if mode == "zeros" else mode)
        weights = torch.ones(1, dtype=torch.float64)
        for window in along:
            row = torch.tensor([math.comb(window.kernel - 1, place) for place in range(window.kernel)])
            weights = torch.outer(weights, row.double() / row.sum()).flatten()
        return (columns(padded, inside) * weights).sum(-1)

    compare(lambda input: BLURS[axes - 1](input, padding_mode=mode, **settings), by_columns, input)


def check_adaptive(dice: random.Random) -> None:
    """Pyramids and single levels; numbers that are all different, so that maxima have one winner."""
    axes = dice.randint(1, 3)
    shape = [dice.randint(1, 2), dice.randint(1, 3), *draw_sizes(dice, axes)]
    order = torch.randperm(math.prod(shape), generator=torch.Generator().manual_seed(dice.randrange(2**31)))
    input = order.view(shape).to(dice.choice([torch.float64, torch.float32]))
    levels = [tuple(dice.randint(1, 5 if axes < 3 else 3) for _ in range(axes)) for _ in range(dice.randint(1, 2))]
    reduction = dice.choice(["max", "average"])
    pool: Any = (MAXIMA if reduction == "max" else AVERAGES)[axes - 1]

    def by_bins(input: Tensor, level: tuple[int, ...]) -> Tensor:
        bins = []
        for place in product(*map(range, level)):
            part = input
            for axis, (i, out) in enumerate(zip(place, level, strict=True), start=2):
                n = input.shape[axis]
                part = part.narrow(axis, i * n // out, math.ceil((i + 1) * n / out) - i * n // out)
            bins.append(part.flatten(2).max(2).values if reduction == "max" else part.flatten(2).mean(2))
        return torch.stack(bins, 2)

    def pyramid(input: Tensor) -> Tensor:
        return torch.cat([by_bins(input, level).flatten(1) for level in levels], 1)

    compare(lambda input: PYRAMIDS[axes - 1](input, levels, reduction=reduction), pyramid, input)
    compare(lambda input: pool(input, levels[0]).flatten(2), lambda input: by_bins(input, levels[0]), input)


def draw_pooling(dice: random.Random, dilated: bool = False) -> tuple[int, dict[str, Any], tuple[Window, ...], Tensor]:
    """Axes, settings, the windows that they make, and an input on which these fit."""
    axes = dice.randint(1, 3)
    while True:
        settings: dict[str, Any] = {
            "kernel_size": tuple(dice.choice([1, 2, 3, 3, 4, 5, 8][: 7 - 2 * (axes > 2)]) for _ in range(axes)),
            "stride": dice.choice([None, tuple(dice.choice([1, 2, 3]) for _ in range(axes))]),
            "padding": draw_padding(dice, axes, WORDS),
        }
        if dilated:
            settings["dilation"] = tuple(dice.choice([1, 1, 2]) for _ in range(axes))
            settings["ceil_mode"] = dice.random() < 0.3
        if settings["stride"] is None:
            settings["stride"] = settings["kernel_size"]
        along = windows(axes, **settings)
        sizes = draw_sizes(dice, axes)
        if all(window.fits(n) for window, n in zip(along, sizes, strict=True)):
            break
    dtype = dice.choice([torch.float64, torch.float64, torch.float32, torch.bfloat16])
    return axes, settings, along, draw_tensor(dice, [dice.randint(1, 2), dice.choice([1, 2, 3, 16]), *sizes], dtype)


def columns(input: Tensor, along: Any) -> Tensor:
    """What each window reads, looked up place by place, zeros outside: `(N, C, *outputs, taps)`."""
    axes, found = len(along), input
    for axis, window in enumerate(along, start=2):
        n = input.shape[axis]
        places = torch.tensor([[i if 0 <= i < n else n for i in taps] for taps in window.placements(n)])
        padded = torch.cat([found, torch.zeros_like(found.narrow(axis, 0, 1))], axis)
        read = padded.index_select(axis, places.flatten())
        found = read.unflatten(axis, tuple(places.shape)).movedim(axis + 1, -1)
    return found.flatten(2 + axes)


def compare(ours: Function, definition: Function, *tensors: Tensor) -> None:
    """Outputs and gradients."""
    wide = tuple(tensor.double() for tensor in tensors)
    assert_close(ours(*tensors), definition(*wide), terms=definition(*(tensor.abs() for tensor in wide)))
    first, *others = zip(gradients_of(ours, *tensors), gradients_of(definition, *wide), strict=True)
    assert_close(*first)
    for found, wished in others:
        # What of many places cancels in the gradient of sigma, and is as coarse as that of the output.
        assert_close(found, wished, tensors[0].dtype, terms=wished.abs() + wide[0].abs().sum())
