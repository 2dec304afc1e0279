"""Correlation and convolution: the lectures' numbers, SciPy, the definition, every habit of an operator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal
from torch import Tensor
from torch.nn import functional as F

from ops import checks
from striate.geometry import windows
from striate.ops.correlate import convolve, correlate, reference

SIZES = (5, 4, 3)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": "same"},
    {"padding": "causal", "stride": 3},
    {"padding": "full", "dilation": 2},
    {"padding": "same_lower", "stride": 2},
    {"padding": "same_upper", "stride": 3},
    {"padding": "half"},
    {"padding": ((0, 2),)},
]


def tensors(axes: int, kernel: int = 3) -> tuple[Tensor, Tensor]:
    """A batch of two planes and a kernel, float64."""
    generator = torch.Generator().manual_seed(axes)
    input = torch.randn(2, *SIZES[:axes], generator=generator, dtype=torch.float64)
    return input, torch.randn(*[kernel] * axes, generator=generator, dtype=torch.float64)


def settled(axes: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with one pair an axis where they have one pair."""
    return {**settings, "padding": settings["padding"] * axes} if settings.get("padding") == ((0, 2),) else settings


def defined(**settings: Any) -> Callable[[Tensor, Tensor], Tensor]:
    def call(input: Tensor, kernel: Tensor) -> Tensor:
        arguments = {"stride": 1, "padding": 0, "dilation": 1, **settings}
        along = windows(kernel.ndim, tuple(kernel.shape), **arguments)
        low, high = zip(*(w.pads(n) for w, n in zip(along, input.shape[1:], strict=True)), strict=True)
        return reference.correlate(input, kernel, [w.stride for w in along], low, high, [w.dilation for w in along])

    return call


def settings_of(call: Callable[..., Tensor], **settings: Any) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda input, kernel: call(input, kernel, **settings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_convolution_of_the_lectures(dtype: torch.dtype) -> None:
    picture = torch.tensor([[0, 80, 40], [20, 40, 0], [0, 0, 40]], dtype=dtype)
    # Four times the kernel [[0, 0.25], [0.5, 1]].
    kernel = torch.tensor([[0, 1], [2, 4]], dtype=dtype)
    assert (convolve(picture, kernel) / 4).tolist() == [[45, 110], [40, 40]]
    assert torch.equal(correlate(picture, kernel.flip(0, 1)), convolve(picture, kernel))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32])
def test_series_of_the_lectures(dtype: torch.dtype) -> None:
    series = torch.tensor([1, 2, -1, 1, -3], dtype=dtype)
    taps = torch.tensor([1, 0, -1], dtype=dtype)
    assert correlate(series, taps, padding=1).tolist() == [-2, 2, 1, 2, 1]
    assert correlate(series, taps, padding=1, stride=2).tolist() == [-2, 1, 1]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_input_and_kernel_of_a_convolution_may_change_places(axes: int) -> None:
    input, kernel = tensors(axes)
    checks.assert_close(convolve(input[0], kernel, padding="full"), convolve(kernel, input[0], padding="full"))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize(("mode", "padding"), [("valid", "valid"), ("full", "full"), ("same", "same_lower")])
@pytest.mark.parametrize("operation", [convolve, correlate])
def test_equals_scipy(operation: Callable[..., Tensor], mode: str, padding: str, size: int, axes: int) -> None:
    input, kernel = tensors(axes, size)
    expected = getattr(signal, operation.__name__)(input[0].numpy(), kernel.numpy(), mode=mode, method="direct")
    checks.assert_close(operation(input[0], kernel, padding=padding), torch.from_numpy(np.ascontiguousarray(expected)))


def test_same_is_scipys_for_odd_kernels_only() -> None:
    input, odd = tensors(2, 3)
    even = odd[:2, :2]
    for kernel, alike in ((odd, True), (even, False)):
        expected = torch.from_numpy(signal.correlate(input[0].numpy(), kernel.numpy(), mode="same"))
        assert torch.allclose(correlate(input[0], kernel, padding="same"), expected) is alike


def test_a_causal_convolution_does_not_see_the_future() -> None:
    impulse = torch.tensor([0, 0, 1, 0, 0, 0])
    assert convolve(impulse, torch.tensor([1, 2, 3]), padding="causal").tolist() == [0, 0, 1, 2, 3, 0]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_equals_its_definition(axes: int, settings: dict[str, Any]) -> None:
    own = settled(axes, settings)
    checks.check_same(settings_of(correlate, **own), defined(**own), *tensors(axes, 2 if "padding" in own else 3))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_padding_modes(mode: str, axes: int) -> None:
    input, kernel = tensors(axes)
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    settings: dict[str, Any] = {"padding": ((1, 2), *[1] * (axes - 1)), "padding_mode": mode}
    padded = np.pad(input.numpy(), [(0, 0), (1, 2), *[(1, 1)] * (axes - 1)], mode=names[mode])
    checks.assert_close(correlate(input, kernel, **settings), correlate(torch.from_numpy(padded), kernel))
    whole = (10 * input).long(), (10 * kernel).long()
    rounded = correlate(*(tensor.double() for tensor in whole), **settings).round().long()
    assert torch.equal(correlate(*whole, **settings), rounded)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_border(axes: int) -> None:
    input, kernel = tensors(axes)
    settings: dict[str, Any] = {"padding": ((1, 2), *[1] * (axes - 1)), "padding_mode": "constant"}
    sides = [1, 1] * (axes - 1) + [1, 2]

    def surrounded(input: Tensor, kernel: Tensor, border: Tensor) -> Tensor:
        inside = F.pad(torch.ones_like(input), sides)
        return correlate(F.pad(input, sides) + (1 - inside) * border, kernel)

    border = torch.tensor(3.5, dtype=torch.float64)
    own = lambda input, kernel, border: correlate(input, kernel, border=border, **settings)  # noqa: E731
    checks.check_same(own, surrounded, input, kernel, border)
    checks.assert_close(correlate(input, kernel, border=3.5, **settings), surrounded(input, kernel, border))
    whole = (10 * input).long(), (10 * kernel).long()
    padded = F.pad(whole[0], sides, value=-7)
    assert torch.equal(correlate(*whole, border=-7, **settings), correlate(padded, whole[1]))


def test_gradients_of_a_border() -> None:
    input, kernel = tensors(2, 2)
    border = torch.tensor(0.5, dtype=torch.float64)
    settings: dict[str, Any] = {"padding": 1, "padding_mode": "constant"}
    own = lambda input, kernel, border: correlate(input, kernel, border=border, **settings)  # noqa: E731
    checks.check_gradients(own, input[:, :3], kernel, border)
    checks.check_autocast(own, input, kernel, border)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("ndim", [4, 5])
def test_channels_last_is_kept(axes: int, ndim: int) -> None:
    _, kernel = tensors(axes)
    input = torch.randn(2, 3, *[4] * (ndim - 2), dtype=torch.float64)
    checks.check_formats(settings_of(correlate, padding=1, stride=2), input, kernel)
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}[ndim]
    whole = (10 * input).long().contiguous(memory_format=layout)
    assert correlate(whole, (10 * kernel).long()).is_contiguous(memory_format=layout)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int64, torch.bool])
def test_integers_are_exact(dtype: torch.dtype) -> None:
    input = torch.full((3, 6), 127).to(dtype)
    kernel = torch.full((2, 2), 100, dtype=torch.int16)
    output = correlate(input, kernel)
    assert output.dtype == torch.int64
    assert output.unique().tolist() == [400 * int(input[0, 0])]
    large = torch.tensor([2**53 + 1, 0, 1])
    assert correlate(large, torch.tensor([1, 0, 1])).tolist() == [2**53 + 2]


def test_axes_before_the_kernels_are_a_batch() -> None:
    input = torch.randn(2, 3, 4, 5, 6)
    kernel = torch.randn(2, 3)
    output = correlate(input, kernel)
    assert output.shape == (2, 3, 4, 4, 4)
    for place in np.ndindex(2, 3, 4):
        checks.assert_close(output[place], correlate(input[place], kernel))
    assert correlate(input[:0], kernel).shape == (0, 3, 4, 4, 4)


@pytest.mark.parametrize("call", [correlate, convolve])
class TestHabits:
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_gradients(self, call: Callable[..., Tensor], axes: int) -> None:
        input, kernel = tensors(axes, 2)
        checks.check_gradients(settings_of(call, padding="same", stride=2), input[..., :3], kernel)

    def test_transforms(self, call: Callable[..., Tensor]) -> None:
        checks.check_transforms(settings_of(call, padding=1), *tensors(2, 2))

    def test_compiles(self, call: Callable[..., Tensor]) -> None:
        make = lambda size: (torch.randn(2, size, size + 1), torch.randn(3, 3))  # noqa: E731
        checks.check_compiles(settings_of(call, padding="same"), make, sizes=(6, 9))

    def test_exports_to_onnx(self, call: Callable[..., Tensor], tmp_path: Path) -> None:
        inputs = [tensor.float() for tensor in tensors(2)]
        assert "Conv" in checks.check_onnx(settings_of(call, padding="same"), tmp_path, *inputs)

    def test_autocast(self, call: Callable[..., Tensor]) -> None:
        checks.check_autocast(settings_of(call), *tensors(2))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_dtypes(self, call: Callable[..., Tensor], axes: int) -> None:
        checks.check_dtypes(settings_of(call, padding=1), *tensors(axes))

    def test_batches(self, call: Callable[..., Tensor]) -> None:
        checks.check_batches(settings_of(call, padding=1), *tensors(2))

    def test_strided_views(self, call: Callable[..., Tensor]) -> None:
        checks.check_formats(settings_of(call, padding=1), *tensors(2))

    def test_deterministic(self, call: Callable[..., Tensor]) -> None:
        checks.check_deterministic(settings_of(call, padding=1), *tensors(2), threads=False)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kernel": torch.tensor(1.0)}, ValueError, r"kernel must have 1 to 3 axes, none of size 0, got \(\)"),
        ({"kernel": torch.zeros(1, 1, 1, 1)}, ValueError, r"kernel must have 1 to 3 axes"),
        ({"kernel": torch.zeros(0, 3)}, ValueError, r"none of size 0, got \(0, 3\)"),
        ({"input": torch.zeros(9)}, ValueError, r"input must have the 2 axes of the kernel or more, got \(9,\)"),
        ({"input": torch.zeros(9, 9, dtype=torch.complex64)}, TypeError, "numbers must be real, got torch.complex64"),
        ({"kernel": torch.zeros(3, 3, dtype=torch.float64)}, TypeError, "kernel must have the dtype of input"),
        ({"kernel": torch.zeros(3, 3, dtype=torch.int64)}, TypeError, "kernel must have the dtype of input"),
        ({"kernel": torch.zeros(3, 3, device="meta")}, ValueError, "kernel must be on the device of input"),
        ({"kernel": torch.zeros(3, 10)}, ValueError, "axis 1: the window is larger than the padded input"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        ({"dilation": 0}, ValueError, "dilation must be an integer of at least 1"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
        ({"padding": "sam"}, ValueError, "did you mean 'same'"),
        ({"padding_mode": "mirror"}, ValueError, "padding_mode must be one of zeros, reflect"),
        ({"padding_mode": "reflect", "padding": 9}, ValueError, "can pad at most 8 places on axis 0 of size 9"),
        ({"padding_mode": "constant"}, ValueError, "border and padding_mode='constant' go together"),
        ({"border": 1.0}, ValueError, "border and padding_mode='constant' go together"),
        ({"border": torch.zeros(1)}, ValueError, r"border must be a number or a tensor without axes, got \(1,\)"),
        ({"border": torch.tensor(0)}, TypeError, "border must have the dtype of input, torch.float32"),
        (
            {"border": 0.5, "input": torch.zeros(9, 9).long(), "kernel": torch.zeros(3, 3).long()},
            TypeError,
            "border must be an integer where the input holds integers, got 0.5",
        ),
    ],
)
@pytest.mark.parametrize("call", [correlate, convolve])
def test_errors(call: Callable[..., Tensor], change: dict[str, Any], error: type[Exception], message: str) -> None:
    right = {"input": torch.zeros(9, 9), "kernel": torch.zeros(3, 3)}
    with pytest.raises(error, match=message):
        call(**{**right, **change})
