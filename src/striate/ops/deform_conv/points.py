"""Where a deformable operator samples, as data."""

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from striate.geometry import Window, windows
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.ops._door import announced, check_fits, check_tensor
from striate.ops.deform_conv import reference
from striate.ops.deform_conv.checks import check_center, check_scale

_NAME = "deform_sampling_points"
# Up to here float32 tells every place from the next.
_FAR = 2**24


class SamplingPoints(NamedTuple):
    """Where each tap samples at each output, and how much it reads of the places around.

    A sample is `sum over i of weights[..., i] * input[corners[..., i, :]]`.

    Args:
        coordinates: `(N, groups, taps, *output sizes, axes)`, in places of the input, axes as those of the input.
        corners: `(N, groups, taps, *output sizes, 2**axes, axes)`, int64: the places around each coordinate.
        weights: `(N, groups, taps, *output sizes, 2**axes)`: the share of each corner.

    Example:
        >>> points = deform_sampling_points(torch.tensor([[[0.25]]]), 1)
        >>> picture = torch.tensor([10.0, 20.0])
        >>> (points.weights * picture[points.corners.squeeze(-1)]).sum(-1)
        tensor([[[[12.5000]]]])
    """

    coordinates: Tensor
    corners: Tensor
    weights: Tensor


@announced
def deform_sampling_points(
    offset: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: int | Sequence[int] = 1,
    *,
    input_size: Sequence[int] | None = None,
    offset_scale: float = 1.0,
    remove_center: bool = False,
) -> SamplingPoints:
    """Say where the taps of a deformable operator sample, and with which weights: for pictures and for inspection.

    The coordinates are `p * stride - low + m + offset_scale * (k * dilation - m + offset[n, g, k, p])` for places p,
    taps k and the middle `m = dilation * (kernel_size - 1) // 2`, as `striate.deform_conv2d` (whose `offset_scale` is
    1) and `striate.deform_aggregate2d` take them. All that is returned can be differentiated by the offset.

    Args:
        offset: `(N, groups * taps * axes, *output sizes)` for one to three axes, in places.
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis.
        padding: places added around the input, in any form that the operators take.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.
        input_size: the sizes of the input, one an axis. With them the corners outside it get the weight 0 and the
            nearest place inside, so that they may be looked up. Some forms of padding depend on them.
        offset_scale: the factor by which windows and offsets grow, finite.
        remove_center: leave out the tap in the middle; for odd kernel sizes.

    Returns:
        Coordinates, corners and weights; see `SamplingPoints`. They are float32, or float64 for offsets of float64.
        Where a coordinate is NaN, so are the weights.

    Raises:
        TypeError: if the offset is not floating-point, or a setting has the wrong type.
        ValueError: if sizes do not fit, or a setting is out of its range.

    Source:
        Dai et al., "Deformable convolutional networks", 2017, https://arxiv.org/abs/1703.06211, figures 5 and 6.

    Example:
        >>> offset = torch.zeros(1, 2 * 9, 1, 1)
        >>> points = deform_sampling_points(offset, 3, input_size=(3, 3))
        >>> points.coordinates.shape, points.coordinates[0, 0, 5, 0, 0]
        (torch.Size([1, 1, 9, 1, 1, 2]), tensor([1., 2.]))
    """
    along = _along(offset, kernel_size, stride, padding, dilation)
    check_scale(_NAME, offset_scale)
    kernel = [window.kernel for window in along]
    taps = math.prod(kernel) - check_center(_NAME, kernel, remove_center)
    low = _low(along, offset, input_size)
    each = taps * len(along)
    if offset.shape[1] < 1 or offset.shape[1] % each:
        raise ValueError(
            f"{_NAME}: offset must be (N, {each} * groups, *output sizes), {len(along)} for each of {taps} taps, "
            f"got {tuple(offset.shape)}"
        )
    moved = offset.to(reference.at_least_float32(offset.dtype))
    strides, dilations = [window.stride for window in along], [window.dilation for window in along]
    points = reference.coordinates(moved, kernel, strides, low, dilations, float(offset_scale), remove_center)
    coordinates = points.movedim(3, -1)
    return SamplingPoints(coordinates, *_corners(coordinates, input_size))


def _along(
    offset: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int],
    padding: Padding | Sequence[Padding],
    dilation: int | Sequence[int],
) -> tuple[Window, ...]:
    """The windows, one an axis of the offset.

    Raises:
        TypeError: if the offset is no floating-point tensor, or a setting has the wrong type.
        ValueError: if the offset has too few axes or too many, or a setting is out of its range.
    """
    check_tensor(_NAME, "offset", offset)
    if not offset.is_floating_point():
        raise TypeError(f"{_NAME}: offset must hold floating-point numbers, got {offset.dtype}")
    axes = offset.ndim - 2
    if axes not in (1, 2, 3):
        raise ValueError(
            f"{_NAME}: offset must be (N, groups * taps * axes, *output sizes) for one to three axes, "
            f"got {tuple(offset.shape)}"
        )
    return windows(axes, kernel_size, stride, padding, dilation)


def _low(along: Sequence[Window], offset: Tensor, input_size: Sequence[int] | None) -> list[int]:
    """The padding before the input, by axis.

    Raises:
        ValueError: if it depends on an input size that is not given, or that size gives other outputs.
    """
    if input_size is None:
        try:
            return [window.pads()[0] for window in along]
        except ValueError as error:
            raise ValueError(f"{_NAME}: {error} as input_size") from error
    if len(input_size) != len(along):
        raise ValueError(f"{_NAME}: input_size must have one entry an axis ({len(along)}), got {tuple(input_size)}")
    for n in input_size:
        check_integer(f"{_NAME}: input_size", n, 1)
    low, _ = check_fits(_NAME, along, input_size)
    outputs = tuple(window.output_size(n) for window, n in zip(along, input_size, strict=True))
    if tuple(offset.shape[2:]) != outputs:
        raise ValueError(
            f"{_NAME}: offset must have the output sizes {outputs} for input_size {tuple(input_size)}, "
            f"got {tuple(offset.shape)}"
        )
    return low


def _corners(coordinates: Tensor, input_size: Sequence[int] | None) -> tuple[Tensor, Tensor]:
    """The places around coordinates, and their shares."""
    unknown = coordinates.isnan()
    # Nothing is read beyond one place outside; elsewhere only what int64 cannot hold is brought nearer.
    most = [_FAR] * coordinates.shape[-1] if input_size is None else list(input_size)
    least = -_FAR if input_size is None else -2
    near = torch.stack([x.clamp(least, n) for x, n in zip(coordinates.unbind(-1), most, strict=True)], -1)
    near = torch.where(unknown, 0, near)
    below = near.floor()
    up = torch.tensor(list(product((0, 1), repeat=coordinates.shape[-1])), device=coordinates.device)
    part = (near - below).unsqueeze(-2)
    weights = torch.where(up > 0, part, 1 - part).prod(-1)
    corners = below.long().unsqueeze(-2) + up
    if input_size is not None:
        last = torch.tensor(input_size, device=corners.device) - 1
        weights = torch.where(((corners >= 0) & (corners <= last)).all(-1), weights, 0)
        corners = corners.clamp(torch.zeros_like(last), last)
    return corners, torch.where(unknown.any(-1, keepdim=True), math.nan, weights)
