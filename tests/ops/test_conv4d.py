"""Convolution along four axes: values, the definition, gradients, every form of padding."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ops import checks
from striate.geometry import windows
from striate.ops import dispatch
from striate.ops.conv import conv3d, conv4d, reference

GROUPS = {"standard": 1, "depthwise": 4, "grouped": 2}
SIZES = (4, 3, 5, 3)


def tensors(kind: str, sizes: tuple[int, ...] = SIZES, kernel: int = 2, batch: int = 2) -> tuple[Tensor, ...]:
    """Input, weight and bias, float64."""
    generator = torch.Generator().manual_seed(4)
    channels, out, into = {"standard": (2, 3, 2), "depthwise": (4, 4, 1), "grouped": (4, 2, 2)}[kind]

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return draw(batch, channels, *sizes), draw(out, into, *[kernel] * 4), draw(out)


def convolution(kind: str = "standard", **settings: Any) -> Callable[..., Tensor]:
    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return conv4d(input, weight, bias, groups=GROUPS[kind], **settings)

    return call


def defined(kind: str = "standard", **settings: Any) -> Callable[..., Tensor]:
    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        arguments = {"stride": 1, "padding": 0, "dilation": 1, **settings}
        along = windows(4, tuple(weight.shape[2:]), **arguments)
        low, high = zip(*(w.pads(n) for w, n in zip(along, input.shape[2:], strict=True)), strict=True)
        strides, dilations = [w.stride for w in along], [w.dilation for w in along]
        return reference.conv(input, weight, bias, strides, low, high, dilations, GROUPS[kind])

    return call


def test_values_by_hand() -> None:
    """The sum of the corners of a hypercube of two places an axis, at every place of one of three."""
    input = torch.arange(81.0).view(1, 3, 3, 3, 3)
    output = conv4d(input, torch.ones(1, 1, 2, 2, 2, 2), torch.tensor([0.5]))
    corners = torch.tensor([27 * t + 9 * z + 3 * y + x for t, z, y, x in itertools.product((0, 1), repeat=4)])
    assert torch.equal(output.flatten(), corners * 16 + corners.sum() + 0.5)


def test_an_axis_of_one_place_leaves_a_convolution_along_three() -> None:
    input, weight, bias = tensors("standard")
    for axis in range(2, 6):
        volume, filters = input.select(axis, 0), weight.select(axis, 0)
        output = conv4d(volume.unsqueeze(axis), filters.unsqueeze(axis), bias, padding=(0,) * 4)
        checks.assert_close(output.squeeze(axis), conv3d(volume, filters, bias))


SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": "same"},
    {"padding": "causal", "stride": 3},
    {"padding": "full", "dilation": 2},
    {"padding": "same_lower", "stride": 2},
    {"padding": ("same_upper", (0, 2), "half", 1), "stride": (3, 1, 2, 1), "dilation": (2, 1, 1, 2)},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", GROUPS)
def test_equals_its_definition(kind: str, settings: dict[str, Any]) -> None:
    checks.check_same(convolution(kind, **settings), defined(kind, **settings), *tensors(kind))


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 3, 1, 2), (5, 1, 1, 1)], ids=str)
def test_small_sizes(sizes: tuple[int, ...]) -> None:
    inputs = tensors("standard", sizes)
    checks.check_same(convolution(padding="full"), defined(padding="full"), *inputs)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "constant"])
def test_padding_modes(mode: str) -> None:
    input, weight, _ = tensors("standard")
    border = torch.tensor([2.0, -3.0], dtype=torch.float64)
    pads = ((1, 2), (1, 0), (2, 1), (0, 1))

    def padded(input: Tensor, weight: Tensor, border: Tensor) -> Tensor:
        for axis, (low, high) in enumerate(pads, start=2):
            n = input.shape[axis]
            places = torch.arange(-low, n + high)
            at = {
                "circular": places % n,
                "reflect": (n - 1 - (n - 1 - places.abs()).abs()).abs(),
            }.get(mode, places.clamp(0, n - 1))
            values = input.index_select(axis, at)
            if mode == "constant":
                inside = ((places >= 0) & (places < n)).view(-1, *[1] * (5 - axis))
                values = torch.where(inside, values, border.view(-1, 1, 1, 1, 1))
            input = values
        return defined()(input, weight) + 0 * border.sum()

    def own(input: Tensor, weight: Tensor, border: Tensor) -> Tensor:
        of_border = border if mode == "constant" else None
        output = conv4d(input, weight, padding=pads, padding_mode=mode, border=of_border)  # type: ignore[arg-type]
        return output + 0 * border.sum()

    checks.check_same(own, padded, input, weight, border)


@pytest.mark.parametrize("kind", GROUPS)
def test_gradients(kind: str) -> None:
    settings: dict[str, Any] = {"stride": (2, 1, 1, 2), "padding": ((1, 0), 0, "causal", 0)}
    checks.check_gradients(convolution(kind, **settings), *tensors(kind, (2, 2, 1, 2), batch=1))


class TestHabits:
    @pytest.mark.parametrize("kind", ["standard", "depthwise"])
    def test_transforms(self, kind: str) -> None:
        input, weight, _ = tensors(kind, (2, 1, 2, 1))
        checks.check_transforms(convolution(kind, padding=("same", "half", 0, 1)), input, weight)

    @pytest.mark.parametrize("kind", ["standard", "depthwise"])
    def test_compiles(self, kind: str) -> None:
        make = lambda size: tensors(kind, (size, size + 1, size, 3))  # noqa: E731
        checks.check_compiles(convolution(kind, padding="same"), make, sizes=(3, 5))

    @pytest.mark.parametrize("kind", ["standard", "depthwise"])
    def test_exports_to_onnx(self, kind: str, tmp_path: Path) -> None:
        inputs = [tensor.float() for tensor in tensors(kind)]
        settings: dict[str, Any] = {"stride": (2, 1, 1, 1), "padding": ((1, 2), "same", 0, 1)}
        assert "Conv" in checks.check_onnx(convolution(kind, **settings), tmp_path, *inputs)

    def test_autocast(self) -> None:
        checks.check_autocast(convolution(), *tensors("standard"))

    def test_dtypes(self) -> None:
        checks.check_dtypes(convolution(padding=1), *tensors("standard"))

    def test_strided_views(self) -> None:
        checks.check_formats(convolution(padding=1), *tensors("standard"))

    def test_batches(self) -> None:
        checks.check_batches(convolution(padding=1), *tensors("standard"))

    @pytest.mark.parametrize("kind", ["standard", "depthwise"])
    def test_deterministic(self, kind: str) -> None:
        checks.check_deterministic(convolution(kind, padding=1), *tensors(kind), threads=kind == "depthwise")

    def test_whole(self) -> None:
        checks.check_whole(convolution(stride=2, padding=1), *tensors("standard"))


def test_low_precision_is_rounded_once() -> None:
    """Ones added in bfloat16 one after the other stay at 256."""
    input = torch.ones(1, 300, 1, 1, 1, dtype=torch.bfloat16, requires_grad=True)
    output = conv4d(input, torch.ones(1, 1, 300, 1, 1, 1, dtype=torch.bfloat16), padding="same")
    assert output[0, 149] == 300
    (gradient,) = torch.autograd.grad(output.sum(), input)
    assert gradient[0, 150] == 300


def test_dispatch_is_explained() -> None:
    call = {"input": torch.zeros(1, 4, 5, 5, 5, 5), "weight": torch.zeros(4, 1, 3, 3, 3, 3), "groups": 4}
    first, second = dispatch.explain_dispatch(conv4d, **call).splitlines()
    assert first == "conv4d: conv3d: a sum of three-dimensional convolutions, one a tap of the first axis"
    assert second.startswith("conv3d: kernels: ")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"input": torch.zeros(4, 5, 5, 5)},
            ValueError,
            r"conv4d: input must be \(N, C, T, D, H, W\) or \(C, T, D, H, W\), got \(4, 5, 5, 5\)",
        ),
        (
            {"input": torch.zeros(4, 5, 5, 5, 5, dtype=torch.int64)},
            TypeError,
            "floating-point numbers, got torch.int64",
        ),
        ({"weight": torch.zeros(6, 2, 3, 3, 3, 3).double()}, TypeError, "weight must have the dtype of input"),
        ({"weight": torch.zeros(6, 2, 3, 3, 3, 3, device="meta")}, ValueError, "must be on the device of input"),
        ({"weight": torch.zeros(6, 2, 3, 3, 3)}, ValueError, r"weight must be \(out, in / groups, k1, k2, k3, k4\)"),
        ({"weight": torch.zeros(6, 3, 3, 3, 3, 3)}, ValueError, "conv4d: input has 4 channels, weight .* takes 6"),
        ({"groups": 0}, ValueError, "groups must be an integer of at least 1, got 0"),
        ({"bias": torch.zeros(5)}, ValueError, r"bias must be \(6,\), one number a filter, got \(5,\)"),
        ({"weight": torch.zeros(6, 2, 9, 3, 3, 3)}, ValueError, "conv4d: axis 0: the window is larger than the padded"),
        ({"weight": torch.zeros(6, 2, 3, 3, 3, 9)}, ValueError, "conv4d: axis 3: the window is larger than the padded"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        ({"dilation": (1, 1, 1, 0)}, ValueError, "dilation must be an integer of at least 1"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
        ({"padding": (1, 2, 3)}, ValueError, r"padding must have one entry an axis \(4\)"),
        ({"padding": "sam"}, ValueError, "did you mean 'same'"),
        ({"padding_mode": "mirror"}, ValueError, "padding_mode must be one of zeros, reflect"),
        ({"padding_mode": "constant"}, ValueError, "border and padding_mode='constant' go together"),
        ({"border": torch.zeros(4)}, ValueError, "border and padding_mode='constant' go together"),
        (
            {"padding_mode": "reflect", "padding": (0, 0, 0, 5)},
            ValueError,
            "conv4d: padding_mode='reflect' can pad at most 4 places on axis 3 of size 5",
        ),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    right = {"input": torch.zeros(1, 4, 5, 5, 5, 5), "weight": torch.zeros(6, 2, 3, 3, 3, 3), "groups": 2}
    with pytest.raises(error, match=message):
        conv4d(**{**right, **change})
