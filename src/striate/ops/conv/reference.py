"""Convolution by its definition: a sum over the taps of the window."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def conv(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """output[n, o, p] = bias[o] + sum over c and k of weight[o, c, k] * input[n, c, p * stride + k * dilation - low].

    Channels c are those of the group of o, k goes over the taps; input outside the picture is zero.
    """
    kernel_size = weight.shape[2:]
    pairs = [pad for sides in zip(reversed(low), reversed(high), strict=True) for pad in sides]
    padded = _grouped(F.pad(input, pairs), 1, groups)
    outputs = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(padded.shape[3:], kernel_size, stride, dilation, strict=True)
    ]
    grouped = _grouped(weight, 0, groups)
    result: Tensor = padded.new_zeros(input.shape[0], groups, grouped.shape[1], *outputs)
    for tap in product(*map(range, kernel_size)):
        along = zip(tap, dilation, outputs, stride, strict=True)
        read: Any = (..., *(slice(k * d, k * d + (n - 1) * s + 1, s) for k, d, n, s in along))
        taps: Any = (..., *tap)
        result = result + torch.einsum("ngc...,goc->ngo...", padded[read], grouped[taps])
    result = result.flatten(1, 2)
    if bias is not None:
        result = result + bias.view(-1, *[1] * len(kernel_size))
    return result


def _grouped(tensor: Tensor, axis: int, groups: int) -> Tensor:
    """The tensor with an axis of channels split into groups and channels of a group."""
    shape = tensor.shape
    return tensor.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])
