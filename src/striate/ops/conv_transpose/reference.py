"""Transposed convolution by its definition: insert zeros, correlate with the flipped kernel, crop."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops.conv import reference


def conv_transpose(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    *,
    circular: bool = False,
) -> Tensor:
    """output[n, o, p] = bias[o] + sum of weight[c, o, k] * input[n, c, i] where i * stride + k * dilation - low = p.

    Channels c are those of the group of o. A negative crop adds places. With `circular` the places p are those modulo
    the input size times the stride, and `high` is not read.
    """
    spread = input
    for axis, s in enumerate(stride, start=2):
        spread = F.pad(spread.unsqueeze(axis + 1), [0, 0] * (input.ndim - 1 - axis) + [0, s - 1])
        spread = spread.flatten(axis, axis + 1).narrow(axis, 0, (input.shape[axis] - 1) * s + 1)
    flipped = weight.flip(tuple(range(2, weight.ndim)))
    filters = flipped.view(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    around = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=True)]
    result = reference.conv(spread, filters, None, [1] * len(around), around, around, dilation, groups)
    for axis, (n, s, a, b) in enumerate(zip(input.shape[2:], stride, low, high, strict=True), start=2):
        if circular:
            places = (torch.arange(result.shape[axis], device=result.device) - a) % (n * s)
            sizes = [*result.shape[:axis], n * s, *result.shape[axis + 1 :]]
            result = result.new_zeros(sizes).index_add(axis, places, result)
        else:
            result = F.pad(result, [0, 0] * (input.ndim - 1 - axis) + [-a, -b])
    return result if bias is None else result + bias.view(-1, *[1] * len(around))
