"""A layer as a matrix: the lectures' band, the operators it stands for, its transpose, its gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import linalg
from torch import Tensor
from torch.nn import functional as F

from ops import checks
from striate.geometry import windows
from striate.ops.conv import conv1d, conv2d, conv3d
from striate.ops.correlate import convolve, correlate
from striate.ops.toeplitz import reference, toeplitz

CONVOLUTIONS = (conv1d, conv2d, conv3d)
TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
SIZES = (5, 4, 3)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": "same"},
    {"padding": "causal", "stride": 3},
    {"padding": "full", "dilation": 2},
    {"padding": "same_lower", "stride": 2},
    {"padding": "same_upper", "stride": 3},
]


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_the_band_of_the_lectures(reach: int) -> None:
    """h_i = sum over m of x_m w_(i - m), where |i - m| <= reach: every row the one above, moved by one."""
    weights = torch.arange(1.0, 2 * reach + 2)
    matrix = toeplitz(weights, 6, padding="same")
    for i in range(6):
        for m in range(6):
            assert matrix[i, m] == (weights[m - i + reach] if abs(i - m) <= reach else 0)


def test_equals_scipy() -> None:
    kernel = drawn(3)
    full = linalg.convolution_matrix(kernel.numpy(), 5, mode="full")
    checks.assert_close(toeplitz(kernel.flip(0), 5, padding="full"), torch.from_numpy(full))
    circulant = linalg.circulant([2.0, 1, 0, 0, 3])
    matrix = toeplitz(torch.tensor([1.0, 2, 3], dtype=torch.float64), 5, padding="same", padding_mode="circular")
    assert torch.equal(matrix, torch.from_numpy(circulant))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_times_the_input_is_the_correlation(axes: int, settings: dict[str, Any], sparse: bool) -> None:
    input, kernel = drawn(*SIZES[:axes]), drawn(*(3, 2, 1)[:axes])
    matrix = toeplitz(kernel, SIZES[:axes], **settings, sparse=sparse)
    expected = correlate(input, kernel, **{"padding": 0, **settings})
    checks.assert_close((matrix @ input.view(-1, 1)).view(expected.shape), expected)
    flipped = toeplitz(kernel.flip(tuple(range(axes))), SIZES[:axes], **settings, sparse=sparse)
    expected = convolve(input, kernel, **{"padding": 0, **settings})
    checks.assert_close((flipped @ input.view(-1, 1)).view(expected.shape), expected)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_a_layer(axes: int, groups: int, mode: Any) -> None:
    weight, input = drawn(4, 6 // groups, *(3, 2, 1)[:axes]), drawn(6, *SIZES[:axes])
    settings: dict[str, Any] = {"stride": 2, "padding": 1, "groups": groups, "padding_mode": mode}
    matrix = toeplitz(weight, SIZES[:axes], **settings)
    expected = CONVOLUTIONS[axes - 1](input, weight, **settings)
    checks.assert_close((matrix @ input.flatten()).view(expected.shape), expected)
    assert torch.equal(toeplitz(weight, SIZES[:axes], **settings, sparse=True).to_dense(), matrix)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_transposed_matrix_is_the_transposed_convolution(axes: int) -> None:
    weight, sizes = drawn(3, 2, *[3] * axes), (5, 7, 3)[:axes]
    matrix = toeplitz(weight, sizes, stride=2, padding=1)
    output = drawn(3, *[(n - 1) // 2 + 1 for n in sizes])
    expected = TRANSPOSED[axes - 1](output, weight, stride=2, padding=1)
    assert expected.shape == (2, *sizes)
    checks.assert_close((matrix.T @ output.flatten()).view(expected.shape), expected)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_definition(axes: int, settings: dict[str, Any]) -> None:
    weight, sizes = drawn(2, 1, *(3, 2, 1)[:axes]), SIZES[:axes]
    arguments = {"stride": 1, "padding": 0, "dilation": 1, **settings}
    along = windows(axes, tuple(weight.shape[2:]), **arguments)
    low, high = zip(*(w.pads(n) for w, n in zip(along, sizes, strict=True)), strict=True)
    strides, dilations = [w.stride for w in along], [w.dilation for w in along]
    checks.check_same(
        lambda weight: toeplitz(weight, sizes, **settings, groups=2),
        lambda weight: reference.toeplitz(weight, sizes, strides, low, high, dilations, 2),
        weight,
    )


def test_taps_that_meet_in_a_circle_add() -> None:
    assert toeplitz(torch.tensor([1, 2, 4]), 2, padding="same", padding_mode="circular").tolist() == [[2, 5], [5, 2]]


def test_sparse_holds_the_taps_only() -> None:
    matrix = toeplitz(drawn(3, 3), (6, 6), padding="same", sparse=True)
    assert matrix.is_coalesced()
    assert matrix.values().numel() == (3 * 6 - 2) ** 2
    assert torch.equal(matrix.to_dense(), toeplitz(drawn(3, 3), (6, 6), padding="same"))


def test_gradients_reach_the_kernel_through_the_sparse_matrix() -> None:
    input = drawn(6, 2)
    (kernel,) = checks.leaves(drawn(3))
    (through_sparse,) = torch.autograd.grad((toeplitz(kernel, 6, sparse=True) @ input).square().sum(), kernel)
    (through_dense,) = torch.autograd.grad((toeplitz(kernel, 6) @ input).square().sum(), kernel)
    checks.assert_close(through_sparse, through_dense)


@pytest.mark.parametrize("dtype", [*checks.TOLERANCE, torch.int64])
def test_the_matrix_has_the_dtype_of_the_kernel(dtype: torch.dtype) -> None:
    kernel = torch.tensor([1, 2, 3], dtype=dtype)
    for sparse in (False, True):
        matrix = toeplitz(kernel, 4, sparse=sparse)
        assert matrix.dtype == dtype
        assert matrix.to_dense().tolist() == [[1, 2, 3, 0], [0, 1, 2, 3]]


@pytest.mark.parametrize("sparse", [False, True])
def test_autocast_copies_taps_as_they_are(sparse: bool) -> None:
    """As PyTorch's unfold copies numbers."""
    kernel = torch.tensor([1.0009765625, 2.0])
    with torch.autocast("cpu", torch.bfloat16):
        matrix = toeplitz(kernel, 2, sparse=sparse)
    assert matrix.dtype == torch.float32
    assert matrix.to_dense().tolist() == [kernel.tolist()]


def test_values_that_are_not_finite_stay_in_their_taps() -> None:
    matrix = toeplitz(torch.tensor([float("inf"), 1.0, float("nan")]), 3, padding="same")
    assert matrix[0].tolist()[0] == 1
    assert matrix[0, 2] == 0
    assert matrix[1, 0] == float("inf")


def applied(input: Tensor, kernel: Tensor) -> Tensor:
    return input.flatten(1) @ toeplitz(kernel, (3, 4), 2, padding=1).T


class TestHabits:
    def test_gradients(self) -> None:
        checks.check_gradients(applied, drawn(2, 3, 4), drawn(2, 3))

    def test_transforms(self) -> None:
        checks.check_transforms(applied, drawn(2, 3, 4), drawn(2, 3))

    def test_compiles(self) -> None:
        checks.check_compiles(lambda kernel: toeplitz(kernel, (5, 6), 2, 1), lambda size: (drawn(size, 2),), (2, 3))

    def test_exports_to_onnx(self, tmp_path: Path) -> None:
        checks.check_onnx(applied, tmp_path, drawn(2, 3, 4).float(), drawn(2, 3).float())

    def test_deterministic(self) -> None:
        checks.check_deterministic(applied, drawn(2, 3, 4), drawn(2, 3), threads=True)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kernel": torch.zeros(3)}, ValueError, r"kernel must have the axes of input_size \(5, 6\)"),
        ({"kernel": torch.zeros(1, 3, 3)}, ValueError, r"or be \(out, in / groups, \*kernel\)"),
        ({"kernel": torch.zeros(3, 0)}, ValueError, r"none of size 0, got \(3, 0\)"),
        ({"input_size": ()}, ValueError, r"kernel must have the axes of input_size \(\)"),
        ({"input_size": (2, 6)}, ValueError, "toeplitz: axis 0: the window is larger than the padded input"),
        ({"input_size": (0, 6)}, ValueError, "the input size must be at least 1, got 0"),
        ({"groups": 2}, ValueError, "groups must be at least 1 and divide the 1 outputs, got 2"),
        ({"groups": 0}, ValueError, "groups must be at least 1"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        ({"dilation": 0}, ValueError, "dilation must be an integer of at least 1"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
        ({"padding_mode": "reflect"}, ValueError, "padding_mode must be zeros or circular, got 'reflect'"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        toeplitz(**{"kernel": torch.zeros(3, 3), "input_size": (5, 6), **change})
