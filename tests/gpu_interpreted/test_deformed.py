"""The deformable operators in Triton's interpreter, against their definitions in float64."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import striate
from ops.checks import (
    TOLERANCE,
    assert_close,
    check_deterministic,
    check_formats,
    check_same,
    check_whole,
    gradients_of,
)
from ops.deformed import draw, draw_offsets, outputs
from striate.ops.deform_aggregate import reference as aggregation
from striate.ops.deform_conv import reference as convolution

from .rooms import take_gpu_rooms

Call = tuple[Callable[..., Tensor], Callable[..., Tensor], list[Tensor]]


@pytest.fixture(autouse=True)
def _gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    take_gpu_rooms(monkeypatch)
    yield
    torch.use_deterministic_algorithms(False)


def convolved(
    sizes: Sequence[int],
    kernel: Sequence[int],
    out: int,
    into: int,
    groups: int = 1,
    moving: int = 1,
    *,
    masked: bool = True,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
    batch: int = 2,
) -> Call:
    """A convolution, its definition and what they read; `moving` groups of offsets."""
    axes, generator = len(sizes), torch.Generator().manual_seed(0)
    taps, places = math.prod(kernel), outputs(sizes, kernel, stride, padding, dilation)
    tensors = [
        draw(generator, batch, into * groups, *sizes),
        draw_offsets(generator, batch, moving * taps * axes, *places),
        draw(generator, out, into, *kernel),
        draw(generator, out),
    ]
    if masked:
        tensors.append(draw(generator, batch, moving * taps, *places))
    settings = [[each] * axes for each in (stride, padding, dilation)]

    def call(input: Tensor, offset: Tensor, weight: Tensor, bias: Tensor, mask: Tensor | None = None) -> Tensor:
        operator = getattr(striate, f"deform_conv{axes}d")
        return operator(input, offset, weight, bias, stride, padding, dilation, mask)

    def definition(*own: Tensor) -> Tensor:
        input, offset, weight, bias, mask = [*(each.double() for each in own), *[None] * (5 - len(own))]
        return convolution.deform_conv(input, offset, weight, bias, mask, *settings)

    return call, definition, tensors


def aggregated(
    sizes: Sequence[int], kernel: int, channels: int, groups: int, *, scale: float = 1.0, removed: bool = False
) -> Call:
    """An aggregation, its definition and what they read."""
    axes, generator = len(sizes), torch.Generator().manual_seed(0)
    taps, places = kernel**axes - removed, outputs(sizes, kernel, 1, 1, 1)
    tensors = [
        draw(generator, 2, channels, *sizes),
        draw_offsets(generator, 2, groups * taps * axes, *places, scale=scale),
        draw(generator, 2, groups * taps, *places),
    ]
    more: dict[str, Any] = {"groups": groups, "offset_scale": scale, "remove_center": removed}

    def call(*own: Tensor) -> Tensor:
        return getattr(striate, f"deform_aggregate{axes}d")(*own, kernel, 1, 1, **more)

    def definition(*own: Tensor) -> Tensor:
        wide = (each.double() for each in own)
        return aggregation.deform_aggregate(*wide, [kernel] * axes, [1] * axes, [1] * axes, [1] * axes, *more.values())

    return call, definition, tensors


# Sizes are odd, channels and filters fill no tile or more than one, and offsets lead beyond every border.
CASES: dict[str, Callable[[], Call]] = {
    "plain": lambda: convolved((3, 4), (2, 3), 5, 3),
    "no mask": lambda: convolved((3, 4), (2, 1), 3, 2, masked=False),
    "one tap": lambda: convolved((3, 5), (1, 1), 2, 2, padding=0),
    "many channels and filters": lambda: convolved((2, 3), (1, 2), 18, 17, batch=1),
    "groups": lambda: convolved((3, 4), (2, 2), 4, 2, groups=2),
    "offset groups": lambda: convolved((3, 4), (2, 2), 3, 6, moving=3),
    "groups across offset groups": lambda: convolved((3, 3), (1, 2), 4, 3, groups=2, moving=3),
    "stride and dilation": lambda: convolved((5, 6), (2, 2), 2, 2, stride=2, dilation=2),
    "padding beyond the picture": lambda: convolved((2, 2), (2, 2), 2, 2, padding=3, batch=1),
    "depthwise": lambda: convolved((3, 4), (2, 2), 5, 1, groups=5),
    "depthwise with filters and offset groups": lambda: convolved((3, 4), (2, 2), 12, 1, groups=6, moving=2),
    "series": lambda: convolved((9,), (3,), 3, 4, moving=2),
    "series, depthwise": lambda: convolved((9,), (3,), 4, 1, groups=4, moving=2, stride=2),
    "volume": lambda: convolved((2, 3, 2), (2, 1, 2), 3, 2, batch=1),
    "volume, depthwise": lambda: convolved((2, 2, 3), (1, 2, 2), 2, 1, groups=2, batch=1),
    "aggregate": lambda: aggregated((3, 4), 2, 6, 2),
    "aggregate, scaled, no centre": lambda: aggregated((3, 4), 3, 5, 1, scale=0.5, removed=True),
    "aggregate, series": lambda: aggregated((7,), 3, 4, 2, scale=2.0, removed=True),
    "aggregate, volume": lambda: aggregated((2, 2, 3), 2, 2, 1),
}


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients(case: str) -> None:
    call, definition, tensors = CASES[case]()
    check_same(call, definition, *tensors)


@pytest.mark.parametrize("case", ["plain", "depthwise"])
def test_a_bias_whose_numbers_do_not_lie_side_by_side(case: str) -> None:
    call, definition, (input, offset, weight, bias, mask) = CASES[case]()
    apart = torch.stack([bias, bias + 1], 1)[:, 0]
    assert_close(call(input, offset, weight, apart, mask), definition(input, offset, weight, bias, mask))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", ["no mask", "depthwise", "aggregate"])
def test_dtypes(case: str, dtype: torch.dtype) -> None:
    call, definition, tensors = CASES[case]()
    own = [tensor.to(dtype) for tensor in tensors]
    output = call(*own)
    assert output.dtype == dtype
    assert_close(output, definition(*own))
    wide = [tensor.double() for tensor in own]
    for found, expected in zip(gradients_of(call, *own), gradients_of(definition, *wide), strict=True):
        assert found.dtype == dtype
        assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_float32_offsets_and_masks_beside_lower_values(dtype: torch.dtype) -> None:
    call, definition, (input, offset, weight, bias, mask) = CASES["plain"]()
    own = input.to(dtype), offset.float(), weight.to(dtype), bias.to(dtype), mask.float()
    assert_close(call(*own), definition(*own), dtype)
    for tensor, found, expected in zip(own, gradients_of(call, *own), gradients_of(definition, *own), strict=True):
        assert found.dtype == tensor.dtype
        assert_close(found, expected, dtype)


@pytest.mark.parametrize("case", ["no mask", "depthwise", "aggregate", "volume"])
def test_memory_formats(case: str) -> None:
    call, _, tensors = CASES[case]()
    check_formats(call, *tensors)


@pytest.mark.parametrize("case", ["plain", "depthwise", "aggregate"])
def test_nothing_is_returned_that_was_not_written(case: str) -> None:
    call, _, tensors = CASES[case]()
    check_whole(call, *tensors)


@pytest.mark.parametrize(
    ("case", "dtype"),
    [("no mask", torch.float32), ("depthwise", torch.bfloat16), ("aggregate, scaled, no centre", torch.float64)],
)
def test_whole_numbers_add_up_to_the_same_gradients(case: str, dtype: torch.dtype) -> None:
    call, definition, tensors = CASES[case]()
    own = [tensor.to(dtype) for tensor in tensors]
    torch.use_deterministic_algorithms(True)
    for found, expected in zip(gradients_of(call, *own), gradients_of(definition, *own), strict=True):
        assert_close(found, expected)
    check_deterministic(call, *own, threads=False)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_whole_numbers_of_any_size(scale: float) -> None:
    call, definition, (input, offset, mask) = CASES["aggregate"]()
    own = input.float(), offset.float(), (mask * scale).float()
    torch.use_deterministic_algorithms(True)
    found, expected = gradients_of(call, *own), gradients_of(definition, *own)
    assert_close(found[0], expected[0])


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_gradients_that_are_not_finite_go_where_they_would(number: float) -> None:
    call, definition, (input, offset, mask) = CASES["aggregate"]()
    offset[0, :2, 1, 1], mask[0, 0, 1, 1] = 0.5, number
    own = [tensor.float().requires_grad_() for tensor in (input, offset, mask)]
    (expected,) = torch.autograd.grad(definition(*own).sum(), own[:1])
    torch.use_deterministic_algorithms(True)
    (found,) = torch.autograd.grad(call(*own).sum(), own[:1])
    assert found.isnan().any()
    assert torch.equal(found.isnan(), expected.isnan())
    assert_close(found.nan_to_num(0), expected.nan_to_num(0))


@pytest.mark.parametrize("wanted", range(5))
def test_only_the_gradient_asked_for(wanted: int) -> None:
    call, definition, tensors = CASES["plain"]()
    whole = gradients_of(definition, *tensors)[wanted]
    own = [tensor.clone().requires_grad_(at == wanted) for at, tensor in enumerate(tensors)]
    output = call(*own)
    weights = torch.linspace(0.5, 1.5, output.numel(), dtype=torch.float64).view(output.shape)
    (found,) = torch.autograd.grad((output * weights).sum(), own[wanted : wanted + 1])
    assert_close(found, whole)


def test_second_order() -> None:
    call, definition, tensors = convolved((2, 3), (1, 2), 2, 2, batch=1)

    def slopes(function: Callable[..., Tensor], *own: Tensor) -> Tensor:
        first = torch.autograd.grad(function(*own).square().sum(), own, create_graph=True)
        return torch.stack([gradient.square().sum() for gradient in first])

    found = gradients_of(lambda *own: slopes(call, *own), *tensors)
    for mine, expected in zip(found, gradients_of(lambda *own: slopes(definition, *own), *tensors), strict=True):
        assert_close(mine, expected)


def test_an_empty_batch() -> None:
    call, _, tensors = CASES["plain"]()
    empty = [each[:0] if at in (0, 1, 4) else each for at, each in enumerate(tensors)]
    assert call(*empty).shape == (0, *call(*tensors).shape[1:])
    for found, tensor in zip(gradients_of(call, *empty), empty, strict=True):
        assert found.shape == tensor.shape
        assert not found.any()
