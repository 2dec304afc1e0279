"""Averages as nodes of ONNX, and the room for what the operator returns."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.onnx import ops as onnx

from striate.ops._pooling.taps import format_of, outputs_of
from striate.ops.avg_pool import reference


def blank(like: Tensor, sizes: Sequence[int], channels_last: bool) -> Tensor:
    """Maps that nobody has written."""
    result = like.new_empty(*like.shape[:2], *sizes)
    return result.contiguous(memory_format=format_of(like.ndim, channels_last))


def decomposed(
    input: Tensor,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    over: list[int],
    dilation: list[int],
    include_pad: bool,
    divisor: int,
    channels_last: bool,
) -> Tensor:
    """What the exporter writes for the operator: `AveragePool` over all taps, times their number over the divisor."""
    outputs = outputs_of(input.shape[2:], kernel, stride, low, high, dilation)
    if get_proxy_mode() is None:
        # Nothing is taken apart: PyTorch wants to know the sizes, where they are symbolic.
        return blank(input, outputs, channels_last)
    settings = kernel, stride, low, high, over, dilation, include_pad, divisor or None
    # ONNX Runtime wants padding below the kernel, and an attribute must be a number.
    known = all(
        isinstance(pad, int) and 0 <= pad < k for side in (low, high) for pad, k in zip(side, kernel, strict=True)
    )
    if not (known and torch.onnx.is_in_onnx_export()):
        result = reference.avg_pool(input, *settings)
        return result.contiguous(memory_format=format_of(input.ndim, channels_last))
    wide, taps = torch.promote_types(input.dtype, torch.float32), math.prod(kernel)
    shape, sides = (*input.shape[:2], *outputs), {"pads": [*low, *high], "count_include_pad": 1}
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": stride, "dilations": dilation, **sides}
    result = onnx.symbolic("AveragePool", (input.to(wide),), attributes, dtype=wide, shape=shape, version=19)
    if divisor:
        result = result * (taps / divisor)
    elif any((*low, *high)):
        sizes = input.shape[2:], outputs, kernel, stride, low, high, over, dilation
        result = result * (taps / reference.counts(*sizes, include_pad, input.device).to(wide))
    return result.to(input.dtype)
