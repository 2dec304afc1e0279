"""Maxima as nodes of ONNX, and the room for what the operator returns."""

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
from striate.ops._pooling.taps import outputs_of
from striate.ops.max_pool import reference

# From so many taps on, their numbers do not fit a byte, whose largest number stands for no tap.
_LARGE = 255


def number_type(kernel: Sequence[int]) -> torch.dtype:
    """How the numbers of taps are kept: as bytes, 255 for no tap, or int32, -1 for no tap."""
    return torch.uint8 if math.prod(kernel) < _LARGE else torch.int32


def blank(
    input: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
    winners: bool,
) -> tuple[Tensor, Tensor]:
    """Maxima that nobody has written, in the input's memory format, and the numbers of taps, none if not wanted."""
    outputs = outputs_of(input.shape[2:], kernel, stride, low, high, dilation)
    result = input.new_empty(*input.shape[:2], *outputs).contiguous(memory_format=memory_format(input))
    taps = torch.empty_like(result) if winners else input.new_empty(0)
    return result, taps.to(number_type(kernel))


def decomposed(
    input: Tensor,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    winners: bool,
) -> tuple[Tensor, Tensor]:
    """What the exporter writes for the operator: `MaxPool`, or the definition where a window may see nothing."""
    settings = kernel, stride, low, high, dilation
    result, taps = blank(input, *settings, winners)
    if get_proxy_mode() is None:
        # Nothing is taken apart: PyTorch wants to know the sizes, where they are symbolic.
        return result, taps
    if winners:
        found = reference.winners(input, *settings)
        taps = torch.where(found < 0, _LARGE if taps.dtype == torch.uint8 else -1, found).to(taps.dtype)
    sees = all(
        max(a, b) <= d * (k - 1) and (d == 1 or d <= n)
        for n, k, a, b, d in zip(input.shape[2:], kernel, low, high, dilation, strict=True)
    )
    if not (sees and torch.onnx.is_in_onnx_export()):
        maxima, _ = reference.max_pool(input, *settings)
        return maxima.contiguous(memory_format=memory_format(input)), taps
    if not all(
        isinstance(pad, int) and 0 <= pad < k for side in (low, high) for pad, k in zip(side, kernel, strict=True)
    ):
        # An attribute must be a number, and ONNX Runtime wants it below that of the taps.
        input = F.pad(input, pairs(low, high), value=-math.inf)
        low = high = [0] * len(low)
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": stride,
        "pads": [*low, *high],
        "dilations": dilation,
    }
    maxima = onnx.symbolic("MaxPool", (input,), attributes, dtype=input.dtype, shape=result.shape, version=18)
    return maxima, taps
