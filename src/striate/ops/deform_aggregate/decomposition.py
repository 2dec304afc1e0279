"""Deformable aggregation as nodes of ONNX: DeformConv in one and two dimensions, GridSample in three."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from striate.ops._door import memory_format
from striate.ops.deform_aggregate import reference
from striate.ops.deform_conv.decomposition import blank, sample_volumes
from striate.ops.deform_conv.decomposition import decomposed as deform_conv
from striate.ops.deform_conv.reference import at_least_float32, coordinates, middle, tap_steps


def decomposed(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
) -> Tensor:
    """What the exporter writes for the operator; coordinates and sums are float32 at least."""
    if get_proxy_mode() is None:
        # Nothing is taken apart: PyTorch wants to know the sizes, where they are symbolic.
        return blank(input, input.shape[1], offset.shape[2:])
    if not torch.onnx.is_in_onnx_export():
        settings = kernel_size, stride, low, dilation, groups, offset_scale, remove_center
        result = reference.deform_aggregate(input, offset, mask, *settings)
        return result.contiguous(memory_format=memory_format(input))
    wide = at_least_float32(input.dtype)
    input_, offset, mask = input.to(wide), offset.to(wide), mask.to(wide)
    if len(kernel_size) == 3:
        sampled = sample_volumes(
            input_, coordinates(offset, kernel_size, stride, low, dilation, offset_scale, remove_center)
        )
        weights = mask.reshape(mask.shape[0], groups, 1, *sampled.shape[3:])
        result = (sampled * weights).sum(3).flatten(1, 2)
    else:
        moved, factors = _of_convolution(offset, mask, kernel_size, dilation, groups, offset_scale, remove_center)
        weight = input_.new_ones(input.shape[1], 1, *kernel_size)
        result = deform_conv(input_, moved, weight, None, factors, stride, low, high, dilation)
    return result.to(input.dtype).contiguous(memory_format=memory_format(input))


def _of_convolution(
    offset: Tensor,
    mask: Tensor,
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
) -> tuple[Tensor, Tensor]:
    """The offsets and masks with which a depthwise deformable convolution with weights of 1 is the aggregation."""
    axes, taps, outputs = len(kernel_size), math.prod(kernel_size), offset.shape[2:]
    moved = offset.reshape(offset.shape[0], groups, taps - remove_center, axes, *outputs)
    factors = mask.reshape(mask.shape[0], groups, taps - remove_center, *outputs)
    if remove_center:
        moved, factors = (
            torch.cat([each[:, :, : taps // 2], torch.zeros_like(each[:, :, :1]), each[:, :, taps // 2 :]], 2)
            for each in (moved, factors)
        )
    if offset_scale != 1:
        steps = torch.stack(
            tap_steps(kernel_size, dilation, middle(kernel_size, dilation, offset_scale), moved, False), 1
        )
        steps = steps.view(taps, axes, *[1] * axes)
        moved = (steps + moved) * offset_scale - steps
    return moved.flatten(1, 3), factors.flatten(1, 2)
