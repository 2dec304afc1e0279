"""Transposed unshared convolution by its definition: every input, times weights of its own, spread over a window."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops.local_conv.reference import laid_out, spread_bias


def local_conv_transpose(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    sizes: Sequence[int],
    groups: int,
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """output[n, o, j] = bias[j, o] + the sum of weight[i, c, o, k] * input[n, c, i] over all that reach j.

    These are the inputs i and taps k with i * stride + k * dilation - low = j, and the channels c of the group of o; j
    goes over `sizes` places. Computed in float32 at least.
    """
    wide = torch.promote_types(input.dtype, torch.float32)
    axes = len(stride)
    (channels, each), kernel = weight.shape[axes : axes + 2], weight.shape[axes + 2 :]
    inputs = input.shape[2:]
    spots = input.to(wide).reshape(input.shape[0], groups, channels // groups, *inputs)
    filters = weight.to(wide).reshape(*inputs, groups, channels // groups, each, *kernel)
    result: Tensor = spots.new_zeros(input.shape[0], groups * each, *sizes)
    for tap in product(*map(range, kernel)):
        taps: Any = (..., *tap)
        spread = torch.einsum("ngc...,...gco->ngo...", spots, filters[taps]).flatten(1, 2)
        for axis, (n, s) in enumerate(zip(inputs, stride, strict=True), start=2):
            spread = F.pad(spread.unsqueeze(axis + 1), [0, 0] * (input.ndim - 1 - axis) + [0, s - 1])
            spread = spread.flatten(axis, axis + 1).narrow(axis, 0, (n - 1) * s + 1)
        before = [k * d - a for k, d, a in zip(tap, dilation, low, strict=True)]
        result = result + laid_out(spread, before, sizes)
    if bias is not None:
        result = result + spread_bias(bias.to(wide), axes)
    return result.to(input.dtype)
