"""Deformable operators beyond 32 bits, and where numbers are not finite: the kernels do what the definitions do."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import striate
from ops import checks, deformed
from striate.ops.deform_aggregate import reference as aggregation
from striate.ops.deform_conv import reference as convolution

SERIES = torch.arange(1.0, 9.0).view(1, 1, 8)
TAPS = torch.tensor([[[1.0, 10.0, 100.0]]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("far", [2**29, 2**30, 2**31, 2**32, 2**32 + 2**10, 2**40])
def test_places_beyond_32_bits(far: int, dtype: torch.dtype) -> None:
    series, taps = SERIES.to(dtype), TAPS.to(dtype)
    offset = torch.zeros(1, 3, 8, dtype=dtype)
    assert torch.equal(striate.deform_conv1d(series, offset, taps, padding=far, dilation=far), 10 * series)
    offset[:, 0], offset[:, 2] = far, -far
    assert torch.equal(striate.deform_conv1d(series, offset, taps, padding=far, dilation=far), 111 * series)
    padding, moves = ((far, far),), torch.tensor([[[far, 2.5, -far]]], dtype=dtype)
    found = striate.deform_conv1d(series, moves, taps[..., 1:2], stride=far, padding=padding)
    assert found.tolist() == [[[10, 35, 10]]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [2.0**30, 2.0**32, 2.0**40, 1e19, -1e30, 3e38])
def test_scales_beyond_32_bits(scale: float, dtype: torch.dtype) -> None:
    series, offset, mask = SERIES.to(dtype), torch.zeros(1, 3, 8, dtype=dtype), TAPS.to(dtype).view(1, 3, 1)
    settings = {"padding": 1, "offset_scale": scale}
    mask = mask.expand(1, 3, 8)
    assert torch.equal(striate.deform_aggregate1d(series, offset, mask, 3, **settings), 10 * series)
    offset[:, 0], offset[:, 2] = 1, -1
    assert torch.equal(striate.deform_aggregate1d(series, offset, mask, 3, **settings), 111 * series)


def test_gradients_beyond_32_bits() -> None:
    far, generator = 2**32, torch.Generator().manual_seed(0)
    offset = deformed.draw_offsets(generator, 1, 3, 8)
    offset[:, 0, ::2] += far
    offset[:, 2, 1::2] -= far
    inputs = deformed.draw(generator, 1, 1, 8), offset, deformed.draw(generator, 1, 1, 3)

    def call(input: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
        return striate.deform_conv1d(input, offset, weight, padding=far, dilation=far)

    def definition(input: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
        return convolution.deform_conv(input, offset, weight, None, None, [1], [far], [far])

    checks.check_same(call, definition, *inputs)


def convolved(axes: int, filters: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """The operator, its filters of one channel each or of all, and its definition."""
    one = [1] * axes

    def weight(input: Tensor) -> Tensor:
        return torch.linspace(-1, 2, 3 * filters * 2**axes).to(input).view(3, filters, *[2] * axes)

    def call(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        operator = getattr(striate, f"deform_conv{axes}d")
        return operator(input, offset, weight(input), padding=1, mask=mask)

    def definition(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        return convolution.deform_conv(input, offset, weight(input), None, mask, one, one, one)

    return call, definition


def aggregated(axes: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """The operator and its definition."""
    one = [1] * axes

    def call(*tensors: Tensor) -> Tensor:
        return getattr(striate, f"deform_aggregate{axes}d")(*tensors, 2, padding=1)

    def definition(*tensors: Tensor) -> Tensor:
        return aggregation.deform_aggregate(*tensors, [2] * axes, one, one, one, 1, 1.0, False)

    return call, definition


@pytest.mark.parametrize("kind", ["depthwise", "dense", "aggregate"])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["input", "mask", "offset"])
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_not_finite_shows_as_in_the_definition(
    kind: str, axes: int, value: float, where: str, whole: bool
) -> None:
    call, definition = aggregated(axes) if kind == "aggregate" else convolved(axes, 3 if kind == "dense" else 1)
    generator = torch.Generator().manual_seed(axes)
    taps, sizes = 2**axes, [4, 3, 5][:axes]
    places = [n + 1 for n in sizes]
    tensors = {
        "input": deformed.draw(generator, 2, 3, *sizes),
        "offset": deformed.draw_offsets(generator, 2, taps * axes, *places),
        "mask": deformed.draw(generator, 2, taps, *places),
    }
    if whole:
        tensors["offset"] = tensors["offset"].round()
    tensors[where].view(-1)[::15] = value
    own = list(tensors.values())
    pairs = [(call(*own), definition(*own))]
    pairs += zip(checks.gradients_of(call, *own), checks.gradients_of(definition, *own), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, equal_nan=True)
    outputs = pairs[0][0]
    assert outputs.isfinite().any()
    # An offset without end leads outside.
    assert outputs.isfinite().all() == (where == "offset" and math.isinf(value))


def read(pixel: float, at: float, factor: float) -> float:
    """A series of one pixel, read."""
    series, offset, mask = (torch.tensor([[[number]]]) for number in (pixel, at, factor))
    found = striate.deform_conv1d(series, offset, torch.ones(1, 1, 1), mask=mask).item()
    same = striate.deform_aggregate1d(series, offset, mask, 1).item()
    assert found == same or (math.isnan(found) and math.isnan(same))
    return found


def test_a_factor_that_is_not_finite_is_not_hidden() -> None:
    for factor in (math.nan, math.inf, -math.inf):
        for at in (0.0, 0.5, 1.0, 50.0, -1.0, -50.0):
            assert math.isnan(read(2.0, at, factor))


def test_a_pixel_without_bound_at_the_border() -> None:
    assert read(math.inf, 0.0, 1.0) == read(math.inf, 0.5, 1.0) == read(math.inf, -0.5, 2.0) == math.inf
    assert read(math.inf, 0.0, -1.0) == -math.inf
    assert read(math.inf, 1.0, 1.0) == read(math.inf, -1.5, 1.0) == 0
    assert read(2.0, 0.0, 1.0) == 2 * read(2.0, 0.5, 1.0) == 4 * read(2.0, -0.75, 1.0) == 2
