"""Depthwise convolution in Triton's interpreter, against the definition."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from ops.checks import TOLERANCE, assert_close
from striate.ops.conv import gpu, reference, rows

# Input, filters, kernel, stride, low, high, dilation.
CASES = {
    "picture": ((2, 3, 7, 9), 3, (3, 5), [1, 1], [1, 2], [1, 2], [1, 1]),
    "series": ((2, 2, 13), 2, (4,), [3], [2], [5], [2]),
    "volume": ((1, 2, 3, 4, 5), 2, (2, 3, 1), [1, 2, 1], [1, 0, 0], [0, 1, 0], [2, 1, 1]),
    "filters": ((2, 2, 5, 6), 6, (3, 2), [2, 1], [0, 1], [1, 3], [1, 2]),
    "cropped": ((1, 3, 8, 9), 3, (3, 3), [1, 2], [-1, -2], [2, -1], [1, 1]),
    "padding": ((1, 1, 2, 3), 1, (2, 2), [1, 1], [4, 3], [3, 4], [1, 1]),
    "large": ((2, 2, 7, 9), 2, (7, 7), [1, 1], [3, 4], [3, 2], [1, 1]),
    "large, apart": ((1, 1, 3, 4, 19), 2, (1, 7, 7), [1, 1, 2], [0, 3, 1], [1, 5, 4], [1, 1, 1]),
    "large, dilated": ((1, 1, 8, 40), 1, (7, 7), [1, 1], [6, 9], [7, 9], [2, 3]),
}


@pytest.fixture(autouse=True)
def _poisoned() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def definition(input: Tensor, weight: Tensor, bias: Tensor | None, *settings: list[int]) -> Tensor:
    own = (None if tensor is None else tensor.double() for tensor in (input, weight, bias))
    return reference.conv(*own, *settings, groups=input.shape[1])


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients(case: str) -> None:
    shape, filters, kernel, *settings = CASES[case]
    input = torch.randn(shape)
    check(input, torch.randn(filters, 1, *kernel), torch.randn(filters), settings)
    if len(shape) > 3 and not case.startswith("large,"):
        input = input.contiguous(memory_format=torch.channels_last if len(shape) == 4 else torch.channels_last_3d)
        check(input, torch.randn(filters, 1, *kernel), torch.randn(filters), settings)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_dtypes(dtype: torch.dtype) -> None:
    input, weight = torch.randn(2, 3, 6, 5, dtype=dtype), torch.randn(3, 1, 3, 3, dtype=dtype)
    check(input, weight, torch.randn(3, dtype=dtype), [[1, 2], [1, 1], [1, 0], [1, 1]])
    last = input.contiguous(memory_format=torch.channels_last)
    check(last, weight, None, [[1, 1], [1, 1], [1, 1], [1, 1]])
    # A row of eight outputs takes the way of large windows.
    check(
        torch.randn(1, 2, 4, 8, dtype=dtype),
        torch.randn(2, 1, 7, 7, dtype=dtype),
        None,
        [[1, 1], [3, 3], [3, 3], [1, 1]],
    )


def check(input: Tensor, weight: Tensor, bias: Tensor | None, settings: list[list[int]]) -> None:
    output = gpu.forward(input, weight, bias, *settings)
    leaves = [tensor.detach().double().requires_grad_() for tensor in (input, weight)]
    expected = definition(*leaves, bias, *settings)
    assert output.dtype == input.dtype
    assert_close(output, expected)
    grad = torch.randn(output.shape).to(output)
    wished = torch.autograd.grad(expected, leaves, grad.double())
    found = gpu.backward(grad, input, weight, *settings, [True, True])
    for own, wish in zip(found, wished, strict=True):
        assert own.dtype == input.dtype
        assert_close(own, wish)
    assert found[0].stride() == input.stride()


def test_gradients_that_nobody_needs_are_empty() -> None:
    input, weight, settings = torch.randn(1, 2, 5), torch.randn(2, 1, 3), [[1], [1], [1], [1]]
    grad = torch.randn(1, 2, 5)
    whole = gpu.backward(grad, input, weight, *settings, [True, True])
    for needs in ([True, False], [False, True], [False, False]):
        found = gpu.backward(grad, input, weight, *settings, needs)
        for own, needed, wish in zip(found, needs, whole, strict=True):
            assert torch.equal(own, wish) if needed else own.shape == (0,)


def test_no_images() -> None:
    input, weight, settings = torch.randn(0, 2, 5), torch.randn(2, 1, 3), [[1], [1], [1], [1]]
    assert gpu.forward(input, weight, None, *settings).shape == (0, 2, 5)
    grad_input, grad_weight = gpu.backward(torch.randn(0, 2, 5), input, weight, *settings, [True, True])
    assert grad_input.shape == input.shape and not grad_weight.any()


def test_the_weight_is_summed_in_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_SLAB", 16)
    monkeypatch.setattr(gpu, "_TILE", 16)
    settings = [[1, 1], [1, 1], [0, 0], [1, 1]]
    check(torch.randn(2, 3, 4, 5), torch.randn(3, 1, 2, 2), None, settings)
    monkeypatch.setattr(gpu, "_CHANNELS", 2)
    last = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    check(last, torch.randn(3, 1, 2, 2), None, settings)
    for name in ("_SLAB", "_BLOCK_M", "_BLOCK_X", "_BLOCK_K"):
        monkeypatch.setattr(rows, name, 16)
    check(torch.randn(3, 1, 7, 19), torch.randn(1, 1, 7, 7), None, [[1, 1], [3, 3], [3, 3], [1, 1]])
