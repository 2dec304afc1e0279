"""Transposed unshared convolution: values, the definition by columns, adjointness, every form of cropping, habits."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ops import checks
from ops.unshared import (
    KINDS,
    LOCAL,
    NO_NUMBERS,
    TRANSPOSED,
    draw,
    tensors,
    transposed,
    transposed_by_columns,
    transposed_sizes,
    transposed_tensors,
)
from striate.ops import dispatch
from striate.ops.local_conv_transpose import local_conv_transpose1d, local_conv_transpose2d, reference

ORDINARY = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def test_values_by_hand() -> None:
    series = torch.tensor([[1.0, 2.0]])
    filters = torch.tensor([[1.0, 10.0, 100.0], [3.0, 5.0, 7.0]]).view(2, 1, 1, 3)
    assert local_conv_transpose1d(series, filters).tolist() == [[1, 16, 110, 14]]
    assert local_conv_transpose1d(series, filters, stride=2).tolist() == [[1, 10, 106, 10, 14]]
    assert local_conv_transpose1d(series, filters, stride=2, padding=1).tolist() == [[10, 106, 10]]
    assert local_conv_transpose1d(series, filters, stride=2, padding="same").tolist() == [[1, 10, 106, 10]]
    assert local_conv_transpose1d(series, filters, dilation=2).tolist() == [[1, 6, 10, 10, 100, 14]]
    assert local_conv_transpose1d(series, filters, torch.tensor([0.5]), stride=3, output_padding=1).tolist() == [
        [1.5, 10.5, 100.5, 6.5, 10.5, 14.5, 0.5]
    ]
    bias = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    assert local_conv_transpose1d(series, filters, bias).tolist() == [[2, 18, 113, 18]]


SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": "same"},
    {"padding": "causal", "stride": 3},
    {"padding": "same", "stride": 2},
    {"padding": "same", "stride": 5},
    {"padding": "valid", "stride": 2, "dilation": 2},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_columns(axes: int, kind: str, settings: dict[str, Any]) -> None:
    inputs = transposed_tensors(axes, kind, size=2, **settings)
    checks.check_same(transposed(axes, kind, **settings), transposed_by_columns(axes, kind, **settings), *inputs)


@pytest.mark.parametrize("padding", [((1, 2), (0, 3)), ("causal", (2, 1)), (1, "valid"), ("same", (3, 0)), ((0, 4), 2)])
@pytest.mark.parametrize("more", [0, 1])
def test_crops_by_axis(padding: Any, more: int) -> None:
    settings: dict[str, Any] = {"padding": padding, "stride": 2, "dilation": 3}
    function = transposed(2, output_padding=more, **settings)
    inputs = transposed_tensors(2, more=more, **settings)
    checks.check_same(function, transposed_by_columns(2, more=more, **settings), *inputs)


@pytest.mark.parametrize("batch", [1, 3, 4, 8, 9, 24])
@pytest.mark.parametrize(("channels", "out", "kernel"), [(1, 1, 1), (3, 5, 3), (8, 4, 3), (13, 5, 3), (11, 17, 2)])
def test_any_batch_and_any_channels(batch: int, channels: int, out: int, kernel: int) -> None:
    """Vectors of images and of weights, full and not, and their rows in eights, fours and ones."""
    input = draw(batch, channels, 5, 6).float()
    weight = draw(5, 6, channels, out, kernel, kernel).float()
    wide = [tensor.double() for tensor in (input, weight)]
    call, defined = transposed(2, stride=2), transposed_by_columns(2, stride=2)
    checks.assert_close(call(input, weight), defined(*wide), torch.float32)
    found = checks.gradients_of(call, input, weight)
    for gradient, expected in zip(found, checks.gradients_of(defined, *wide), strict=True):
        checks.assert_close(gradient, expected, torch.float32)


@pytest.mark.parametrize(
    ("kernel", "settings"),
    [
        (3, {}),
        (3, {"stride": 2, "padding": 1}),
        (4, {"stride": 3, "padding": ((1, 2),)}),
        (2, {"dilation": 3, "padding": ((0, 2),)}),
        (1, {"stride": 3}),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_is_the_adjoint_with_the_same_weight(axes: int, kind: str, kernel: int, settings: dict[str, Any]) -> None:
    settings = {name: value * axes if isinstance(value, tuple) else value for name, value in settings.items()}
    input, weight, _ = tensors(axes, kind, size=6, kernel=kernel, **settings)
    groups = KINDS[kind][0]
    output = LOCAL[axes - 1](input, weight, groups=groups, **settings)
    other = draw(*output.shape, seed=5)
    back = TRANSPOSED[axes - 1](other, weight, groups=groups, output_size=input.shape[2:], **settings)
    checks.assert_close((output * other).sum(), (input * back).sum(), terms=(output * other).abs().sum())
    own = input.requires_grad_()
    (gradient,) = torch.autograd.grad(LOCAL[axes - 1](own, weight, groups=groups, **settings), own, other)
    assert torch.equal(gradient, back)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equal_weights_are_ordinary(axes: int) -> None:
    input, settings = draw(2, 4, *range(3, 3 + axes)), {"stride": 2, "padding": 1, "output_padding": 1}
    filters, bias = draw(4, 3, *[3] * axes), draw(6)

    def call(input: Tensor, filters: Tensor, bias: Tensor) -> Tensor:
        return TRANSPOSED[axes - 1](input, filters.expand(*input.shape[2:], *filters.shape), bias, groups=2, **settings)

    checks.check_same(call, lambda i, w, b: ORDINARY[axes - 1](i, w, b, groups=2, **settings), input, filters, bias)


def test_equals_its_definition() -> None:
    inputs = transposed_tensors(2, "grouped", more=1, stride=2, padding=1)
    checks.check_same(
        transposed(2, "grouped", stride=2, padding=1, output_padding=1),
        lambda i, w, b: reference.local_conv_transpose(i, w, b, [8, 10], 2, [2, 2], [1, 1], [1, 1]),
        *inputs,
    )


@pytest.mark.parametrize("more", [0, 1, 2, 3])
def test_places_that_no_tap_reaches_hold_the_bias(more: int) -> None:
    settings: dict[str, Any] = {"stride": 4, "padding": "same"}
    input, weight, bias = transposed_tensors(2, kernel=1, more=more, **settings)
    output = transposed(2, output_padding=more, **settings)(input, weight, bias)
    assert output.shape[2:] == (16 + more, 20 + more)
    assert torch.equal(output[0, :, -1, -1], bias[-1, -1])
    shared = transposed(2, output_padding=more, **settings)(input, weight, bias[0, 0].contiguous())
    assert torch.equal(shared[1, :, 2, -1], bias[0, 0])


@pytest.mark.parametrize(
    ("kernel", "settings", "more"),
    [(6, {"padding": ((3, 0),)}, 0), (6, {"padding": ((0, 3),)}, 0), (1, {"padding": ((2, 0),), "stride": 4}, 3)],
)
def test_taps_that_are_wholly_cropped(kernel: int, settings: dict[str, Any], more: int, tmp_path: Path) -> None:
    input, weight, bias = transposed_tensors(1, "grouped", size=1, kernel=kernel, more=more, **settings)
    call = transposed(1, "grouped", output_padding=more, **settings)
    expected = call(input, weight, bias)
    checks.assert_close(torch.func.vmap(lambda one: call(one, weight, bias))(input), expected)
    checks.check_transforms(lambda i, b, w: call(i, w, b), input, bias, weight)
    assert call(input.to("meta"), weight.to("meta")).shape == expected.shape
    checks.check_onnx(call, tmp_path, input.float(), weight.float(), bias.float())


def test_output_size() -> None:
    settings: dict[str, Any] = {"stride": 3, "padding": 1}
    input, weight, _ = transposed_tensors(2, **settings)
    for height, width in ((10, 13), (11, 15), (12, 14)):
        output = transposed(2, output_size=(height, width), **settings)(input, weight)
        more = (height - 10, width - 13)
        assert torch.equal(output, transposed(2, output_padding=more, **settings)(input, weight))
        assert torch.equal(output, transposed(2, output_size=(2, 2, height, width), **settings)(input, weight))


@pytest.mark.parametrize(("axes", "kind", "batch"), [(1, "standard", 1), (1, "depthwise", 4), (2, "grouped", 4)])
def test_gradients(axes: int, kind: str, batch: int) -> None:
    settings: dict[str, Any] = {"stride": 2, "padding": ((1, 2),) + ("causal",) * (axes - 1)}
    inputs = transposed_tensors(axes, kind, size=4 - axes, kernel=4 - axes, batch=batch, **settings)
    checks.check_gradients(transposed(axes, kind, **settings), *inputs)


@pytest.mark.parametrize("axes", [1, 3])
def test_gradients_along_the_weights(axes: int) -> None:
    """A few images and windows of 32 numbers or more."""
    out = 33 if axes == 1 else 5
    checks.check_gradients(transposed(axes), draw(1, 2, *[1] * axes), draw(*[1] * axes, 2, out, *[2] * axes))


def test_third_order() -> None:
    own = checks.leaves(*transposed_tensors(2, "grouped", size=2, kernel=2))

    def third(function: Any) -> Tensor:
        (first,) = torch.autograd.grad(function(*own).pow(4).sum(), own[0], create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), own[1], create_graph=True)
        return torch.autograd.grad(second.square().sum(), own[0])[0]

    checks.assert_close(third(transposed(2, "grouped")), third(transposed_by_columns(2, "grouped")))


class TestHabits:
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_transforms(self, axes: int) -> None:
        input, weight, bias = transposed_tensors(axes, "grouped", size=2 if axes < 3 else 1, kernel=2)
        call = transposed(axes, "grouped")
        checks.check_transforms(lambda i, b, w: call(i, w, b), input, bias, weight)

    @pytest.mark.parametrize("batch", [2, 8])
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_dtypes(self, axes: int, batch: int) -> None:
        inputs = transposed_tensors(axes, "grouped", size=3, kernel=2, batch=batch)
        checks.check_dtypes(transposed(axes, "grouped"), *inputs)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_formats(self, axes: int, kind: str) -> None:
        inputs = transposed_tensors(axes, kind, size=3, kernel=2, stride=2)
        checks.check_formats(transposed(axes, kind, stride=2), *inputs)

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_batches(self, axes: int) -> None:
        inputs = transposed_tensors(axes, "grouped", size=3, kernel=2)
        checks.check_batches(transposed(axes, "grouped"), *inputs)

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_compile_with_a_dynamic_batch(self, axes: int) -> None:
        def make(batch: int) -> tuple[Tensor, ...]:
            return transposed_tensors(axes, "grouped", size=3, kernel=2, batch=batch, stride=2, padding="same")

        checks.check_compiles(transposed(axes, "grouped", stride=2, padding="same"), make, sizes=(3, 9))

    def test_inductor_keeps_the_kernels(self) -> None:
        torch._dynamo.reset()
        function = transposed(2, "grouped", stride=2)
        inputs = transposed_tensors(2, "grouped", stride=2)
        checks.check_same(torch.compile(function, fullgraph=True), function, *inputs)

    def test_autocast(self) -> None:
        checks.check_autocast(transposed(2, "grouped"), *transposed_tensors(2, "grouped"))

    @pytest.mark.parametrize("batch", [1, 8])
    @pytest.mark.parametrize("kind", KINDS)
    def test_deterministic(self, kind: str, batch: int) -> None:
        inputs = [tensor.float() for tensor in transposed_tensors(2, kind, size=17, batch=batch)]
        checks.check_deterministic(transposed(2, kind), *inputs, threads=True)

    @pytest.mark.parametrize("batch", [1, 8])
    def test_whole(self, batch: int) -> None:
        settings: dict[str, Any] = {"stride": 4, "padding": "same"}
        checks.check_whole(transposed(2, **settings), *transposed_tensors(2, size=6, batch=batch, **settings))

    def test_concurrent(self) -> None:
        checks.check_concurrent(transposed(2, "grouped"), *transposed_tensors(2, "grouped", size=9))

    def test_opcheck(self) -> None:
        settings = [7, 9], 2, [2, 2], [1, 1], [1, 1]
        input, weight, bias = checks.leaves(*transposed_tensors(2, "grouped", stride=2, padding=1))
        operator = torch.ops.striate.local_conv_transpose.default
        torch.library.opcheck(operator, (input, weight, bias, *settings))
        torch.library.opcheck(operator, (input, weight, None, *settings))
        grad = torch.ones_like(operator(input, weight, bias, *settings)).requires_grad_()
        backward = torch.ops.striate.local_conv_transpose_backward.default
        torch.library.opcheck(backward, (grad, input, weight, *settings, [True, True]))
        torch.library.opcheck(backward, (grad, input, weight, *settings, [True, False]))


@pytest.mark.parametrize("settings", [{"stride": 2, "padding": 1}, {"padding": "same", "stride": 3}], ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_exports_to_onnx(axes: int, settings: dict[str, Any], tmp_path: Path) -> None:
    inputs = [tensor.float() for tensor in transposed_tensors(axes, "grouped", size=3, kernel=2, **settings)]
    assert "MatMul" in checks.check_onnx(transposed(axes, "grouped", **settings), tmp_path, *inputs)


def test_dispatch_is_explained() -> None:
    input, weight, _ = transposed_tensors(2)
    said = dispatch.explain_dispatch("local_conv_transpose2d", input, weight)
    assert said.startswith("local_conv_transpose2d: kernels: ")


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_sizes_are_those_of_the_windows(axes: int) -> None:
    settings: dict[str, Any] = {"stride": 3, "padding": ((1, 2),) * axes}
    input, weight, _ = transposed_tensors(axes, kernel=4, **settings)
    wished = transposed_sizes(axes, 4, input.shape[2:], 2, settings)
    assert list(transposed(axes, output_padding=2, **settings)(input, weight).shape[2:]) == wished


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(4, 9)}, ValueError, r"input must be \(N, C, H, W\) or \(C, H, W\), got \(4, 9\)"),
        ({"input": torch.zeros(1, 4, 3, 3).long()}, TypeError, "floating-point numbers, got torch.int64"),
        ({"input": torch.zeros(1, 4, 0, 3)}, ValueError, "axis 0: the input size must be at least 1"),
        (
            {"input": torch.zeros(1, 4, 3, 4)},
            ValueError,
            r"must be the input sizes \(3, 4\), got \(3, 3\) in \(3, 3, 4",
        ),
        ({"weight": torch.zeros(3, 3, 4, 3, 3, 3).double()}, TypeError, "weight must have the dtype of input"),
        ({"weight": torch.zeros(3, 3, 4, 3, 3, 3, device="meta")}, ValueError, "weight must be on the device of input"),
        (
            {"weight": torch.zeros(4, 3, 3, 3)},
            ValueError,
            r"weight must be \(\*input sizes, in, out / groups, k1, k2\) with 6 axes, none 0, got \(4, 3, 3, 3\)",
        ),
        ({"weight": None}, TypeError, "local_conv_transpose2d: weight must be a tensor, got NoneType"),
        ({"weight": torch.zeros(3, 3, 4, 3, 0, 3)}, ValueError, "none 0, got"),
        ({"weight": torch.zeros(3, 3, 6, 3, 3, 3)}, ValueError, "input has 4 channels, weight .* takes 6"),
        ({"groups": 3}, ValueError, "a multiple of groups, got groups=3"),
        ({"groups": 0}, ValueError, "local_conv_transpose2d: groups must be an integer of at least 1, got 0"),
        *(({"groups": groups}, TypeError, "groups must be an integer of at least 1, got") for groups in NO_NUMBERS),
        ({"bias": torch.zeros(3)}, ValueError, r"bias must be \(6,\) or \(7, 7, 6\), got \(3,\)"),
        ({"bias": torch.zeros(3, 3, 6)}, ValueError, r"bias must be \(6,\) or \(7, 7, 6\), got \(3, 3, 6\)"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        ({"dilation": (1, 0)}, ValueError, "dilation must be an integer of at least 1"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
        ({"padding": "half"}, ValueError, "axis 0: .* 'valid', 'same' or 'causal', got 'half'"),
        ({"padding": 4}, ValueError, "local_conv_transpose2d: axis 0: the transposed output is empty"),
        ({"output_padding": 2}, ValueError, "axis 0: output_padding must be .* below the larger of stride 2"),
        ({"output_padding": -1}, ValueError, "output_padding must be an integer of at least 0, got -1"),
        ({"output_padding": (1, 0, 0)}, ValueError, r"output_padding must be one number or one an axis \(2\)"),
        ({"output_padding": 1, "output_size": (8, 8)}, ValueError, "must be 0 where output_size says the size"),
        ({"output_size": (8,)}, ValueError, r"output_size must have 2 or 4 entries, got \(8,\)"),
        ({"output_size": (7, 9)}, ValueError, "axis 1: output_size must be from 7 to 8, got 9"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    right = {"input": torch.zeros(1, 4, 3, 3), "weight": torch.zeros(3, 3, 4, 3, 3, 3), "stride": 2, "groups": 2}
    with pytest.raises(error, match=message):
        local_conv_transpose2d(**{**right, **change})
