"""Transposed convolution: values, the definition, every form of cropping, both routes."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ops import checks
from ops.transposed import KINDS, defined, tensors, transposed
from striate.ops import dispatch
from striate.ops.conv_transpose import conv_transpose1d, conv_transpose2d
from striate.ops.conv_transpose.routes import by_sub_pixel, by_torch

# Kernel, stride and nothing cropped: what the sub-pixel route takes.
SUB_PIXEL = {"stride": 2}


def test_values_by_hand() -> None:
    series, filters = torch.tensor([[1.0, 2.0]]), torch.tensor([[[1.0, 10.0, 100.0]]])
    assert conv_transpose1d(series, filters).tolist() == [[1, 12, 120, 200]]
    assert conv_transpose1d(series, filters, stride=2).tolist() == [[1, 10, 102, 20, 200]]
    assert conv_transpose1d(series, filters, stride=2, padding=1).tolist() == [[10, 102, 20]]
    assert conv_transpose1d(series, filters, stride=2, padding=1, output_padding=1).tolist() == [[10, 102, 20, 200]]
    assert conv_transpose1d(series, filters, stride=2, padding="same").tolist() == [[1, 10, 102, 20]]
    assert conv_transpose1d(series, filters, dilation=2).tolist() == [[1, 2, 10, 20, 100, 200]]
    assert conv_transpose1d(series, filters, stride=4, bias=torch.tensor([5.0])).tolist() == [
        [6, 15, 105, 5, 7, 25, 205]
    ]
    square = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    twice = conv_transpose2d(torch.tensor([[[1.0, 10.0]]]), square, stride=2, bias=torch.tensor([0.5]))
    assert twice.tolist() == [[[1.5, 2.5, 10.5, 20.5], [3.5, 4.5, 30.5, 40.5]]]


SETTINGS = [
    {},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": "same"},
    {"padding": "causal", "stride": 3},
    {"padding": "same", "stride": 2},
    {"padding": "valid", "stride": 2, "dilation": 2},
    {"padding": "same", "stride": 5},
    {"padding": "causal", "stride": 4, "dilation": 1},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_definition(axes: int, kind: str, settings: dict[str, Any]) -> None:
    inputs = tensors(axes, kind, size=3)
    checks.check_same(transposed(axes, kind, **settings), defined(axes, kind, **settings), *inputs)


@pytest.mark.parametrize("padding", [((1, 2), (0, 3)), ("causal", (2, 1)), (1, "valid"), ("same", (3, 0)), ((0, 4), 2)])
@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("dilation", [1, 3])
def test_crops_by_axis(padding: Any, more: int, dilation: int) -> None:
    settings: dict[str, Any] = {"padding": padding, "stride": 2, "dilation": dilation}
    function = transposed(2, output_padding=more, **settings)
    checks.check_same(function, defined(2, more=more, **settings), *tensors(2, "standard"))


@pytest.mark.parametrize("more", [0, 1, 2, 3])
def test_places_that_no_tap_reaches_hold_the_bias(more: int) -> None:
    settings: dict[str, Any] = {"stride": 4, "padding": "same"}
    inputs = tensors(2, "standard", kernel=1)
    output = transposed(2, output_padding=more, **settings)(*inputs)
    assert output.shape[2:] == (16 + more, 20 + more)
    assert torch.equal(output[0, :, -1, -1], inputs[2])
    checks.check_same(transposed(2, output_padding=more, **settings), defined(2, more=more, **settings), *inputs)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("settings", [{"stride": 2, "padding": 1, "output_padding": 1}, {"dilation": 2}], ids=str)
def test_equals_torch(axes: int, settings: dict[str, Any]) -> None:
    theirs = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    checks.check_same(
        transposed(axes, "grouped", **settings),
        lambda i, w, b: theirs(i, w, b, groups=2, **settings),
        *tensors(axes, "grouped"),
    )


@pytest.mark.parametrize("sizes", list(itertools.product([1, 2, 5], repeat=2)), ids=str)
@pytest.mark.parametrize("kernel", [(1, 1), (2, 1), (1, 3), (4, 5)], ids=str)
def test_small_sizes(sizes: tuple[int, int], kernel: tuple[int, int]) -> None:
    input, weight = torch.randn(2, 3, *sizes).double(), torch.randn(3, 2, *kernel).double()
    settings: dict[str, Any] = {"padding": "same", "stride": (2, 1)}
    checks.check_same(transposed(2, **settings), defined(2, **settings), input, weight)


def test_output_size() -> None:
    inputs = tensors(2, "standard")
    settings: dict[str, Any] = {"stride": 3, "padding": 1}
    for height, width in ((10, 13), (11, 15), (12, 14)):
        output = transposed(2, output_size=(height, width), **settings)(*inputs)
        more = (height - 10, width - 13)
        assert torch.equal(output, transposed(2, output_padding=more, **settings)(*inputs))
        for front in ((2, 2), (9, 9)):
            assert torch.equal(output, transposed(2, output_size=(*front, height, width), **settings)(*inputs))
    alone = transposed(2, output_size=(2, 11, 13), **settings)(inputs[0][0], *inputs[1:])
    assert alone.shape == (2, 11, 13)
    ring = transposed(2, output_size=(12, 15), padding_mode="circular", **settings)(*inputs)
    assert ring.shape == (2, 2, 12, 15)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_gradients(axes: int, kind: str) -> None:
    settings: dict[str, Any] = {"stride": 2, "padding": ((1, 2),) + ("causal",) * (axes - 1)}
    checks.check_gradients(transposed(axes, kind, **settings), *tensors(axes, kind, size=2, kernel=3, batch=1))


@pytest.mark.parametrize("settings", [SUB_PIXEL, {**SUB_PIXEL, "padding_mode": "circular"}], ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_gradients_of_sub_pixels(axes: int, settings: dict[str, Any]) -> None:
    checks.check_gradients(transposed(axes, **settings), *tensors(axes, "standard", size=2, kernel=2, batch=1))


@pytest.mark.parametrize("settings", [{"stride": 2, "padding": ((1, 2),)}, SUB_PIXEL], ids=["torch", "sub-pixel"])
class TestHabits:
    def function(self, axes: int, settings: dict[str, Any], **more: Any) -> Callable[..., Tensor]:
        padding = settings.get("padding", (0,)) * axes
        return transposed(axes, **{**settings, "padding": padding, **more})

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_transforms(self, settings: dict[str, Any], axes: int) -> None:
        input, weight, _ = tensors(axes, "standard", size=2, kernel=2)
        checks.check_transforms(self.function(axes, settings), input, weight)

    def test_compiles(self, settings: dict[str, Any]) -> None:
        checks.check_compiles(
            self.function(2, settings), lambda size: tensors(2, "standard", size=size, kernel=2), sizes=(5, 9)
        )

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_exports_to_onnx(self, settings: dict[str, Any], axes: int, tmp_path: Path) -> None:
        inputs = [tensor.float() for tensor in tensors(axes, "standard", kernel=2)]
        assert checks.check_onnx(self.function(axes, settings), tmp_path, *inputs)

    def test_autocast(self, settings: dict[str, Any]) -> None:
        checks.check_autocast(self.function(2, settings), *tensors(2, "standard", kernel=2))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_dtypes(self, settings: dict[str, Any], axes: int) -> None:
        checks.check_dtypes(self.function(axes, settings), *tensors(axes, "standard", kernel=2))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_formats(self, settings: dict[str, Any], axes: int) -> None:
        checks.check_formats(self.function(axes, settings), *tensors(axes, "standard", kernel=2))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_batches(self, settings: dict[str, Any], axes: int) -> None:
        checks.check_batches(self.function(axes, settings), *tensors(axes, "standard", kernel=2))

    def test_deterministic(self, settings: dict[str, Any]) -> None:
        inputs = [tensor.float() for tensor in tensors(2, "standard", size=30, kernel=2)]
        checks.check_deterministic(self.function(2, settings), *inputs, threads=False)

    def test_whole(self, settings: dict[str, Any]) -> None:
        checks.check_whole(self.function(2, settings), *tensors(2, "standard", kernel=2))


def test_compiled_with_the_sizes_of_another_tensor() -> None:
    def like(input: Tensor, weight: Tensor) -> Tensor:
        return conv_transpose2d(input, weight, stride=2, padding=1, output_size=[2 * n for n in input.shape[2:]])

    checks.check_compiles(like, lambda size: tensors(2, "standard", size=size)[:2], sizes=(5, 9))


@pytest.mark.parametrize(
    ("sizes", "kernel", "stride", "padding"),
    [((4, 2), (4, 3), (2, 3), (2, 2)), ((3, 2, 3), (5, 2, 1), (1, 1, 1), (2, 0, 0))],
    ids=str,
)
def test_bfloat16_that_pytorch_gets_wrong(
    sizes: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
) -> None:
    """With a crop of its own, PyTorch 2.13 leaves parts of the weight gradient unwritten in channels-last."""
    layout = torch.channels_last if len(sizes) == 2 else torch.channels_last_3d
    input = torch.randn(2, 4, *sizes).bfloat16().contiguous(memory_format=layout)
    settings: dict[str, Any] = {"stride": stride, "padding": padding}
    own, expected = transposed(len(sizes), "grouped", **settings), defined(len(sizes), "grouped", **settings)
    checks.check_written(own, expected, input, torch.randn(4, 16, *kernel).bfloat16())


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("biased", [False, True])
def test_sub_pixels_equal_torch(axes: int, biased: bool) -> None:
    input, weight, bias = tensors(axes, "standard", kernel=2)
    at = [0] * axes
    checks.check_same(
        lambda i, w, *b: by_sub_pixel(i, w, *b or (None,)),
        lambda i, w, *b: by_torch(i, w, *b or (None,), [2] * axes, at, at, [1] * axes, 1),
        *((input, weight, bias) if biased else (input, weight)),
    )


@pytest.mark.parametrize(
    ("change", "route"),
    [
        ({}, "sub-pixel"),
        ({"padding": "same"}, "sub-pixel"),
        ({"padding_mode": "circular"}, "sub-pixel"),
        ({"padding": 1}, "torch"),
        ({"output_padding": 1}, "torch"),
        ({"stride": 3}, "torch"),
        ({"stride": (2, 1)}, "torch"),
        ({"weight": torch.zeros(4, 3, 4, 4), "padding": 1}, "torch"),
        ({"weight": torch.zeros(4, 3, 4, 4), "stride": 4}, "torch"),
        ({"groups": 2}, "torch"),
        ({"input": torch.zeros(1, 256, 9, 9), "weight": torch.zeros(256, 3, 2, 2)}, "torch"),
        ({"input": torch.zeros(1, 4, 9, 9).bfloat16(), "weight": torch.zeros(4, 3, 2, 2).bfloat16()}, "torch"),
        ({"input": torch.zeros(1, 4, 9, 9).to(memory_format=torch.channels_last)}, "torch"),
    ],
)
def test_dispatch_is_explained(change: dict[str, Any], route: str) -> None:
    call = {"input": torch.zeros(1, 4, 9, 9), "weight": torch.zeros(4, 3, 2, 2), "stride": 2, **change}
    assert dispatch.explain_dispatch(conv_transpose2d, **call).startswith(f"conv_transpose2d: {route}: ")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(4, 9)}, ValueError, r"input must be \(N, C, H, W\) or \(C, H, W\), got \(4, 9\)"),
        ({"input": torch.zeros(1, 4, 9, 9, dtype=torch.int64)}, TypeError, "floating-point numbers, got torch.int64"),
        ({"input": torch.zeros(1, 4, 0, 9)}, ValueError, "conv_transpose2d: axis 0: the input size must be at least 1"),
        ({"weight": torch.zeros(4, 3, 3, 3, dtype=torch.float64)}, TypeError, "weight must have the dtype of input"),
        ({"weight": torch.zeros(4, 3, 3, 3, device="meta")}, ValueError, "weight must be on the device of input"),
        ({"weight": torch.zeros(4, 3, 3)}, ValueError, r"weight must be \(in, out / groups, k1, k2\), none 0"),
        ({"weight": torch.zeros(4, 3, 0, 3)}, ValueError, r"none 0, got \(4, 3, 0, 3\)"),
        ({"weight": torch.zeros(6, 3, 3, 3)}, ValueError, r"input has 4 channels, weight .* takes 6"),
        ({"groups": 3}, ValueError, "a multiple of groups, got groups=3"),
        ({"groups": 0}, ValueError, "groups must be an integer of at least 1, got 0"),
        ({"bias": torch.zeros(3)}, ValueError, r"bias must be \(6,\), one number an output channel, got \(3,\)"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        ({"dilation": (1, 0)}, ValueError, "dilation must be an integer of at least 1"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
        ({"padding": "half"}, ValueError, "axis 0: .* 'valid', 'same' or 'causal', got 'half'"),
        ({"padding": (1, "full")}, ValueError, "axis 1: .* 'valid', 'same' or 'causal', got 'full'"),
        ({"padding": 10}, ValueError, "conv_transpose2d: axis 0: the transposed output is empty"),
        ({"output_padding": 2}, ValueError, "axis 0: output_padding must be .* below the larger of stride 2"),
        ({"output_padding": -1}, ValueError, "output_padding must be an integer of at least 0, got -1"),
        ({"output_padding": 0.5}, TypeError, "output_padding must be an integer of at least 0, got 0.5"),
        ({"output_padding": (1, 0, 0)}, ValueError, r"output_padding must be one number or one an axis \(2\)"),
        ({"output_padding": 1, "output_size": (20, 20)}, ValueError, "must be 0 where output_size says the size"),
        ({"output_size": (20,)}, ValueError, r"output_size must have 2 or 4 entries, got \(20,\)"),
        ({"output_size": (19, 21)}, ValueError, "axis 1: output_size must be from 19 to 20, got 21"),
        ({"output_size": (18, 20)}, ValueError, "axis 0: output_size must be from 19 to 20, got 18"),
        ({"padding_mode": "reflect"}, ValueError, "padding_mode must be zeros or circular, got 'reflect'"),
        ({"padding_mode": "circular", "output_padding": 1}, ValueError, "must be 0 where padding_mode='circular' says"),
        ({"padding_mode": "circular"}, ValueError, "must crop from 1 to 2 places in all, .* got 0 low and 0 high"),
        (
            {"padding_mode": "circular", "padding": 1, "output_size": (18, 19)},
            ValueError,
            r"axis 1: .* n \* stride = 18 places, output_size asks for 19",
        ),
        ({"padding_mode": "circular", "padding": "half"}, ValueError, "axis 0: .* 'same' or 'causal', got 'half'"),
        (
            {"padding_mode": "circular", "padding": "same", "input": torch.zeros(1, 4, 0, 9)},
            ValueError,
            "axis 0: the input size must be at least 1",
        ),
        (
            {"padding_mode": "circular", "padding": "same", "dilation": 20},
            ValueError,
            "axis 0: a window of 41 places goes round the ring of 18 more than once",
        ),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    right = {"input": torch.zeros(1, 4, 9, 9), "weight": torch.zeros(4, 3, 3, 3), "stride": 2, "groups": 2}
    with pytest.raises(error, match=message):
        conv_transpose2d(**{**right, **change})
