"""Unshared convolution by PyTorch's operations, for exported networks: windows looked up, and one product a spot."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from striate.ops._door import memory_format
from striate.ops.local_conv.reference import laid_out, spread_bias


def blank(input: Tensor, channels: int, sizes: Sequence[int]) -> Tensor:
    """Maps that nobody has written, in the input's memory format."""
    result = input.new_empty(input.shape[0], channels, *sizes)
    return result.contiguous(memory_format=memory_format(input))


def gathered(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], low: list[int], dilation: list[int]
) -> Tensor:
    """Unshared convolution; sums are float32 at least."""
    axes = len(stride)
    outputs, (out, into), kernel = weight.shape[:axes], weight.shape[axes : axes + 2], weight.shape[axes + 2 :]
    if get_proxy_mode() is None:
        # Nothing is taken apart: PyTorch wants to know the sizes, where they are symbolic.
        return blank(input, out, outputs)
    wide, groups = torch.promote_types(input.dtype, torch.float32), input.shape[1] // into
    spans = _spans(outputs, kernel, stride, dilation)
    padded = laid_out(input.to(wide), low, spans).flatten(2)
    windows = padded[:, :, _places(outputs, kernel, stride, dilation, input)]
    columns = windows.reshape(-1, groups, into * windows.shape[2], windows.shape[3]).permute(3, 1, 2, 0)
    filters = weight.to(wide).reshape(columns.shape[0], groups, out // groups, -1)
    result = torch.matmul(filters, columns).permute(3, 1, 2, 0).reshape(-1, out, *outputs)
    return _finished(result, bias, input)


def scattered(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    sizes: list[int],
    groups: int,
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    """Transposed unshared convolution; sums are float32 at least."""
    axes = len(stride)
    inputs, (channels, each), kernel = weight.shape[:axes], weight.shape[axes : axes + 2], weight.shape[axes + 2 :]
    if get_proxy_mode() is None:
        return blank(input, each * groups, sizes)
    wide, spans = torch.promote_types(input.dtype, torch.float32), _spans(inputs, kernel, stride, dilation)
    spots = input.to(wide).reshape(-1, groups, channels // groups, math.prod(inputs)).permute(3, 1, 2, 0)
    filters = weight.to(wide).reshape(spots.shape[0], groups, channels // groups, -1).transpose(2, 3)
    places = _places(inputs, kernel, stride, dilation, input).flatten()
    values = torch.matmul(filters, spots).permute(3, 1, 2, 0).reshape(-1, each * groups, places.shape[0])
    plane = values.new_zeros(input.shape[0], each * groups, math.prod(spans))
    plane = plane.scatter_add(2, places.expand_as(values), values).reshape(-1, each * groups, *spans)
    return _finished(laid_out(plane, [-a for a in low], sizes), bias, input)


def _finished(result: Tensor, bias: Tensor | None, input: Tensor) -> Tensor:
    if bias is not None:
        result = result + spread_bias(bias.to(result.dtype), result.ndim - 2)
    return result.to(input.dtype).contiguous(memory_format=memory_format(input))


def _spans(spots: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """Places from the first that a window reads to the last, by axis."""
    return [(n - 1) * s + d * (k - 1) + 1 for n, k, s, d in zip(spots, kernel, stride, dilation, strict=True)]


def _places(
    spots: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], like: Tensor
) -> Tensor:
    """The flat index that a tap reads at a spot: `(taps, spots)`."""
    places = torch.zeros(1, 1, dtype=torch.int64, device=like.device)
    spans = _spans(spots, kernel, stride, dilation)
    for span, n, k, s, d in zip(spans, spots, kernel, stride, dilation, strict=True):
        taps, starts = (torch.arange(count, device=like.device) * step for count, step in ((k, d), (n, s)))
        along = taps[:, None] + starts
        places = (places[:, None, :, None] * span + along[:, None, :]).flatten(0, 1).flatten(1)
    return places
