"""Windows as columns: PyTorch's unfold and fold, the definition, adjointness, a convolution from scratch."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ops import checks
from striate.geometry import windows
from striate.ops.conv import conv1d, conv2d, conv3d
from striate.ops.im2col import col2im1d, col2im2d, col2im3d, im2col1d, im2col2d, im2col3d, reference

IM2COL = (im2col1d, im2col2d, im2col3d)
COL2IM = (col2im1d, col2im2d, col2im3d)
CONVOLUTIONS = (conv1d, conv2d, conv3d)
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


def maps(axes: int, *, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(axes)
    return torch.randn(batch, 2, *SIZES[:axes], generator=generator, dtype=torch.float64)


def settled(axes: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with one pair an axis where they have one pair, and a kernel that differs by axis."""
    padding = settings.get("padding", 0)
    return {**settings, "padding": padding * axes if padding == ((0, 2),) else padding, "kernel_size": (3, 2, 1)[:axes]}


def placed(axes: int, settings: dict[str, Any]) -> tuple[list[int], list[int], list[list[int]]]:
    """The padding low and high, and kernel, stride and dilation by axis."""
    arguments = {"stride": 1, "padding": 0, "dilation": 1, **settings}
    along = windows(axes, **arguments)
    low, high = zip(*(w.pads(n) for w, n in zip(along, SIZES, strict=False)), strict=True)
    return list(low), list(high), [[w.kernel for w in along], [w.stride for w in along], [w.dilation for w in along]]


def defined(axes: int, settings: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    low, high, by_axis = placed(axes, settings)
    pairs = [side for sides in zip(reversed(low), reversed(high), strict=True) for side in sides]
    return lambda input: reference.im2col(F.pad(input, pairs), *by_axis)


def defined_back(axes: int, settings: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    low, high, by_axis = placed(axes, settings)
    padded = [a + n + b for a, n, b in zip(low, SIZES, high, strict=False)]
    inside = tuple(slice(a, a + n) for a, n in zip(low, SIZES, strict=False))
    return lambda columns: reference.col2im(columns, padded, *by_axis)[(..., *inside)]


def back(axes: int, settings: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    return lambda columns: COL2IM[axes - 1](columns, SIZES[:axes], **settings)


def test_columns_by_hand() -> None:
    series = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    assert im2col1d(series, 3).tolist() == [[1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert im2col1d(series, 2, stride=2, padding=((1, 0),), dilation=2).tolist() == [[0, 2], [2, 4]]
    assert col2im1d(torch.tensor([[1.0, 2.0], [10.0, 20.0]]), 3, 2).tolist() == [[1, 12, 20]]


@pytest.mark.parametrize("settings", [{}, {"stride": 2}, {"padding": (1, 0)}, {"dilation": (1, 2), "padding": 1}])
def test_equals_pytorch(settings: dict[str, Any]) -> None:
    input = torch.randn(2, 3, 6, 7)
    columns = F.unfold(input, (3, 2), **settings)
    assert torch.equal(im2col2d(input, (3, 2), **settings), columns)
    checks.assert_close(col2im2d(columns, (6, 7), (3, 2), **settings), F.fold(columns, (6, 7), (3, 2), **settings))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_definition(axes: int, settings: dict[str, Any]) -> None:
    own = settled(axes, settings)
    checks.check_same(lambda input: IM2COL[axes - 1](input, **own), defined(axes, own), maps(axes))
    columns = defined(axes, own)(maps(axes))
    checks.check_same(back(axes, own), defined_back(axes, own), columns)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_each_is_the_adjoint_of_the_other(axes: int, settings: dict[str, Any]) -> None:
    own = settled(axes, settings)
    input = maps(axes)
    columns = IM2COL[axes - 1](input, **own)
    other = torch.randn_like(columns)
    checks.assert_close((columns * other).sum(), (input * back(axes, own)(other)).sum())


def test_ones_come_back_as_the_number_of_windows_that_read_them() -> None:
    columns = im2col2d(torch.ones(1, 4, 5), 3, padding="same")
    counts = col2im2d(columns, (4, 5), 3, padding="same")
    rows, places = torch.tensor([2.0, 3, 3, 2]), torch.tensor([2.0, 3, 3, 3, 2])
    assert torch.equal(counts[0], torch.outer(rows, places))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_convolution_is_one_product_of_matrices(axes: int, settings: dict[str, Any]) -> None:
    own = settled(axes, settings)
    taps = own.pop("kernel_size")
    input, weight = maps(axes), torch.randn(3, 2, *taps, dtype=torch.float64)
    expected = CONVOLUTIONS[axes - 1](input, weight, **own)
    product = weight.flatten(1) @ IM2COL[axes - 1](input, taps, **own)
    checks.assert_close(product.view(expected.shape), expected)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_padding_modes(axes: int, mode: str) -> None:
    input, padding = maps(axes), ((1, 2), *[1] * (axes - 1))
    padded = F.pad(input, [1, 1] * (axes - 1) + [1, 2], mode=mode)
    found = IM2COL[axes - 1](input, 2, padding=padding, padding_mode=mode)
    checks.assert_close(found, IM2COL[axes - 1](padded, 2))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_border_gives_the_columns_of_its_convolution(axes: int) -> None:
    input, border = maps(axes), torch.tensor([2.0, -3.0], dtype=torch.float64)
    weight = torch.randn(3, 2, *[2] * axes, dtype=torch.float64)
    settings: dict[str, Any] = {"padding": ((1, 2), *[1] * (axes - 1)), "padding_mode": "constant"}

    def by_columns(input: Tensor, weight: Tensor, border: Tensor) -> Tensor:
        return weight.flatten(1) @ IM2COL[axes - 1](input, 2, border=border, **settings)

    def by_convolution(input: Tensor, weight: Tensor, border: Tensor) -> Tensor:
        return CONVOLUTIONS[axes - 1](input, weight, border=border, **settings).flatten(2)

    checks.check_same(by_columns, by_convolution, input, weight, border)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_back_is_the_adjoint_with_every_padding_mode(axes: int, mode: Any) -> None:
    settings: dict[str, Any] = {"kernel_size": 2, "stride": (2, 1, 1)[:axes], "padding_mode": mode}
    settings["padding"] = ((1, 2), (2, 0), (1, 1))[:axes]
    input = checks.leaves(maps(axes))[0]
    columns = IM2COL[axes - 1](input, **settings)
    other = torch.randn_like(columns)
    (expected,) = torch.autograd.grad(columns, input, other)
    found = COL2IM[axes - 1](other, SIZES[:axes], **settings)
    checks.assert_close(found, expected)
    checks.assert_close(COL2IM[axes - 1](other[0], SIZES[:axes], **settings), expected[0])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("zeros", [12, 23, 30]), ("circular", [12, 23, 31]), ("replicate", [13, 23, 30]), ("reflect", [12, 24, 30])],
)
def test_what_is_read_in_the_padding_by_hand(mode: Any, expected: list[int]) -> None:
    columns = torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    assert col2im1d(columns, 3, 2, padding=((1, 0),), padding_mode=mode).tolist() == [expected]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2])
def test_small_sizes(axes: int, size: int) -> None:
    input = torch.randn(1, 1, *[size] * axes)
    assert torch.equal(IM2COL[axes - 1](input, 1), input.flatten(2))
    assert IM2COL[axes - 1](input, size).shape == (1, size**axes, 1)
    assert IM2COL[axes - 1](input[:, :0], size).shape == (1, 0, 1)


HABITS: list[dict[str, Any]] = [
    {"kernel_size": 2, "stride": 2, "padding": ((1, 2), "same")},
    {"kernel_size": (1, 3), "dilation": (2, 1)},
    {"kernel_size": 2, "padding": ((2, 0), 1), "padding_mode": "reflect"},
    {"kernel_size": 2, "padding": "causal", "padding_mode": "circular"},
]


def forth(input: Tensor) -> Tensor:
    return im2col2d(input, **HABITS[0])


class TestHabits:
    @pytest.mark.parametrize("settings", HABITS, ids=str)
    def test_gradients(self, settings: dict[str, Any]) -> None:
        input = maps(2, batch=1)
        checks.check_gradients(lambda input: im2col2d(input, **settings), input)
        checks.check_gradients(back(2, settings), im2col2d(input, **settings))

    @pytest.mark.parametrize("axes", [1, 3])
    def test_gradients_along_other_axes(self, axes: int) -> None:
        input, own = maps(axes, batch=1)[:, :, :3], {"kernel_size": 2, "padding": "causal"}
        checks.check_gradients(lambda input: IM2COL[axes - 1](input, **own), input)
        sizes = tuple(input.shape[2:])
        columns = IM2COL[axes - 1](input, **own)
        checks.check_gradients(lambda columns: COL2IM[axes - 1](columns, sizes, **own), columns)

    @pytest.mark.parametrize("settings", [HABITS[0], HABITS[2]], ids=str)
    @pytest.mark.parametrize("returning", [False, True])
    def test_what_pytorch_asks_of_an_operator(self, returning: bool, settings: dict[str, Any], tmp_path: Path) -> None:
        tensor = im2col2d(maps(2), **settings) if returning else maps(2)
        call = back(2, settings) if returning else lambda input: im2col2d(input, **settings)
        checks.check_dtypes(call, tensor)
        checks.check_batches(call, tensor)
        checks.check_deterministic(call, tensor, threads=False)
        checks.check_onnx(call, tmp_path, tensor.float())
        factor = torch.randn(call(tensor).shape[1:], dtype=torch.float64)
        checks.check_transforms(lambda tensor, factor: call(tensor) * factor, tensor, factor)

    def test_strided_views_and_channels_last(self) -> None:
        input = maps(2)
        assert torch.equal(forth(input.contiguous(memory_format=torch.channels_last)), forth(input))
        assert torch.equal(forth(torch.stack([input, input], -1)[..., 1]), forth(input))
        assert forth(input.contiguous(memory_format=torch.channels_last)).is_contiguous()

    def test_compiles(self) -> None:
        checks.check_compiles(forth, lambda size: (torch.randn(2, 3, size, size + 1),), sizes=(5, 8))
        columns = lambda columns: col2im2d(columns, (2, columns.shape[-1] + 1), 2)  # noqa: E731
        checks.check_compiles(columns, lambda size: (torch.randn(2, 8, size),), sizes=(5, 8))
        ring: dict[str, Any] = {"padding": "causal", "padding_mode": "circular"}
        columns = lambda columns: col2im1d(columns, columns.shape[-1], 2, **ring)  # noqa: E731
        checks.check_compiles(columns, lambda size: (torch.randn(2, 8, size),), sizes=(5, 8))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    def test_autocast_copies_numbers_as_they_are(self, dtype: torch.dtype) -> None:
        """As PyTorch's unfold and fold do."""
        picture = torch.full((1, 1, 3, 3), 1.0009765625, dtype=dtype)
        with torch.autocast("cpu", torch.bfloat16):
            columns, theirs = im2col2d(picture, 3), F.unfold(picture, 3)
            assert columns.dtype == theirs.dtype == dtype
            assert torch.equal(columns, theirs)
            returned = col2im2d(columns, 3, 3)
            assert returned.dtype == F.fold(columns, 3, 3).dtype == dtype
            assert torch.equal(returned, picture)


def test_low_precision_is_rounded_once() -> None:
    """Ones added in bfloat16 one after the other stay at 256."""
    columns = torch.ones(1, 300, 300, dtype=torch.bfloat16)
    assert col2im1d(columns, 300, 300, padding="same")[0, 0, 149] == 300
    (input,) = checks.leaves(torch.ones(1, 1, 300, dtype=torch.bfloat16))
    (gradient,) = torch.autograd.grad(im2col1d(input, 300, padding="same"), input, columns)
    assert gradient[0, 0, 150] == 300


def test_the_result_is_no_view_of_the_input() -> None:
    input = torch.zeros(1, 2, 4, 4)
    im2col2d(input, 1).add_(1)
    assert not input.any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(9, 9)}, ValueError, r"im2col2d: input must be \(N, C, H, W\) or \(C, H, W\)"),
        ({"input": torch.zeros(1, 9, 9, dtype=torch.int64)}, TypeError, "floating-point numbers, got torch.int64"),
        ({"kernel_size": 10}, ValueError, "im2col2d: axis 0: the window is larger than the padded input"),
        ({"kernel_size": (3, 3, 3)}, ValueError, "kernel_size must be one number or one an axis"),
        ({"kernel_size": 0}, ValueError, "kernel_size must be an integer of at least 1"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        ({"dilation": 0}, ValueError, "dilation must be an integer of at least 1"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
        ({"padding": "sam"}, ValueError, "did you mean 'same'"),
        ({"padding_mode": "mirror"}, ValueError, "padding_mode must be one of zeros, reflect"),
        ({"padding_mode": "circular", "padding": 10}, ValueError, "can pad at most 9 places on axis 0 of size 9"),
        ({"padding_mode": "constant"}, ValueError, "border and padding_mode='constant' go together"),
        ({"border": torch.zeros(1)}, ValueError, "border and padding_mode='constant' go together"),
        ({"padding_mode": "constant", "border": torch.zeros(2)}, ValueError, r"border must be \(1,\), one value"),
        ({"padding_mode": "constant", "border": torch.zeros(1).double()}, TypeError, "border must have the dtype of"),
    ],
)
def test_errors_of_im2col(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        im2col2d(**{"input": torch.zeros(1, 9, 9), "kernel_size": 3, **change})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"columns": torch.zeros(9)}, ValueError, r"columns must be \(N, C \* 4, 6\) or \(C \* 4, 6\) .* got \(9,\)"),
        ({"columns": torch.zeros(7, 6)}, ValueError, r"for an output of \(3, 4\), got \(7, 6\)"),
        ({"columns": torch.zeros(8, 5)}, ValueError, r"columns must be \(N, C \* 4, 6\) .* got \(8, 5\)"),
        ({"columns": torch.zeros(8, 6, dtype=torch.int64)}, TypeError, "columns must hold floating-point numbers"),
        ({"output_size": (3, 4, 5)}, ValueError, r"output_size must be one number or one an axis \(2\)"),
        ({"output_size": (1, 4)}, ValueError, "col2im2d: axis 0: the window is larger than the padded input"),
        ({"output_size": 0}, ValueError, "the input size must be at least 1, got 0"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        (
            {"padding_mode": "constant"},
            ValueError,
            "must be one of zeros, reflect, replicate, circular, got 'constant'",
        ),
        (
            {"padding_mode": "reflect", "padding": (0, 4), "columns": torch.zeros(8, 22)},
            ValueError,
            "col2im2d: padding_mode='reflect' can pad at most 3 places on axis 1 of size 4",
        ),
    ],
)
def test_errors_of_col2im(change: dict[str, Any], error: type[Exception], message: str) -> None:
    right = {"columns": torch.zeros(8, 6), "output_size": (3, 4), "kernel_size": 2}
    assert math.prod(col2im2d(**right).shape) == 2 * 3 * 4
    with pytest.raises(error, match=message):
        col2im2d(**{**right, **change})
