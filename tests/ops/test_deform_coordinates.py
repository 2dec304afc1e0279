"""Where a deformable operator reads at borders, far away and nowhere: both operators and their definitions."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ops import checks, deformed
from striate.ops.deform_aggregate import deform_aggregate1d, deform_aggregate2d
from striate.ops.deform_aggregate import reference as aggregation
from striate.ops.deform_conv import deform_conv1d, deform_conv2d
from striate.ops.deform_conv import reference as convolution

Reader = Callable[[Tensor, Tensor, Tensor], Tensor]


def conv(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
    weight = input.new_ones(input.shape[1], 1, *[1] * (input.ndim - 2))
    return {3: deform_conv1d, 4: deform_conv2d}[input.ndim](input, offset, weight, mask=mask)


def conv_dense(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
    """Each filter reads its own channel, through a product with all."""
    axes = input.ndim - 2
    weight = torch.eye(input.shape[1], dtype=input.dtype)[(..., *[None] * axes)]
    return {1: deform_conv1d, 2: deform_conv2d}[axes](input, offset, weight, mask=mask)


def conv_defined(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
    axes = input.ndim - 2
    weight = input.new_ones(input.shape[1], 1, *[1] * axes)
    return convolution.deform_conv(input, offset, weight, None, mask, [1] * axes, [0] * axes, [1] * axes)


def aggregate(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
    return {3: deform_aggregate1d, 4: deform_aggregate2d}[input.ndim](input, offset, mask, 1)


def aggregate_defined(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
    axes = input.ndim - 2
    one = [1] * axes
    return aggregation.deform_aggregate(input, offset, mask, one, one, [0] * axes, one, 1, 1.0, False)


readers = pytest.mark.parametrize("reader", [conv, conv_dense, conv_defined, aggregate, aggregate_defined])


@readers
@pytest.mark.parametrize(
    ("at", "value", "slope", "first", "last"),
    [
        (-1.5, 0, 0, 0, 0),
        (-1.0, 0, 10, 0, 0),
        (-0.75, 2.5, 10, 0.25, 0),
        (0.0, 10, 10, 1, 0),
        (1.0, 20, 20, 0, 0),
        (2.0, 40, -40, 0, 1),
        (2.25, 30, -40, 0, 0.75),
        (3.0, 0, 0, 0, 0),
        (1e9, 0, 0, 0, 0),
        (-1e9, 0, 0, 0, 0),
        (3e38, 0, 0, 0, 0),
        (-3e38, 0, 0, 0, 0),
        (math.inf, 0, 0, 0, 0),
        (-math.inf, 0, 0, 0, 0),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_borders_and_far_away(
    reader: Reader, dtype: torch.dtype, at: float, value: float, slope: float, first: float, last: float
) -> None:
    """The value, its derivative by the coordinate, and the shares of the first and of the last pixel.

    At exactly -1 the derivative is that of the first pixel, as in torchvision; nothing overflows.
    """
    series, mask = torch.tensor([[[10.0, 20.0, 40.0]]], dtype=dtype), torch.ones(1, 1, 3, dtype=dtype)
    offset = torch.tensor([[[at, 0, 0]]], dtype=dtype)
    own = checks.leaves(series, offset, mask)
    output = reader(*own)[0, 0, 0]
    assert output.item() == value
    grad_input, grad_offset, grad_mask = torch.autograd.grad(output, own)
    assert (grad_offset[0, 0, 0].item(), grad_mask[0, 0, 0].item()) == (slope, value)
    assert (grad_input[0, 0, 0].item(), grad_input[0, 0, 2].item()) == (first, last)


@readers
@pytest.mark.parametrize(
    ("y", "x", "value", "slopes"),
    [(-1.0, 0.5, 0, [1.5, 0]), (0.5, -1.0, 0, [0, 2]), (1.0, 1.0, 5, [-5, -5]), (2.0, 0.5, 0, [0, 0])],
)
def test_one_axis_out_of_reach_is_enough(reader: Reader, y: float, x: float, value: float, slopes: list[float]) -> None:
    picture, mask = torch.tensor([[[[1.0, 2.0], [3.0, 5.0]]]]), torch.ones(1, 1, 2, 2)
    offset = torch.zeros(1, 2, 2, 2)
    offset[0, :, 0, 0] = torch.tensor([y, x])
    own = checks.leaves(picture, offset, mask)
    output = reader(*own)[0, 0, 0, 0]
    assert output.item() == value
    assert torch.autograd.grad(output, own)[1][0, :, 0, 0].tolist() == slopes


@readers
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("channels", [1, 3, 40])
def test_a_coordinate_that_is_nan_shows_and_goes_nowhere(reader: Reader, axis: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    input, mask = deformed.draw(generator, 2, channels, 5, 6), deformed.draw(generator, 2, 1, 5, 6)
    offset = deformed.draw_offsets(generator, 2, 2, 5, 6)
    spoilt = offset.clone()
    spoilt[1, axis, 2, 3] = math.nan
    place = torch.zeros(2, 1, 5, 6, dtype=torch.bool)
    place[1, 0, 2, 3] = True
    output = reader(input, spoilt, mask)
    assert output.isnan().equal(place.expand_as(output))
    assert torch.equal(output[~output.isnan()], reader(input, offset, mask)[~output.isnan()])
    grad_input, grad_offset, grad_mask = checks.gradients_of(reader, input, spoilt, mask)
    closed = checks.gradients_of(reader, input, offset, mask.masked_fill(place, 0))
    checks.assert_close(grad_input, closed[0])
    assert not grad_offset[1, :, 2, 3].any()
    checks.assert_close(grad_offset, closed[1])
    assert grad_mask.isnan().equal(place)


@readers
@pytest.mark.parametrize("corner", [(0, 0), (0, 3), (3, 0), (3, 3)])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_lies_outside_is_not_read(reader: Reader, corner: tuple[int, int], value: float) -> None:
    """A pixel that is not finite spoils no sample outside of the picture, nor the gradients there."""
    picture, mask = torch.ones(1, 2, 4, 4), torch.ones(1, 1, 4, 4)
    picture[(slice(None), slice(None), *corner)] = value
    offset = torch.full((1, 2, 4, 4), 9.5)
    offset[0, :, :2] = -9.5
    assert not reader(picture, offset, mask).any()
    for gradient in checks.gradients_of(reader, picture, offset, mask):
        assert not gradient.any()


@readers
def test_coordinates_keep_float32_beside_lower_values(reader: Reader) -> None:
    """In bfloat16 the places beyond 256 could not be told apart."""
    series = torch.arange(1000).remainder(7).view(1, 1, -1).bfloat16()
    offset, mask = torch.full((1, 1, 1000), 0.5), torch.ones(1, 1, 1000)
    expected = (series[..., :-1].float() + series[..., 1:].float()) / 2
    assert torch.equal(reader(series, offset, mask)[..., :-1].float(), expected)
