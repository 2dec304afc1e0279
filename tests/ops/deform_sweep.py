"""Random legal configurations of the deformable operators, against PyTorch's `grid_sample` in float64."""

import random
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import striate
from ops import deformed
from ops.checks import assert_close, gradients_of
from ops.draws import Layer, draw_layer, draw_tensor

CONVOLUTIONS = (striate.deform_conv1d, striate.deform_conv2d, striate.deform_conv3d)
AGGREGATIONS = (striate.deform_aggregate1d, striate.deform_aggregate2d, striate.deform_aggregate3d)


def check_deformed_convolution(dice: random.Random) -> None:
    layer = draw_layer(dice)
    settings = {name: value for name, value in layer.settings.items() if name != "groups"}
    kernel, groups = list(layer.weight.shape[2:]), layer.settings["groups"]
    taps = list(product(*map(range, kernel)))
    moves = dice.choice([n for n in range(1, layer.input.shape[1] + 1) if layer.input.shape[1] % n == 0])
    offset, mask = draw_moves(dice, layer, moves, len(taps), scale=1.0)
    masked = dice.random() < 0.5

    def ours(input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return CONVOLUTIONS[layer.axes - 1](input, offset, weight, bias, mask=mask if masked else None, **settings)

    def by_grid_sample(input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        samples = read(input, places(layer, offset, taps, 1.0))
        samples = samples * mask.view(*samples.shape[:2], 1, *samples.shape[3:])
        columns = samples.reshape(len(samples), groups, -1, *samples.shape[4:])
        filters = weight.reshape(groups, -1, columns.shape[2])
        return torch.einsum("ngk...,gok->ngo...", columns, filters).flatten(1, 2) + bias.view(-1, *[1] * layer.axes)

    if not masked:
        mask = torch.ones_like(mask)
    compare(ours, by_grid_sample, layer.input, offset, mask, layer.weight, layer.bias, unused=() if masked else (2,))


def check_deformed_aggregation(dice: random.Random) -> None:
    layer = draw_layer(dice)
    settings: dict[str, Any] = {**layer.settings, "offset_scale": dice.choice([1.0, 1.0, 0.5, 2.0])}
    kernel, groups, scale = list(layer.weight.shape[2:]), layer.settings["groups"], settings["offset_scale"]
    taps = list(product(*map(range, kernel)))
    settings["remove_center"] = len(taps) % 2 == 1 and len(taps) > 1 and dice.random() < 0.5
    if settings["remove_center"]:
        del taps[len(taps) // 2]
    offset, mask = draw_moves(dice, layer, groups, len(taps), scale)

    def ours(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        return AGGREGATIONS[layer.axes - 1](input, offset, mask, kernel, **settings)

    def by_grid_sample(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        samples = read(input, places(layer, offset, taps, scale))
        return (samples * mask.view(*samples.shape[:2], 1, *samples.shape[3:])).sum(3).flatten(1, 2)

    compare(ours, by_grid_sample, layer.input, offset, mask)


def draw_moves(dice: random.Random, layer: Layer, groups: int, taps: int, scale: float) -> tuple[Tensor, Tensor]:
    """Offsets and masks of the input's dtype, or of float32 beside bfloat16; some offsets lead far away."""
    outputs = [window.output_size(n) for window, n in zip(layer.windows, layer.sizes, strict=True)]
    generator = torch.Generator().manual_seed(dice.randrange(2**31))
    shape = len(layer.input), groups * taps, *outputs
    offset = deformed.draw_offsets(generator, shape[0], shape[1] * layer.axes, *outputs, scale=scale)
    offset[torch.rand(offset.shape, generator=generator) < 0.02] = dice.choice([1e9, -1e9])
    low = layer.input.dtype == torch.bfloat16
    dtypes = [dice.choice([layer.input.dtype, torch.float32]) if low else layer.input.dtype for _ in range(2)]
    return offset.to(dtypes[0]), draw_tensor(dice, list(shape), dtypes[1])


def places(layer: Layer, offset: Tensor, taps: Sequence[Sequence[int]], scale: float) -> Tensor:
    """Coordinates `(N, groups, taps, axes, *outputs)`."""
    stride, dilation = layer.by_axis
    middle = torch.tensor([d * (k - 1) // 2 for k, d in zip(layer.weight.shape[2:], dilation, strict=True)])
    ones = [1] * layer.axes
    starts = [
        torch.arange(n, dtype=offset.dtype) * s - a
        for n, s, a in zip(offset.shape[2:], stride, layer.pads()[0], strict=True)
    ]
    grid = torch.stack(torch.meshgrid(*starts, indexing="ij")) + middle.view(-1, *ones)
    steps = (torch.tensor(taps) * torch.tensor(dilation) - middle).view(len(taps), layer.axes, *ones)
    moved = offset.view(len(offset), -1, len(taps), layer.axes, *offset.shape[2:])
    return grid + scale * (steps + moved)


def read(input: Tensor, points: Tensor) -> Tensor:
    """The samples `(N, groups, C / groups, taps, *outputs)`; a series is a picture of one row."""
    batch, groups, taps, axes = points.shape[:4]
    sizes, outputs = input.shape[2:], points.shape[4:]
    scaled = [(2 * points[:, :, :, axis].clamp(-2, n) + 1) / n - 1 for axis, n in enumerate(sizes)]
    if axes == 1:
        scaled, sizes = [torch.zeros_like(scaled[0]), *scaled], torch.Size([1, *sizes])
    grid = torch.stack(scaled[::-1], -1).reshape(batch * groups, *[1] * (len(sizes) - 1), -1, len(sizes))
    maps = input.reshape(batch * groups, input.shape[1] // groups, *sizes)
    return F.grid_sample(maps, grid, align_corners=False).view(batch, groups, -1, taps, *outputs)


def compare(
    ours: Callable[..., Tensor], definition: Callable[..., Tensor], *tensors: Tensor, unused: Sequence[int] = ()
) -> None:
    """Outputs and gradients, relative to the sums of what is added up."""
    wide = [tensor.double() for tensor in tensors]
    sizes = [tensor if i == 1 else tensor.abs() for i, tensor in enumerate(wide)]
    terms = list(gradients_of(definition, *sizes))
    # The slope along an axis is at most twice the largest pixel.
    flat = [torch.full_like(sizes[0], 2 * sizes[0].max()), *sizes[1:]]
    terms[1] = gradients_of(definition, *flat)[2] * sizes[2].max()
    coarse = tensors[0].dtype
    assert_close(ours(*tensors), definition(*wide), coarse, definition(*sizes))
    taken = [i for i in range(len(tensors)) if i not in unused]

    def of_taken(*some: Tensor) -> Tensor:
        whole = dict(zip(taken, some, strict=True))
        return ours(*(whole.get(i, tensor) for i, tensor in enumerate(tensors)))

    found = gradients_of(of_taken, *(tensors[i] for i in taken))
    expected = gradients_of(definition, *wide)
    for i, gradient in zip(taken, found, strict=True):
        assert gradient.dtype == tensors[i].dtype
        assert_close(gradient, expected[i], coarse, terms[i])
