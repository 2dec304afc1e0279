"""Sampling points: where the operators read, looked up by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import striate
from ops import checks, deformed
from striate.ops.deform_conv import deform_sampling_points


def test_zero_offsets_stand_on_the_grid() -> None:
    points = deform_sampling_points(torch.zeros(1, 4, 3), 2, stride=2, padding=1, dilation=3)
    assert points.coordinates.shape == (1, 2, 2, 3, 1)
    assert points.coordinates[0, 1, :, :, 0].tolist() == [[-1, 1, 3], [2, 4, 6]]
    assert points.corners[0, 0, 0, :, :, 0].tolist() == [[-1, 0], [1, 2], [3, 4]]
    assert points.weights[0, 0, 0].tolist() == [[1, 0]] * 3


def test_the_order_of_channels_axes_and_corners() -> None:
    offset = torch.zeros(1, 2 * 6, 1, 1)
    offset[0, 2 * 5 :] = torch.tensor([0.25, -0.5]).view(2, 1, 1)
    points = deform_sampling_points(offset, (2, 3))
    assert points.coordinates[0, 0, :, 0, 0].tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1.25, 1.5]]
    assert points.corners[0, 0, 5, 0, 0].tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert points.weights[0, 0, 5, 0, 0].tolist() == [0.375, 0.375, 0.125, 0.125]


def test_windows_grow_around_their_middle() -> None:
    offset = torch.full((1, 2, 1), 0.25)
    points = deform_sampling_points(offset, 3, dilation=2, offset_scale=0.5, remove_center=True)
    assert points.coordinates.flatten().tolist() == [2 + 0.5 * (-2 + 0.25), 2 + 0.5 * (2 + 0.25)]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_they_are_what_the_operators_read(axes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = [5, 6, 7][:axes]
    settings: dict[str, Any] = {"stride": 2, "padding": "same_upper", "dilation": 2}
    outputs = deformed.outputs(sizes, 3, **settings)
    input = deformed.draw(generator, 2, 2, *sizes)
    offset = deformed.draw_offsets(generator, 2, 2 * 3**axes * axes, *outputs)
    offset[0, 0] = math.nan
    offset[1, 0] = -1e9
    mask = deformed.draw(generator, 2, 2 * 3**axes, *outputs)
    points = deform_sampling_points(offset, 3, **settings, input_size=sizes)
    images, channels = torch.arange(2).view(-1, *[1] * (axes + 3)), torch.arange(2).view(-1, *[1] * (axes + 2))
    samples = (points.weights * input[(images, channels, *points.corners.unbind(-1))]).sum(-1)
    sums = (samples * mask.view(samples.shape)).sum(2)
    operator = getattr(striate, f"deform_aggregate{axes}d")
    output = operator(input, offset, mask, 3, groups=2, **settings)
    assert output.isnan().equal(sums.isnan())
    assert sums.isnan().any()
    checks.assert_close(output.nan_to_num(), sums.nan_to_num())


@pytest.mark.parametrize("input_size", [None, (4, 4)])
def test_shares_of_the_corners(input_size: tuple[int, int] | None) -> None:
    """They sum to 1, except that corners outside of a known picture have none."""
    generator = torch.Generator().manual_seed(0)
    offset = deformed.draw_offsets(generator, 1, 2, 4, 4, reach=3)
    points = deform_sampling_points(offset, 1, input_size=input_size)
    totals = points.weights.sum(-1)
    inside = ((points.coordinates >= 0) & (points.coordinates <= 3)).all(-1)
    assert inside.any() and not inside.all()
    assert totals[inside].allclose(torch.ones((), dtype=torch.float64))
    assert (totals[~inside] < 0.9).all() == (input_size is not None)
    if input_size is not None:
        assert points.corners.min() == 0 and points.corners.max() == 3


@pytest.mark.parametrize("far", [1e9, -1e9, 3e38, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("input_size", [None, (4,)])
def test_far_and_unknown_coordinates(far: float, input_size: tuple[int] | None) -> None:
    points = deform_sampling_points(torch.full((1, 1, 4), far), 1, input_size=input_size)
    assert points.coordinates.isnan().all() == points.weights.isnan().all() == math.isnan(far)
    if input_size is not None:
        assert points.corners.min() >= 0 and points.corners.max() <= 3
        assert math.isnan(far) or not points.weights.any()
    assert points.corners.abs().max() <= 2**24 + 1


def test_lower_offsets_are_placed_in_float32() -> None:
    points = deform_sampling_points(torch.full((1, 1, 1000), 0.5).bfloat16(), 1)
    assert points.coordinates.dtype == points.weights.dtype == torch.float32
    assert points.coordinates[0, 0, 0, 999].item() == 999.5


def test_they_can_be_differentiated() -> None:
    offset = deformed.draw_offsets(torch.Generator().manual_seed(0), 1, 8, 3, 3).requires_grad_()

    def numbers(offset: Tensor) -> tuple[Tensor, Tensor]:
        points = deform_sampling_points(offset, 2, input_size=(4, 4))
        return points.coordinates, points.weights

    assert torch.autograd.gradcheck(numbers, offset)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"offset": torch.zeros(1, 18)}, ValueError, r"^deform_sampling_points: offset must be .* got \(1, 18\)"),
        ({"offset": torch.zeros(1, 18, 1, 1, 1, 1)}, ValueError, "for one to three axes"),
        ({"offset": torch.zeros(1, 18, 7, 7).int()}, TypeError, "floating-point numbers, got torch.int32"),
        ({"offset": torch.zeros(1, 17, 7, 7)}, ValueError, r"must be \(N, 18 \* groups, .* got \(1, 17, 7, 7\)"),
        ({"offset": torch.zeros(1, 0, 7, 7)}, ValueError, r"must be \(N, 18 \* groups"),
        ({"remove_center": True}, ValueError, r"must be \(N, 16 \* groups, .* 2 for each of 8 taps"),
        ({"remove_center": True, "kernel_size": 2}, ValueError, "remove_center wants odd kernel sizes"),
        ({"remove_center": None}, TypeError, "remove_center must be True or False, got None"),
        ({"offset": None}, TypeError, "offset must be a tensor, got NoneType"),
        ({"offset_scale": math.nan}, ValueError, "offset_scale must be a finite number, got nan"),
        ({"kernel_size": (3, 3, 3)}, ValueError, r"kernel_size must be one number or one an axis \(2\)"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        ({"padding": "same_upper", "stride": 2}, ValueError, "depends on the input size: give it as input_size"),
        ({"input_size": (9,)}, ValueError, r"input_size must have one entry an axis \(2\), got \(9,\)"),
        ({"input_size": (9, 0)}, ValueError, "input_size must be an integer of at least 1, got 0"),
        ({"input_size": (9, 9.0)}, TypeError, "input_size must be an integer of at least 1, got 9.0"),
        ({"input_size": (9, 2)}, ValueError, "axis 1: the window is larger than the padded input"),
        ({"input_size": (9, 10)}, ValueError, r"output sizes \(7, 8\) for input_size \(9, 10\), got \(1, 18, 7, 7\)"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        deform_sampling_points(**{"offset": torch.zeros(1, 18, 7, 7), "kernel_size": 3, **change})
