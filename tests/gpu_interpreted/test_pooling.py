"""Maxima, averages, norms and what puts numbers back, in Triton's interpreter, against the definitions."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from ops.checks import TOLERANCE, assert_close
from striate.ops._pooling import gpu as pooling
from striate.ops._pooling.taps import format_of, outputs_of
from striate.ops._triton import tl
from striate.ops.avg_pool import gpu as avg_pool
from striate.ops.avg_pool import reference as avg_reference
from striate.ops.lp_pool import gpu as lp_pool
from striate.ops.lp_pool import reference as lp_reference
from striate.ops.max_pool import gpu as max_pool
from striate.ops.max_pool import reference as max_reference
from striate.ops.max_unpool import gpu as max_unpool
from striate.ops.max_unpool import reference as unpool_reference

# Sizes, kernel, stride, low, high, dilation.
CASES = {
    "series": ((2, 3, 11), [3], [2], [1], [2], [2]),
    "picture": ((2, 3, 6, 7), [2, 3], [2, 1], [1, 0], [0, 2], [1, 2]),
    "volume": ((1, 2, 3, 4, 5), [2, 1, 3], [1, 2, 1], [1, 0, 1], [1, 0, 1], [1, 1, 1]),
    "padding": ((1, 1, 2, 3), [2, 2], [1, 2], [3, 2], [2, 3], [1, 1]),
    "cropped": ((1, 2, 7, 6), [3, 2], [1, 1], [-1, 1], [-2, 0], [1, 1]),
    "apart": ((1, 2, 9, 8), [3, 2], [2, 3], [1, 0], [2, 1], [2, 3]),
    "gaps": ((1, 2, 8, 7), [2, 1], [3, 2], [0, -1], [1, 0], [1, 1]),
}


@pytest.fixture(autouse=True)
def _poisoned() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def drawn(shape: tuple[int, ...], channels_last: bool, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers of which some are equal, and some 0."""
    maps = (torch.randn(shape, dtype=torch.float64) * 3).round().to(dtype) / 4
    return maps.contiguous(memory_format=format_of(len(shape), channels_last))


def compare(output: Tensor, found: Tensor, wide: Tensor, expected: Tensor, grad: Tensor) -> None:
    """An output and the input's gradient equal those of the definition."""
    for own, wished in ((output, expected), (found, *torch.autograd.grad(expected, wide, grad.double()))):
        assert own.dtype == grad.dtype
        assert_close(own, wished)
        if own.numel() > 1 and wide.ndim > 3 and not wide.is_contiguous():
            assert own.is_contiguous(memory_format=format_of(own.ndim, True))


def check_average(input: Tensor, last: bool, include_pad: bool, divisor: int, *at: list[int]) -> None:
    kernel, stride, low, high, dilation = at
    sizes, outputs, over = input.shape[2:], outputs_of(input.shape[2:], *at), [0] * len(kernel)
    begins = [-a if include_pad else 0 for a in low]
    ends = [n + b if include_pad else n for n, b in zip(sizes, high, strict=True)]
    settings = kernel, stride, low, dilation
    output = avg_pool.forward(input, *settings, outputs, [*begins, *ends], divisor, last)
    wide = input.detach().double().requires_grad_()
    expected = avg_reference.avg_pool(wide, kernel, stride, low, high, over, dilation, include_pad, divisor or None)
    grad = torch.randn(output.shape).to(output)
    found = avg_pool.backward(grad, sizes, *settings, [*begins, *ends], divisor, last)
    compare(output, found, wide, expected, grad)


def check_maximum(input: Tensor, last: bool, kind: torch.dtype, *at: list[int]) -> None:
    kernel, stride, low, high, dilation = at
    settings, outputs = (kernel, stride, low, dilation), outputs_of(input.shape[2:], *at)
    output, taps = max_pool.forward(input, *settings, outputs, last, kind)
    wished = max_reference.winners(input, *at)
    assert torch.equal(taps, wished.to(kind))
    wide = input.detach().double().requires_grad_()
    expected, _ = max_reference.max_pool(wide, *at)
    assert torch.equal(output, expected.to(output.dtype))
    grad = torch.randn(output.shape).to(output)
    found = max_pool.backward(grad, taps, input.shape[2:], *settings, last)
    assert_close(found, *torch.autograd.grad(expected, wide, grad.double()))
    alone, nothing = max_pool.forward(input, *settings, outputs, last, None)
    assert torch.equal(alone, output)
    assert nothing.numel() == 0


def check_norm(input: Tensor, power: float, *at: list[int]) -> None:
    kernel, stride, low, _, dilation = at
    settings, outputs = (power, kernel, stride, low, dilation), outputs_of(input.shape[2:], *at)
    output = lp_pool.forward(input, *settings, outputs)
    wide = input.detach().double().requires_grad_()
    expected = lp_reference.lp_pool(wide, *settings, outputs)
    grad = torch.randn(output.shape).to(output)
    compare(output, lp_pool.backward(grad, input, output, *settings), wide, expected, grad)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("case", ["picture", "volume", "padding", "cropped", "apart", "gaps"])
def test_outputs_and_gradients(case: str, channels_last: bool) -> None:
    shape, *at = CASES[case]
    input = drawn(shape, channels_last)
    check_average(input, channels_last, case == "volume", 0, *at)
    check_average(input, channels_last, True, 5, *at)
    check_maximum(input, channels_last, torch.uint8 if case == "volume" else torch.int32, *at)
    check_norm(input, 3.0, *at)


def test_series() -> None:
    shape, *at = CASES["series"]
    input = drawn(shape, False)
    check_average(input, False, True, 0, *at)
    check_maximum(input, False, torch.uint8, *at)
    for power in (0.7, 1.0, 1.5, 2.0):
        check_norm(input, power, *at)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_dtypes(dtype: torch.dtype) -> None:
    shape, *at = CASES["picture"]
    input = drawn(shape, True, dtype)
    check_average(input, True, False, 0, *at)
    check_maximum(input, True, torch.uint8, *at)
    if dtype in (torch.float32, torch.float64):
        check_norm(input, 2.5, *at)


def test_channels_by_sixteen() -> None:
    _, *at = CASES["picture"]
    input = drawn((1, 16, 3, 4), True)
    check_average(input, True, False, 0, *at)
    check_maximum(input, True, torch.uint8, *at)
    check_norm(input, 3.0, *at)


def test_wide_indices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "index_type", lambda *_: tl.int64)
    shape, *at = CASES["picture"]
    check_average(drawn(shape, True), True, False, 0, *at)
    check_maximum(drawn(shape, False), False, torch.uint8, *at)
    check_norm(drawn(shape, True), 2.0, *at)
    test_numbers_put_back(True)


def test_more_than_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "NUMBERS", 16)
    shape, *at = CASES["cropped"]
    check_average(drawn(shape, False), False, True, 0, *at)
    check_maximum(drawn(shape, True), True, torch.uint8, *at)
    check_norm(drawn(shape, True), 2.0, *at)


# NumPy, by which Triton interprets, warns.
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
def test_what_is_no_number() -> None:
    line: Any = [[[math.nan, 1.0, -math.inf, -math.inf, math.inf, math.nan]]]
    input, at = torch.tensor(line), ([2], [1], [1], [2], [1])
    settings = [2], [1], [1], [1]
    outputs = outputs_of([6], *at)
    output, taps = max_pool.forward(input, *settings, outputs, False, torch.int32)
    expected, _ = max_reference.max_pool(input, *at)
    torch.testing.assert_close(output, expected, equal_nan=True)
    assert torch.equal(taps.long(), max_reference.winners(input, *at))
    norms = lp_pool.forward(input, 3.0, *settings, outputs)
    wished = lp_reference.lp_pool(input, 3.0, *settings, outputs)
    torch.testing.assert_close(norms, wished, equal_nan=True)


def test_norms_of_numbers_whose_powers_leave_the_range() -> None:
    input = torch.tensor([[[1e-30, 2e-30, 1e30, -2e30]]])
    check_norm(input[..., :2] * 1.0, 3.0, [2], [1], [0], [0], [1])
    check_norm(input[..., 2:] * 1.0, 3.0, [2], [1], [0], [0], [1])
    check_norm(torch.tensor([[[1e38, -3e38, 0.0]]]), 3.0, [2], [1], [0], [0], [1])


@pytest.mark.parametrize("channels_last", [False, True])
def test_numbers_put_back(channels_last: bool) -> None:
    layout = format_of(4, channels_last)
    input = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    # Many name the same place, some none.
    indices = torch.randint(-1, 15, (2, 3, 3, 4)).contiguous(memory_format=layout)
    own = input.float().contiguous(memory_format=layout)
    output = max_unpool.forward(own, indices, [5, 3], channels_last)
    wide = own.double().requires_grad_()
    expected = unpool_reference.max_unpool(wide, indices, [5, 3])
    grad = torch.randn(2, 3, 5, 3)
    compare(output, max_unpool.backward(grad, indices, channels_last), wide, expected, grad)


def test_a_place_that_is_none() -> None:
    for wrong in (-2, 15):
        indices = torch.tensor([[[0, wrong]]])
        with pytest.raises(ValueError, match=rf"indices must be from 0 to 14, .* or -1, got {wrong}"):
            max_unpool.forward(torch.ones(1, 1, 2), indices, [15], False)


def test_tiles_along_a_row() -> None:
    assert [pooling.fitting(length, 64) for length in (1, 7, 56, 65, 112, 4000)] == [1, 8, 64, 16, 64, 64]


def test_no_images() -> None:
    input = torch.ones(0, 2, 5)
    settings = [2], [1], [0], [1]
    assert avg_pool.forward(input, *settings, [4], [0, 5], 0, False).shape == (0, 2, 4)
    assert max_pool.forward(input, *settings, [4], False, torch.uint8)[1].shape == (0, 2, 4)
    assert lp_pool.forward(input, 2.0, *settings, [4]).shape == (0, 2, 4)
    assert max_unpool.forward(input, input.long(), [7], False).shape == (0, 2, 7)
