"""Random legal configurations of the unshared operators, against PyTorch's convolution of each window by itself."""

import random
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

import striate
from ops.checks import assert_close, gradients_of
from ops.draws import Layer, draw_layer, draw_tensor, draw_transposed
from ops.unshared import spread

LOCAL = (striate.local_conv1d, striate.local_conv2d, striate.local_conv3d)
TRANSPOSED = (striate.local_conv_transpose1d, striate.local_conv_transpose2d, striate.local_conv_transpose3d)
CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
# What a window is worth at most, so that a configuration takes no longer than the others.
MOST_PLACES = 150


def check_local(dice: random.Random) -> None:
    layer = draw_layer(dice)
    outputs = [window.output_size(n) for window, n in zip(layer.windows, layer.sizes, strict=True)]
    while torch.Size(outputs).numel() > MOST_PLACES:
        layer = draw_layer(dice)
        outputs = [window.output_size(n) for window, n in zip(layer.windows, layer.sizes, strict=True)]
    images, settings, (low, high) = draw_images(dice, layer), layer.settings, layer.pads()
    weight = draw_tensor(dice, [*outputs, *layer.weight.shape], layer.input.dtype)
    bias = draw_bias(dice, layer.weight.shape[0], outputs, layer.input.dtype)

    def ours(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return LOCAL[layer.axes - 1](input, weight, bias, **settings)

    def by_windows(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        padded = F.pad(input, [side for pair in zip(reversed(low), reversed(high), strict=True) for side in pair])
        columns = [windows_of(layer, padded, weight, place) for place in product(*map(range, outputs))]
        return torch.stack(columns, -1).unflatten(2, outputs) + spread(bias, layer.axes)

    compare(ours, by_windows, images, weight, bias)


def windows_of(layer: Layer, padded: Tensor, weight: Tensor, place: tuple[int, ...]) -> Tensor:
    """The output of one place `(N, out)`."""
    for axis, (at, window) in enumerate(zip(place, layer.windows, strict=True), start=2):
        padded = padded.narrow(axis, at * window.stride, window.extent)
    _, dilation = layer.by_axis
    convolved = CONVOLUTIONS[layer.axes - 1](padded, weight[place], None, 1, 0, dilation, layer.settings["groups"])
    return convolved.flatten(1)


def check_local_transposed(dice: random.Random) -> None:
    layer, more = draw_transposed(dice)
    images, settings = draw_images(dice, layer), layer.settings
    weight = draw_tensor(dice, [*layer.sizes, *layer.weight.shape], layer.input.dtype)
    crops = [window.crops() for window in layer.windows]
    spans = [(n - 1) * w.stride + w.extent for w, n in zip(layer.windows, layer.sizes, strict=True)]
    sizes = [n - a - b + extra for n, (a, b), extra in zip(spans, crops, more, strict=True)]
    bias = draw_bias(dice, layer.weight.shape[1] * settings["groups"], sizes, layer.input.dtype)

    def ours(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return TRANSPOSED[layer.axes - 1](input, weight, bias, output_padding=more, **settings)

    def by_adjoint(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The gradient of what `by_windows` does, of the plane before anything is cropped."""
        plane = torch.zeros(len(input), bias.shape[-1], *spans, dtype=input.dtype, requires_grad=True)
        places = list(product(*map(range, layer.sizes)))
        outputs = torch.stack([windows_of(layer, plane, weight, place) for place in places], -1)
        (whole,) = torch.autograd.grad(outputs, plane, input.flatten(2), create_graph=True)
        sides = [(-a, extra - b) for (a, b), extra in zip(crops, more, strict=True)]
        cropped = F.pad(whole, [side for pair in reversed(sides) for side in pair])
        return cropped + spread(bias, layer.axes)

    compare(ours, by_adjoint, images, weight, bias)


def draw_images(dice: random.Random, layer: Layer) -> Tensor:
    """The layer's input, or one of many images."""
    if dice.random() < 0.6:
        return layer.input
    return draw_tensor(dice, [dice.choice([4, 8, 17]), *layer.input.shape[1:]], layer.input.dtype)


def draw_bias(dice: random.Random, out: int, sizes: list[int], dtype: torch.dtype) -> Tensor:
    return draw_tensor(dice, [*(sizes if dice.random() < 0.5 else []), out], dtype)


def compare(ours: Callable[..., Tensor], definition: Callable[..., Tensor], *tensors: Tensor) -> None:
    """Outputs and gradients, relative to the sums of what is added up."""
    wide = [tensor.double() for tensor in tensors]
    sizes = [tensor.abs() for tensor in wide]
    coarse = tensors[0].dtype
    assert_close(ours(*tensors), definition(*wide), coarse, definition(*sizes))
    expected = zip(gradients_of(definition, *wide), gradients_of(definition, *sizes), strict=True)
    for found, (wished, terms) in zip(gradients_of(ours, *tensors), expected, strict=True):
        assert found.dtype == coarse
        assert_close(found, wished, coarse, terms)
