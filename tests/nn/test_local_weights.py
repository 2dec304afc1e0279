"""Locally connected layers of others, by their formulas written out in loops."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ops.checks import assert_close
from striate.nn import LocalConv1d, LocalConv2d, LocalConv3d, from_flax_local, from_keras_local, from_torch7_local

Array = NDArray[np.float64]


def draw(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def places(*sizes: int) -> Any:
    return product(*map(range, sizes))


def connected(n: int, k: int, p: int, s: int, padding: str) -> range:
    """Keras's `conv_connected_inputs` along one axis."""
    left = k // 2
    right = k - left
    center = p * s + (left if padding == "valid" else 0)
    return range(max(0, center - left), min(n, center + right))


def outputs_of(sizes: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: str) -> tuple[int, ...]:
    """Keras's `conv_output_length`."""
    lengths = [n if padding == "same" else n - k + 1 for n, k in zip(sizes, kernel, strict=True)]
    return tuple((n + stride - 1) // stride for n in lengths)


def pairs(
    sizes: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: str, into: int, filters: int, last: bool
) -> list[tuple[int, int]]:
    """Keras's `conv_kernel_idxs`, sorted: the outputs and inputs, both flat, that a number of the kernel connects."""
    outputs = outputs_of(sizes, kernel, stride, padding)
    found = []
    for place in places(*outputs):
        ranges = [connected(n, k, p, stride, padding) for n, k, p in zip(sizes, kernel, place, strict=True)]
        for at, c, f in product(product(*ranges), range(into), range(filters)):
            to, taken = ((*place, f), (*at, c)) if last else ((f, *place), (c, *at))
            shapes = ((*outputs, filters), (*sizes, into)) if last else ((filters, *outputs), (into, *sizes))
            found.append((int(np.ravel_multi_index(to, shapes[0])), int(np.ravel_multi_index(taken, shapes[1]))))
    return sorted(found)


def compare(layer: torch.nn.Module, input: Array, expected: Array, last: bool) -> None:
    maps = torch.from_numpy(input)
    found = layer(maps.movedim(-1, 1)).movedim(1, -1) if last else layer(maps)
    assert_close(found.detach(), torch.from_numpy(expected))


SHAPES = [((7,), (3,), 2), ((6, 5), (2, 3), 1), ((7, 6), (3, 2), 2)]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(("sizes", "kernel", "stride"), SHAPES, ids=str)
def test_keras_implementation_1(sizes: tuple[int, ...], kernel: tuple[int, ...], stride: int, last: bool) -> None:
    into, filters = 3, 4
    outputs = outputs_of(sizes, kernel, stride, "valid")
    values = draw(int(np.prod(outputs)), int(np.prod(kernel)) * into, filters)
    bias = draw(*outputs, filters)
    input = draw(2, *sizes, into) if last else draw(2, into, *sizes)
    expected = np.zeros((2, *outputs, filters))
    for number, place in enumerate(places(*outputs)):
        window: Any = tuple(slice(p * stride, p * stride + k) for p, k in zip(place, kernel, strict=True))
        window = (slice(None), *window) if last else (slice(None), slice(None), *window)
        expected[(slice(None), *place)] = input[window].reshape(2, -1) @ values[number] + bias[place]
    expected = expected if last else np.moveaxis(expected, -1, 1)
    layer = from_keras_local(
        values,
        bias,
        input_size=sizes,
        kernel_size=kernel,
        stride=stride,
        data_format="channels_last" if last else "channels_first",
    )
    assert type(layer) is (LocalConv1d, LocalConv2d)[len(sizes) - 1]
    compare(layer, input, expected, last)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("implementation", [2, 3])
@pytest.mark.parametrize(("sizes", "kernel", "stride"), SHAPES, ids=str)
def test_keras_implementations_2_and_3(
    sizes: tuple[int, ...], kernel: tuple[int, ...], stride: int, implementation: Any, last: bool, padding: Any
) -> None:
    into, filters = 2, 3
    outputs = outputs_of(sizes, kernel, stride, padding)
    entries = pairs(sizes, kernel, stride, padding, into, filters, last)
    input = draw(2, *sizes, into) if last else draw(2, into, *sizes)
    bias = draw(*outputs, filters)
    shape = ((*sizes, into), (*outputs, filters)) if last else ((into, *sizes), (filters, *outputs))
    flat = np.zeros((int(np.prod(shape[1])), int(np.prod(shape[0]))))
    if implementation == 3:
        values = draw(len(entries))
        flat[tuple(zip(*entries, strict=True))] = values
    else:
        values = draw(*shape[0], *shape[1])
        rows = values.reshape(flat.shape[1], flat.shape[0]).T
        for entry in entries:
            flat[entry] = rows[entry]
    expected = (input.reshape(2, -1) @ flat.T).reshape(2, *shape[1])
    expected = expected + (bias if last else np.moveaxis(bias, -1, 0))
    layer = from_keras_local(
        values,
        bias,
        input_size=sizes,
        kernel_size=kernel,
        stride=stride,
        padding=padding,
        implementation=implementation,
        data_format="channels_last" if last else "channels_first",
    )
    compare(layer, input, expected, last)


@pytest.mark.parametrize(
    ("sizes", "kernel", "stride", "dilation", "padding", "sides"),
    [
        ((7,), (3,), (2,), (1,), "SAME", [(1, 1)]),
        ((8,), (4,), (3,), (1,), "SAME", [(1, 1)]),
        ((6, 5), (2, 3), (1, 2), (2, 1), "VALID", [(0, 0), (0, 0)]),
        ((4, 5), (2, 3), (1, 1), (1, 1), "SAME", [(0, 1), (1, 1)]),
        ((5,), (3,), (1,), (2,), "CAUSAL", [(4, 0)]),
        ((4, 5), (3, 2), (1, 1), (1, 1), [2, (0, 1)], [(2, 2), (0, 1)]),
        ((4, 4), (3, 4), (1, 1), (1, 1), "CIRCULAR", [(1, 1), (1, 2)]),
        ((3, 4, 3), (2, 2, 1), (1, 2, 1), (1, 1, 1), 1, [(1, 1)] * 3),
    ],
    ids=str,
)
def test_flax(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: Any,
    sides: list[tuple[int, int]],
) -> None:
    """`lax.conv_general_dilated_local` with NHWC, HWIO, NHWC: patches in the order of channels, then of taps."""
    into, features = 3, 2
    input = draw(2, *sizes, into)
    padded = np.pad(input, [(0, 0), *sides, (0, 0)], mode="wrap" if padding == "CIRCULAR" else "constant")
    spans = padded.shape[1:-1]
    outputs = tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(spans, kernel, stride, dilation, strict=True))
    values, bias = draw(*outputs, into * int(np.prod(kernel)), features), draw(*outputs, features)
    expected = np.zeros((2, *outputs, features))
    for place in places(*outputs):
        patch = [
            padded[(slice(None), *(p * s + t * d for p, s, t, d in zip(place, stride, tap, dilation, strict=True)), c)]
            for c, tap in product(range(into), list(places(*kernel)))
        ]
        expected[(slice(None), *place)] = np.stack(patch, -1) @ values[place] + bias[place]
    layer = from_flax_local(
        values, bias, input_size=sizes, kernel_size=kernel, stride=stride, padding=padding, dilation=dilation
    )
    assert type(layer) is (LocalConv1d, LocalConv2d, LocalConv3d)[len(sizes) - 1]
    compare(layer, input, expected, True)


@pytest.mark.parametrize("biased", [True, False])
def test_torch7(biased: bool) -> None:
    """`nn.SpatialConvolutionLocal(3, 2, iW=6, iH=5, kW=2, kH=3, dW=2, dH=1, padW=0, padH=1)`."""
    input, weight, bias = draw(2, 3, 5, 6), draw(5, 3, 2, 3, 3, 2), draw(2, 5, 3)
    padded = np.pad(input, [(0, 0), (0, 0), (1, 1), (0, 0)])
    expected = np.zeros((2, 2, 5, 3))
    for n, o, y, x in places(*expected.shape):
        window = padded[n, :, y : y + 3, 2 * x : 2 * x + 2]
        expected[n, o, y, x] = (weight[y, x, o] * window).sum() + (bias[o, y, x] if biased else 0)
    layer = from_torch7_local(
        torch.from_numpy(weight), bias if biased else None, input_size=(5, 6), stride=(1, 2), padding=(1, 0)
    )
    assert torch.equal(layer.weight, torch.from_numpy(weight))
    compare(layer, input, expected, False)


def test_parameters_are_copies() -> None:
    weight = torch.ones(4, 5, 8, 3, 2, 2)
    layer = from_torch7_local(weight, input_size=(5, 6))
    weight.zero_()
    assert layer.weight.all() and layer.weight.requires_grad
    assert layer.weight.dtype == torch.float32


KERAS: dict[str, Any] = {"kernel": draw(4, 6, 5), "bias": draw(4, 5), "input_size": [5], "kernel_size": 2}
FLAX: dict[str, Any] = {"kernel": draw(5, 6, 4), "input_size": [5], "kernel_size": 2}
TORCH7: dict[str, Any] = {"weight": torch.ones(4, 5, 8, 3, 2, 2), "input_size": (5, 6)}
RIGHT: dict[Any, dict[str, Any]] = {from_keras_local: KERAS, from_flax_local: FLAX, from_torch7_local: TORCH7}


@pytest.mark.parametrize(
    ("function", "change", "message"),
    [
        (from_keras_local, {"input_size": (5, 5, 5)}, r"input_size must have 1 or 2 entries, got \(5, 5, 5\)"),
        (from_keras_local, {"data_format": "NHWC"}, "data_format must be 'channels_last' or .* got 'NHWC'"),
        (from_keras_local, {"implementation": 4}, "implementation must be 1, 2 or 3, got 4"),
        (from_keras_local, {"padding": "causal"}, "padding must be 'valid' or 'same', got 'causal'"),
        (from_keras_local, {"kernel": draw(5, 6, 5)}, r"kernel must be \(4, 2 \* in, filters\), got \(5, 6, 5\)"),
        (from_keras_local, {"kernel": draw(4, 5, 5)}, r"kernel must be \(4, 2 \* in, filters\), got \(4, 5, 5\)"),
        (
            from_keras_local,
            {"kernel": draw(4, 5), "data_format": "channels_first"},
            r"kernel must be \(4, in \* 2, filters\), got \(4, 5\)",
        ),
        (
            from_keras_local,
            {"implementation": 2},
            r"kernel must be \(5, in, 4, filters\), got \(4, 6, 5\)",
        ),
        (
            from_keras_local,
            {"implementation": 2, "data_format": "channels_first", "kernel": draw(3, 5, 5, 5)},
            r"kernel must be \(in, 5, filters, 4\), got \(3, 5, 5, 5\)",
        ),
        (from_keras_local, {"kernel": draw(4, 0, 5)}, r"filters\), got \(4, 0, 5\)"),
        (from_keras_local, {"implementation": 3, "bias": None}, "filters, or a bias .* given with implementation 3"),
        (from_keras_local, {"implementation": 3, "bias": draw()}, "filters, or a bias .* given with implementation 3"),
        (from_keras_local, {"implementation": 3, "filters": 0}, "filters must be an integer of at least 1, got 0"),
        (from_keras_local, {"implementation": 3, "filters": -1}, "filters must be an integer of at least 1, got -1"),
        (from_keras_local, {"filters": 4}, "filters must be 5, as the kernel has, got 4"),
        (
            from_keras_local,
            {"implementation": 3, "kernel": draw(48), "filters": 3, "bias": draw(4, 2)},
            r"bias must be \(4, 3\), got \(4, 2\)",
        ),
        (from_keras_local, {"implementation": 3}, r"kernel must be \(in \* 40,\) for 5 filters, got \(4, 6, 5\)"),
        (from_keras_local, {"bias": draw(5)}, r"bias must be \(4, 5\), got \(5,\)"),
        (from_keras_local, {"bias": draw(5, 4)}, r"bias must be \(4, 5\), got \(5, 4\)"),
        (from_keras_local, {"bias": draw()}, r"bias must be \(4, 5\), got \(\)"),
        (from_flax_local, {"bias": draw(4, 5)}, r"bias must be \(5, 4\), got \(4, 5\)"),
        (from_flax_local, {"input_size": [1] * 4}, r"input_size must have 1 or 2 or 3 entries, got \(1, 1, 1, 1\)"),
        (from_flax_local, {"input_size": [0]}, "input_size must be an integer of at least 1, got 0"),
        (from_flax_local, {"padding": "FULL"}, "padding must be 'CIRCULAR', 'SAME', .* or numbers, got 'FULL'"),
        (
            from_flax_local,
            {"kernel": draw(4, 6, 4)},
            r"kernel must be \(\*\(5,\), in \* 2, features\), got \(4, 6, 4\)",
        ),
        (from_flax_local, {"kernel": draw(5, 5, 4)}, r"in \* 2, features\), got \(5, 5, 4\)"),
        (from_torch7_local, {"weight": torch.ones(4, 8, 3, 2, 2)}, r"weight must have 6 axes .* got \(4, 8, 3, 2, 2\)"),
        (from_torch7_local, {"stride": 2}, r"weight must be \(2, 3, 8, 3, 2, 2\), got \(4, 5, 8, 3, 2, 2\)"),
        (from_torch7_local, {"input_size": (5, 6, 7)}, r"input_size must have 2 entries, got \(5, 6, 7\)"),
        (from_torch7_local, {"bias": draw(4, 5, 8)}, r"bias must be \(8, 4, 5\), got \(4, 5, 8\)"),
    ],
)
def test_refuses(function: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(**{**RIGHT[function], **change})


@pytest.mark.parametrize("function", RIGHT)
def test_refuses_what_is_no_array_or_size(function: Any) -> None:
    kernel = "weight" if function is from_torch7_local else "kernel"
    for name, value, message in (
        (kernel, torch.as_tensor(RIGHT[function][kernel]).int(), "must hold floating-point numbers, got torch.int32"),
        (kernel, None, "must be a tensor or an array, got NoneType"),
        ("bias", np.ones((4, 5), bool), "must hold floating-point numbers, got torch.bool"),
        ("bias", "abc", "must be a tensor or an array, got str"),
        ("input_size", 5, "must be a sequence of integers, one an axis, got 5"),
        ("input_size", "55", "must be a sequence of integers, one an axis, got '55'"),
    ):
        with pytest.raises(TypeError, match=f"{name} {message}"):
            function(**{**RIGHT[function], name: value})
    with pytest.raises(TypeError, match="filters must be an integer of at least 1, got 2.0"):
        from_keras_local(**{**KERAS, "filters": 2.0})
