"""Depthwise convolution in Triton's interpreter, against the definition."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from ops.checks import TOLERANCE, assert_close
from striate.ops.conv import gpu, planes, reference, rows

# Input, filters, kernel, stride, low, high, dilation.
CASES = {
    "picture": ((2, 3, 7, 9), 3, (3, 5), [1, 1], [1, 2], [1, 2], [1, 1]),
    "series": ((2, 2, 13), 2, (4,), [3], [2], [5], [2]),
    "volume": ((1, 2, 3, 4, 5), 2, (2, 3, 1), [1, 2, 1], [1, 0, 0], [0, 1, 0], [2, 1, 1]),
    "filters": ((2, 2, 5, 6), 6, (3, 2), [2, 1], [0, 1], [1, 3], [1, 2]),
    "cropped": ((1, 3, 8, 9), 3, (3, 3), [1, 2], [-1, -2], [2, -1], [1, 1]),
    "padding": ((1, 1, 2, 3), 1, (2, 2), [1, 1], [4, 3], [3, 4], [1, 1]),
    "cube": ((1, 3, 4, 5, 6), 3, (3, 2, 3), [1, 2, 1], [1, 1, 2], [1, 1, 0], [1, 1, 2]),
    "runs": ((1, 2, 14, 5), 2, (3, 2), [1, 1], [1, 0], [1, 1], [1, 1]),
    "whole": ((2, 3, 2, 4), 3, (2, 4), [1, 1], [0, 0], [0, 0], [1, 1]),
    "large": ((2, 2, 9, 19), 2, (11, 7), [1, 1], [3, 4], [3, 2], [1, 1]),
    "large, series": ((2, 2, 70), 2, (51,), [1], [25], [20], [1]),
    "large, apart": ((1, 1, 7, 39), 2, (7, 11), [2, 2], [3, 5], [3, 4], [1, 1]),
    "large, volume": ((1, 1, 3, 6, 16), 1, (2, 5, 7), [2, 1, 1], [0, 2, 3], [1, 2, 3], [1, 1, 1]),
    "large, dilated": ((1, 1, 8, 40), 1, (7, 7), [1, 1], [6, 9], [7, 9], [2, 3]),
}

LAYOUTS = {
    3: [torch.contiguous_format],
    4: [torch.contiguous_format, torch.channels_last],
    5: [torch.contiguous_format, torch.channels_last_3d],
}

# What is changed, so that all goes the same way, in small tiles.
WAYS: dict[str, list[tuple[Any, str, object]]] = {
    "planes": [(rows, "suits", lambda *_: False), (planes, "_TILES", {9: 16}), (planes, "_CHANNELS", 2)],
    "rows": [
        (planes, "suits", lambda *_: False),
        (gpu, "_FROM_EXACT", 1),
        *((rows, name, 1) for name in ("_WIDTH", "_TAPS", "_OUTPUTS", "_ROWS")),
        *((rows, name, 16) for name in ("_BLOCK_X", "_BLOCK_K")),
    ],
    "tiles": [
        (rows, "suits", lambda *_: False),
        (planes, "suits", lambda *_: False),
        *((gpu, name, 16) for name in ("_TILE", "_TILE_OF_TAPS")),
        *((gpu, name, 2) for name in ("_CHANNELS", "_TAPS", "_SLAB")),
    ],
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
    check_case(case)


@pytest.mark.parametrize(
    ("way", "case"),
    [
        *(("planes", case) for case in ("picture", "volume", "cropped", "cube", "runs")),
        *(("rows", case) for case in ("series", "filters", "padding", "large", "large, series", "large, apart")),
        *(("tiles", case) for case in ("series", "filters", "padding", "runs")),
    ],
)
def test_every_way_in_small_tiles(case: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in WAYS[way]:
        monkeypatch.setattr(module, name, value)
    check_case(case)


def check_case(case: str) -> None:
    shape, filters, kernel, *settings = CASES[case]
    # The numbers of the bias do not lie side by side.
    weight, bias = torch.randn(filters, 1, *kernel), torch.randn(filters, 2)[:, 0]
    for layout in LAYOUTS[len(shape)]:
        check(torch.randn(shape).contiguous(memory_format=layout), weight, bias, settings)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_dtypes(dtype: torch.dtype) -> None:
    input, weight = torch.randn(2, 3, 6, 5, dtype=dtype), torch.randn(3, 1, 3, 3, dtype=dtype)
    check(input, weight, torch.randn(3, dtype=dtype), [[2, 2], [1, 1], [1, 0], [1, 1]])
    last = input.contiguous(memory_format=torch.channels_last)
    check(last, weight, None, [[1, 1], [1, 1], [1, 1], [1, 1]])
    # A row of sixteen outputs takes the way of large windows, where these are rounded.
    input, weight = torch.randn(1, 2, 4, 16, dtype=dtype), torch.randn(2, 1, 7, 7, dtype=dtype)
    check(input, weight, None, [[1, 1], [3, 3], [3, 3], [1, 1]])


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
