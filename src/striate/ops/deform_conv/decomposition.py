"""Deformable convolution as nodes of ONNX: DeformConv in one and two dimensions, GridSample in three."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.nn import functional as F
from torch.onnx import ops as onnx

from striate.ops._door import memory_format
from striate.ops._padding import pairs
from striate.ops.deform_conv import reference
from striate.ops.deform_conv.reference import at_least_float32, coordinates


def blank(input: Tensor, channels: int, outputs: Sequence[int]) -> Tensor:
    """An output that nobody has written, in the input's memory format."""
    result = input.new_empty(input.shape[0], channels, *outputs)
    return result.contiguous(memory_format=memory_format(input))


def decomposed(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Tensor:
    """What the exporter writes for the operator; coordinates and sums are float32 at least.

    ONNX Runtime reads 0 at a coordinate that is NaN.
    """
    if get_proxy_mode() is None:
        # Nothing is taken apart: PyTorch wants to know the sizes, where they are symbolic.
        return blank(input, weight.shape[0], offset.shape[2:])
    if not torch.onnx.is_in_onnx_export():
        result = reference.deform_conv(input, offset, weight, bias, mask, stride, low, dilation)
        return result.contiguous(memory_format=memory_format(input))
    if not all(isinstance(places, int) for places in (*low, *high)):
        # An attribute must be a number: padding that depends on a size is added first.
        input = F.pad(input, pairs(low, high))
        low = high = [0] * len(low)
    wide = at_least_float32(input.dtype)
    bias, mask = (None if tensor is None else tensor.to(wide) for tensor in (bias, mask))
    tensors = input.to(wide), offset.to(wide), weight.to(wide), bias, mask
    result = _NODES[len(stride) - 1](*tensors, stride, low, high, dilation)
    return result.to(input.dtype).contiguous(memory_format=memory_format(input))


def _series(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """A series is a picture of one row."""
    along = offset.unsqueeze(2)
    moved = torch.stack([torch.zeros_like(along), along], 2).flatten(1, 2)
    result = pictures(
        input.unsqueeze(2),
        moved,
        weight.unsqueeze(2),
        bias,
        None if mask is None else mask.unsqueeze(2),
        [1, *stride],
        [0, *low],
        [0, *high],
        [1, *dilation],
    )
    return result.squeeze(2)


def pictures(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """One node `DeformConv`, whose layout of offsets and masks is ours."""
    kernel = [int(k) for k in weight.shape[2:]]
    attributes: dict[str, Any] = {
        "group": int(input.shape[1] // weight.shape[1]),
        "offset_group": int(offset.shape[1] // (2 * kernel[0] * kernel[1])),
        "kernel_shape": kernel,
        "strides": list(stride),
        "pads": [*low, *high],
        "dilations": list(dilation),
    }
    shape = input.shape[0], weight.shape[0], *offset.shape[2:]
    inputs = input, weight, offset, bias, mask
    return onnx.symbolic("DeformConv", inputs, attributes, dtype=input.dtype, shape=shape, version=19)


def _volumes(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Samples by `GridSample`, and a product of matrices."""
    kernel, into = weight.shape[2:], weight.shape[1]
    taps = math.prod(kernel)
    groups, outputs = input.shape[1] // into, offset.shape[2:]
    sampled = sample_volumes(input, coordinates(offset, kernel, stride, low, dilation))
    if mask is not None:
        sampled = sampled * mask.reshape(*sampled.shape[:2], 1, *sampled.shape[3:])
    columns = sampled.reshape(input.shape[0], groups, into * taps, -1)
    filters = weight.reshape(groups, weight.shape[0] // groups, into * taps)
    result = torch.matmul(filters, columns).reshape(input.shape[0], weight.shape[0], *outputs)
    return result if bias is None else result + bias.view(-1, 1, 1, 1)


def sample_volumes(input: Tensor, points: Tensor) -> Tensor:
    """The samples of `(N, C, D, H, W)` at `(N, groups, taps, 3, OD, OH, OW)`, as `reference.sample` returns them."""
    batch, groups, taps = points.shape[:3]
    outputs = points.shape[4:]
    # A pixel is 2 / n wide there, the first begins at -1, and the coordinates are named from the last axis.
    grid = torch.stack(
        [
            (2 * points.select(3, axis).clamp(-2, input.shape[2 + axis]) + 1) / input.shape[2 + axis] - 1
            for axis in (2, 1, 0)
        ],
        -1,
    )
    apart = input.reshape(batch * groups, input.shape[1] // groups, *input.shape[2:])
    grid = grid.reshape(batch * groups, taps * outputs[0], *outputs[1:], 3)
    sampled = onnx.symbolic(
        "GridSample",
        (apart, grid),
        {"mode": "linear", "padding_mode": "zeros", "align_corners": 0},
        dtype=input.dtype,
        shape=(*apart.shape[:2], *grid.shape[1:4]),
        version=20,
    )
    return sampled.reshape(batch, groups, apart.shape[1], taps, *outputs)


_NODES = (_series, pictures, _volumes)
