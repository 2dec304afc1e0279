"""The ways to compute a transposed convolution, and the choice among them."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._padding import pairs
from striate.ops.dispatch import Route

_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
# With more, the product takes most of the time, and PyTorch's was measured to be as fast or faster.
_SUB_PIXEL_CHANNELS = 128


def by_torch(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """PyTorch's transposed convolution. It crops both sides alike and may keep a little more high; the rest is ours."""
    both, more, low_rest, high_rest = [], [], [], []
    # With a crop of its own in bfloat16, PyTorch 2.13 leaves parts of weight gradients unwritten, and volumes crash it.
    whole = len(low) > 1 and input.dtype == torch.bfloat16 and input.device.type == "cpu"
    for a, b, s, d in zip(low, high, stride, dilation, strict=True):
        most = max(s, d) - 1
        crop = 0 if whole else max(min(a, b + most), 0)
        extra = min(max(crop - b, 0), most)
        both.append(crop)
        more.append(extra)
        low_rest.append(crop - a)
        high_rest.append(crop - extra - b)
    # Places that no tap reaches hold the bias, too.
    bias_last = bias is not None and max(high_rest) > 0
    result: Tensor = _TRANSPOSED[len(both) - 1](
        input, weight, None if bias_last else bias, stride, both, more, groups, dilation
    )
    if any(low_rest) or any(high_rest):
        result = F.pad(result, pairs(low_rest, high_rest))
    if bias is not None and bias_last:
        result = result + bias.view(-1, *[1] * len(both))
    return result


def by_sub_pixel(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Where windows neither overlap nor leave gaps: one product gives every phase of the output, a copy interleaves."""
    sizes, kernel_size = input.shape[2:], weight.shape[2:]
    images, channels = input.shape[:2]
    phases = weight.flatten(1).t().expand(images, -1, channels)
    if bias is None:
        product = torch.bmm(phases, input.flatten(2))
    else:
        start = bias.view(-1, 1).expand(-1, kernel_size.numel()).reshape(-1, 1)
        product = torch.baddbmm(start, phases, input.flatten(2))
    axes = len(sizes)
    split = product.view(images, weight.shape[1], *kernel_size, *sizes)
    order = chain.from_iterable((2 + axes + axis, 2 + axis) for axis in range(axes))
    outputs = [n * k for n, k in zip(sizes, kernel_size, strict=True)]
    return split.permute(0, 1, *order).reshape(images, weight.shape[1], *outputs)


def choose(
    weight: Tensor,
    layout: torch.memory_format,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    groups: int,
) -> Route:
    """The fastest way, by what was measured; it depends on nothing that is dynamic under `torch.compile`."""
    cropped = any(low) or any(high)
    adjoining = list(weight.shape[2:]) == list(stride) == [2] * len(stride) and groups == 1 and not cropped
    narrow = weight.shape[0] <= _SUB_PIXEL_CHANNELS and weight.dtype in (torch.float32, torch.float64)
    if adjoining and narrow and weight.device.type == "cpu" and layout == torch.contiguous_format:
        return Route("sub-pixel", "windows of 2 at stride 2 do not overlap: one matrix product gives all phases")
    return Route("torch", "no decomposition was measured to be faster than PyTorch's own")
