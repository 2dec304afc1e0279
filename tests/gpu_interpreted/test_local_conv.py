"""Unshared convolution and its transpose in Triton's interpreter, against the definitions."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from ops.checks import TOLERANCE, assert_close
from striate.ops._unshared import gpu as products
from striate.ops.local_conv import gpu as room
from striate.ops.local_conv import reference
from striate.ops.local_conv_transpose import gpu as room_transpose
from striate.ops.local_conv_transpose import reference as reference_transpose

# Images, groups, inputs and outputs of a group, spots, plane, kernel, stride, low, dilation.
CASES = {
    "series": (3, 1, 3, 5, [5], [11], (3,), [2], [1], [2]),
    "picture": (2, 2, 2, 1, [3, 2], [4, 5], (2, 3), [1, 2], [0, 1], [1, 1]),
    "volume": (1, 1, 1, 2, [2, 1, 2], [3, 2, 2], (2, 1, 2), [1, 1, 1], [0, -1, 1], [1, 1, 1]),
    "padding": (1, 1, 1, 1, [4, 3], [2, 2], (2, 2), [2, 2], [3, 2], [1, 1]),
}


@pytest.fixture(autouse=True)
def _poisoned() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def check(forward: Any, backward: Any, definition: Any, tensors: list[Tensor], *settings: Any) -> None:
    output = forward(*tensors, *settings)
    leaves = [tensor.detach().double().requires_grad_() for tensor in tensors]
    expected = definition(*leaves, *settings)
    assert output.dtype == tensors[0].dtype
    assert_close(output, expected)
    grad = torch.randn(output.shape).to(output)
    wished = torch.autograd.grad(expected, leaves[:2], grad.double())
    found = backward(grad, *tensors[:2], *settings, [True, True])
    for own, wish in zip(found, wished, strict=True):
        assert own.dtype == output.dtype
        assert_close(own, wish)
    assert found[0].stride() == tensors[0].stride()
    for own in backward(grad, *tensors[:2], *settings, [False, False]):
        assert own.shape == (0,)


def drawn(case: str, dtype: torch.dtype, each: bool) -> tuple[list[Tensor], list[Tensor], Any]:
    """The tensors of the convolution and of its transpose, and the settings."""
    images, groups, into, out, spots, plane, kernel, *settings = CASES[case]
    weight = torch.randn(*spots, out * groups, into, *kernel, dtype=dtype)
    maps, grown = (
        [torch.randn(images, channels * groups, *sizes, dtype=dtype), weight, torch.randn(*own, bias, dtype=dtype)]
        for channels, sizes, own, bias in (
            (into, plane, spots if each else (), out * groups),
            (out, spots, plane if each else (), into * groups),
        )
    )
    return maps, grown, settings


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients(case: str) -> None:
    maps, grown, settings = drawn(case, torch.float32, each=case != "series")
    check(room.forward, room.backward, reference.local_conv, maps, *settings)
    groups, plane = CASES[case][1], CASES[case][5]
    definition = reference_transpose.local_conv_transpose
    check(room_transpose.forward, room_transpose.backward, definition, grown, plane, groups, *settings)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_dtypes(dtype: torch.dtype) -> None:
    maps, grown, settings = drawn("picture", dtype, each=True)
    check(room.forward, room.backward, reference.local_conv, maps, *settings)
    definition = reference_transpose.local_conv_transpose
    check(room_transpose.forward, room_transpose.backward, definition, grown, [4, 5], 2, *settings)


@pytest.mark.parametrize("images", [1, 18])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_small_tiles(layout: torch.memory_format, images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_ROWS", "_IMAGES", "_TERMS", "_OUTER_COLUMNS"):
        monkeypatch.setattr(products, name, 16)
    monkeypatch.setattr(products, "_TILE", 256)
    weight, input = torch.randn(2, 2, 17, 19, 1, 2), torch.randn(images, 19, 2, 3).contiguous(memory_format=layout)
    check(room.forward, room.backward, reference.local_conv, [input, weight, torch.randn(17)], [1, 1], [0, 0], [1, 1])


@pytest.mark.parametrize("case", CASES)
def test_large_results_are_turned(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_LARGE", 1)
    maps, grown, settings = drawn(case, torch.float32, each=True)
    if maps[0].ndim == 4:
        maps[0] = maps[0].contiguous(memory_format=torch.channels_last)
    check(room.forward, room.backward, reference.local_conv, maps, *settings)
    groups, plane = CASES[case][1], CASES[case][5]
    definition = reference_transpose.local_conv_transpose
    check(room_transpose.forward, room_transpose.backward, definition, grown, plane, groups, *settings)


def test_no_images() -> None:
    input, weight = torch.randn(0, 2, 3), torch.randn(2, 1, 2, 2)
    assert room.forward(input, weight, None, [1], [0], [1]).shape == (0, 1, 2)
    grad_input, grad_weight = room.backward(torch.randn(0, 1, 2), input, weight, [1], [0], [1], [True, True])
    assert grad_input.shape == input.shape
    assert not grad_weight.any()
