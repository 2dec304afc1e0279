"""Convolution by a connection table by its definition: a sum over the links and the taps of the window."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def table_conv(
    input: Tensor,
    weight: Tensor,
    table: Tensor,
    out_channels: int,
    bias: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """output[n, o, p] = bias[o] + sum over l with to[l] = o and k of weight[l, k] * input[n, from[l], p * stride + d].

    Links l and taps k, whose places are d = k * dilation - low; input outside the picture is zero.
    """
    kernel_size = weight.shape[1:]
    pairs = [pad for sides in zip(reversed(low), reversed(high), strict=True) for pad in sides]
    padded = F.pad(input, pairs)
    outputs = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(padded.shape[2:], kernel_size, stride, dilation, strict=True)
    ]
    maps = [padded.new_zeros(input.shape[0], *outputs) for _ in range(out_channels)]
    for link, (source, to) in enumerate(table.tolist()):
        for tap in product(*map(range, kernel_size)):
            along = zip(tap, dilation, outputs, stride, strict=True)
            read: Any = (slice(None), source, *(slice(k * d, k * d + (n - 1) * s + 1, s) for k, d, n, s in along))
            taps: Any = (link, *tap)
            maps[to] = maps[to] + weight[taps] * padded[read]
    result = torch.stack(maps, 1)
    if bias is not None:
        result = result + bias.view(-1, *[1] * len(kernel_size))
    return result
