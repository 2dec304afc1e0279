"""Deformable aggregation by its definition: samples at real coordinates, weighted by a mask and added up."""

from collections.abc import Sequence

from torch import Tensor

from striate.ops.deform_conv.reference import at_least_float32, coordinates, factors, sample


def deform_aggregate(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
) -> Tensor:
    """output[n, c, p] = sum over k of mask[n, k, p] * input[n, c] at x(n, k, p).

    The coordinates are x(n, k, p) = p * stride - low + m + offset_scale * (k * dilation - m + offset[n, k, p]) for the
    middle m = dilation * (kernel_size - 1) // 2. Computed in float32 at least.
    """
    wide = at_least_float32(input.dtype)
    points = coordinates(offset.to(wide), kernel_size, stride, low, dilation, offset_scale, remove_center)
    sampled = sample(input.to(wide), points)
    weights = factors(mask.to(wide)).reshape(input.shape[0], groups, 1, *sampled.shape[3:])
    return (sampled * weights).sum(3).flatten(1, 2).to(input.dtype)
