"""Random legal configurations against independent definitions: 60 a kind in `make test`, 1,100 in `make sweep`."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor
from torch.nn import functional as F

import striate
from ops import onnx_evaluator
from ops.activation_sweep import check_activation
from ops.checks import Function, assert_close, gradients_of
from ops.deform_sweep import check_deformed_aggregation, check_deformed_convolution
from ops.draws import Layer, draw_layer, draw_tensor, draw_transposed
from ops.local_sweep import check_local, check_local_transposed
from ops.norm_sweep import check_contrast_norm, check_response_norm
from ops.pool_sweep import check_average, check_max, check_unpool
from ops.table_sweep import check_table
from ops.weighted_pool_sweep import check_adaptive, check_blur, check_gaussian, check_norm
from striate.geometry import Window
from striate.ops.conv import reference
from striate.ops.conv_transpose.reference import conv_transpose as defined_transposed
from striate.ops.im2col.reference import col2im as defined_col2im
from striate.ops.im2col.reference import im2col as defined_im2col

CONVOLUTIONS = (striate.conv1d, striate.conv2d, striate.conv3d, striate.conv4d)
TRANSPOSED = (striate.conv_transpose1d, striate.conv_transpose2d, striate.conv_transpose3d)
IM2COL = (striate.im2col1d, striate.im2col2d, striate.im2col3d)
COL2IM = (striate.col2im1d, striate.col2im2d, striate.col2im3d)
TORCH = (F.conv1d, F.conv2d, F.conv3d)
TORCH_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def pairs(low: list[int], high: list[int]) -> list[int]:
    """Places by axis as PyTorch's pad takes them."""
    return [side for sides in zip(reversed(low), reversed(high), strict=True) for side in sides]


def check(ours: Function, values: Function, gradients: Function, *tensors: Tensor) -> None:
    """Compare outputs with one definition and gradients with another, both in float64."""
    wide = tuple(tensor.double() for tensor in tensors)
    # Sums without cancellation: what an error is relative to.
    sizes = tuple(tensor.abs() for tensor in wide)
    assert_close(ours(*tensors), values(*wide), terms=values(*sizes))
    expected = zip(gradients_of(gradients, *wide), gradients_of(gradients, *sizes), strict=True)
    for found, (wished, terms) in zip(gradients_of(ours, *tensors), expected, strict=True):
        assert_close(found, wished, terms=terms)


def check_convolution(dice: random.Random) -> None:
    layer = draw_layer(dice, most_axes=4)
    (low, high), (stride, dilation), groups = layer.pads(), layer.by_axis, layer.settings["groups"]

    def by_torch(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        padded = F.pad(input, pairs(low, high))
        return TORCH[layer.axes - 1](padded, weight, bias, stride, 0, dilation, groups)

    def by_definition(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return reference.conv(input, weight, bias, stride, low, high, dilation, groups)

    def by_onnx(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        attributes = {"strides": stride, "dilations": dilation, "group": groups, **onnx_padding(layer)}
        return onnx_evaluator.conv(input, weight, bias, **attributes)

    differentiable = [by_definition, by_torch][: 1 + (layer.axes < 4)]
    values, gradients = dice.choice([*differentiable, by_onnx]), dice.choice(differentiable)
    ours = lambda *tensors: CONVOLUTIONS[layer.axes - 1](*tensors, **layer.settings)  # noqa: E731
    check(ours, values, gradients, layer.input, layer.weight, layer.bias)


def onnx_padding(layer: Layer) -> dict[str, Any]:
    """The attribute that means a layer's padding: a word of ONNX's where there is one."""
    words = {"valid": "VALID", "same_upper": "SAME_UPPER", "same_lower": "SAME_LOWER"}
    (word, *others) = {window.padding for window in layer.windows}
    if not others and word in words:
        return {"auto_pad": words[word]}
    low, high = layer.pads()
    return {"pads": [*low, *high]}


def check_transposed(dice: random.Random) -> None:
    layer, more = draw_transposed(dice)
    (stride, dilation), groups = layer.by_axis, layer.settings["groups"]
    crops = [window.crops() for window in layer.windows]
    low, high = [a for a, _ in crops], [b - extra for (_, b), extra in zip(crops, more, strict=True)]

    def by_torch(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        whole = TORCH_TRANSPOSED[layer.axes - 1](input, weight, None, stride, 0, 0, groups, dilation)
        return F.pad(whole, [-side for side in pairs(low, high)]) + bias.view(-1, *[1] * layer.axes)

    def by_definition(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return defined_transposed(input, weight, bias, stride, low, high, dilation, groups)

    def by_onnx(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        attributes = {"strides": stride, "dilations": dilation, "output_padding": more, **onnx_crops(layer, more)}
        return onnx_evaluator.conv_transpose(input, weight, bias, groups, **attributes)

    values = [by_torch, by_definition]
    # Negative crops are none of ONNX's, and onnx 1.23.2 counts one placement more where output padding reaches the
    # stride, which ONNX allows below the dilation.
    if min(min(pair) for pair in crops) >= 0 and all(e < s for e, s in zip(more, stride, strict=True)):
        values += [by_onnx, by_onnx]
    ours = lambda *tensors: TRANSPOSED[layer.axes - 1](*tensors, output_padding=more, **layer.settings)  # noqa: E731
    tensors = layer.input, layer.weight, layer.bias
    check(ours, dice.choice(values), dice.choice([by_torch, by_definition]), *tensors)


def onnx_crops(layer: Layer, more: tuple[int, ...]) -> dict[str, Any]:
    """The attribute that means a transposed layer's padding: a word of ONNX's where there is one."""
    if {window.padding for window in layer.windows} == {"same"} and not any(more):
        return {"auto_pad": "SAME_UPPER"}
    crops = [window.crops() for window in layer.windows]
    return {"pads": [*(low for low, _ in crops), *(high for _, high in crops)]}


def check_columns(dice: random.Random) -> None:
    """Both directions against their definitions, and each as the adjoint of the other with every padding mode."""
    layer = draw_layer(dice)
    settings = {name: value for name, value in layer.settings.items() if name != "groups"}
    kernel, (low, high), (stride, dilation) = tuple(layer.weight.shape[2:]), layer.pads(), layer.by_axis

    def forth(input: Tensor, mode: str = "zeros") -> Tensor:
        return IM2COL[layer.axes - 1](input, kernel, padding_mode=mode, **settings)

    def back(columns: Tensor, mode: str = "zeros") -> Tensor:
        return COL2IM[layer.axes - 1](columns, tuple(layer.sizes), kernel, padding_mode=mode, **settings)

    def by_definition(input: Tensor) -> Tensor:
        return defined_im2col(F.pad(input, pairs(low, high)), kernel, stride, dilation)

    def by_unfold(input: Tensor) -> Tensor:
        return F.unfold(F.pad(input, pairs(low, high)), kernel, dilation, 0, stride)

    def back_by_definition(columns: Tensor) -> Tensor:
        padded = [a + n + b for a, n, b in zip(low, layer.sizes, high, strict=True)]
        inside = tuple(slice(a, a + n) for a, n in zip(low, layer.sizes, strict=True))
        return defined_col2im(columns, padded, kernel, stride, dilation)[(..., *inside)]

    def back_by_onnx(columns: Tensor) -> Tensor:
        attributes = {"strides": stride, "dilations": dilation, "pads": [*low, *high]}
        return onnx_evaluator.col2im(columns, layer.sizes, kernel, **attributes)

    check(forth, dice.choice([by_definition, by_unfold][: 1 + (layer.axes == 2)]), by_definition, layer.input)
    columns = draw_tensor(dice, list(forth(layer.input).shape), layer.input.dtype)
    # The evaluator works place by place, in Python.
    values = [back_by_definition, back_by_onnx] if columns.numel() < 3000 else [back_by_definition]
    check(back, dice.choice(values), back_by_definition, columns)
    mode = dice.choice(modes_of(layer))
    assert_adjoint(partial(forth, mode=mode), partial(back, mode=mode), layer.input.double(), columns.double())


def modes_of(layer: Layer) -> list[str]:
    """The padding modes that can pad as much as the layer does."""
    most = [max(window.pads(n)) - n for window, n in zip(layer.windows, layer.sizes, strict=True)]
    return ["zeros", "replicate", *["circular"] * (max(most) <= 0), *["reflect"] * (max(most) < 0)]


def assert_adjoint(forth: Function, back: Function, x: Tensor, y: Tensor) -> None:
    """<forth(x), y> = <x, back(y)>."""
    output, returned = forth(x), back(y)
    assert returned.shape == x.shape
    assert_close((output * y).sum(), (x * returned).sum(), terms=(output * y).abs().sum())


def check_adjoint(dice: random.Random) -> None:
    """A transposed convolution whose crops are the convolution's paddings."""
    extra: list[int | None] = [None]
    while None in extra:
        layer = draw_layer(dice)
        crops = tuple(zip(*layer.pads(), strict=True))
        extra = [
            _output_padding(Window(window.kernel, window.stride, pair, window.dilation), n)
            for window, pair, n in zip(layer.windows, crops, layer.sizes, strict=True)
        ]
    settings = {**layer.settings, "padding": crops}
    forth = lambda x: CONVOLUTIONS[layer.axes - 1](x, layer.weight.double(), **settings)  # noqa: E731
    more = {"output_padding": tuple(extra), **settings}
    back = lambda y: TRANSPOSED[layer.axes - 1](y, layer.weight.double(), **more)  # noqa: E731
    x = layer.input.double()
    assert_adjoint(forth, back, x, draw_tensor(dice, list(forth(x).shape), torch.float64))


def _output_padding(window: Window, n: int) -> int | None:
    """What gives the transposed output n places again, None if nothing legal does."""
    placed = window.output_size(n)
    if (placed - 1) * window.stride + window.extent <= sum(window.crops()):
        return None
    extra = n - window.transposed_output_size(placed)
    return extra if 0 <= extra < max(window.stride, window.dilation) else None


def check_correlation(dice: random.Random) -> None:
    axes = dice.randint(1, 3)
    plane = draw_tensor(dice, [dice.randint(4, 9) for _ in range(axes)], torch.float64)
    kernel = draw_tensor(dice, [dice.randint(1, 4) for _ in range(axes)], torch.float64)
    mode = dice.choice(["valid", "full"])
    for ours, theirs in ((striate.correlate, scipy.signal.correlate), (striate.convolve, scipy.signal.convolve)):
        expected = theirs(plane.numpy(), kernel.numpy(), mode=mode, method="direct")
        assert_close(ours(plane, kernel, padding=mode), torch.from_numpy(np.ascontiguousarray(expected)))


CHECKS: dict[str, Callable[[random.Random], None]] = {
    "convolution": check_convolution,
    "transposed": check_transposed,
    "columns": check_columns,
    "adjoint": check_adjoint,
    "correlation": check_correlation,
    "deformed convolution": check_deformed_convolution,
    "deformed aggregation": check_deformed_aggregation,
    "table": check_table,
    "activation": check_activation,
    "contrast norm": check_contrast_norm,
    "maximum": check_max,
    "maximum undone": check_unpool,
    "average": check_average,
    "norm of a window": check_norm,
    "Gaussian average": check_gaussian,
    "blur": check_blur,
    "adaptive": check_adaptive,
    "response norm": check_response_norm,
    "unshared": check_local,
    "unshared transposed": check_local_transposed,
}


@pytest.mark.parametrize("chunk", range(6))
@pytest.mark.parametrize("name", CHECKS)
def test_some(name: str, chunk: int) -> None:
    for seed in range(10 * chunk, 10 * chunk + 10):
        CHECKS[name](random.Random(f"{name} {seed}"))


@pytest.mark.sweep
@pytest.mark.parametrize("chunk", range(11))
@pytest.mark.parametrize("name", CHECKS)
def test_many(name: str, chunk: int) -> None:
    for seed in range(1000 + 100 * chunk, 1100 + 100 * chunk):
        CHECKS[name](random.Random(f"{name} {seed}"))
