"""Unshared convolution by its definition: a sum over the taps of the window, each with weights for every output."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._padding import pairs


def local_conv(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """output[n, o, p] = bias[p, o] + sum over c and k of weight[p, o, c, k] * input[n, c, i].

    The places are i = p * stride + k * dilation - low, the channels c those of the group of o; outside the picture the
    input is zero. Computed in float32 at least.
    """
    wide = torch.promote_types(input.dtype, torch.float32)
    axes = len(stride)
    outputs, (out, into), kernel = weight.shape[:axes], weight.shape[axes : axes + 2], weight.shape[axes + 2 :]
    spans = [(n - 1) * s + d * (k - 1) + 1 for n, s, k, d in zip(outputs, stride, kernel, dilation, strict=True)]
    groups = input.shape[1] // into
    padded = laid_out(input.to(wide), low, spans).reshape(input.shape[0], groups, into, *spans)
    filters = weight.to(wide).reshape(*outputs, groups, out // groups, into, *kernel)
    result: Tensor = padded.new_zeros(input.shape[0], groups, out // groups, *outputs)
    for tap in product(*map(range, kernel)):
        along = zip(tap, dilation, outputs, stride, strict=True)
        read: Any = (..., *(slice(k * d, k * d + (n - 1) * s + 1, s) for k, d, n, s in along))
        taps: Any = (..., *tap)
        result = result + torch.einsum("ngc...,...goc->ngo...", padded[read], filters[taps])
    result = result.flatten(1, 2)
    if bias is not None:
        result = result + spread_bias(bias.to(wide), axes)
    return result.to(input.dtype)


def laid_out(maps: Tensor, low: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """As many places as `sizes` of `(N, C, *)`, from `low` before the first on; outside they are zero."""
    # Cropped first: `F.pad` refuses to crop more than there is, even where it pads the other side.
    inside: Any = (..., *(slice(max(-a, 0), max(size - a, 0)) for a, size in zip(low, sizes, strict=True)))
    kept = maps[inside]
    before = [min(max(a, 0), size) for a, size in zip(low, sizes, strict=True)]
    after = [size - a - n for size, a, n in zip(sizes, before, kept.shape[2:], strict=True)]
    return F.pad(kept, pairs(before, after))


def spread_bias(bias: Tensor, axes: int) -> Tensor:
    """A bias `(out,)` or `(*sizes, out)` with the channels in front, to be added to `(N, out, *sizes)`."""
    return bias.view(-1, *[1] * axes) if bias.ndim == 1 else bias.movedim(-1, 0)
