"""The ways to compute a convolution, and the choice among them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._door import in_transform, memory_format
from striate.ops._padding import pairs
from striate.ops.dispatch import Route

_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
# Taps from which products of spectra win, in one, two and three dimensions, and in depthwise channels-last forward; and
# filters a channel up to which the depthwise kernels do: `make bench OP=conv`.
FFT_FROM = (64, 200, 500)
_FFT_FROM_CHANNELS_LAST = 1500
_FILTERS_A_CHANNEL = 4


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
    """PyTorch's convolution. It pads both sides alike, so that what one side has more is added first."""
    both = [min(sides) for sides in zip(low, high, strict=True)]
    reaches = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=True)]
    in_padding = any(places > reach for places, reach in zip(both, reaches, strict=True))
    volumes = len(both) == 3 and torch.is_grad_enabled()
    if input.device.type == "cpu" and (in_padding or volumes):
        # With padding of its own, PyTorch 2.13 crashes where a window lies wholly in it, and leaves parts of the weight
        # gradient of some small volumes unwritten.
        both = [0] * len(both)
    if [*low, *high] != both * 2:
        more = [a - c for a, c in zip(low, both, strict=True)], [b - c for b, c in zip(high, both, strict=True)]
        input = F.pad(input, pairs(*more))
    result: Tensor = _CONVOLUTIONS[len(both) - 1](input, weight, bias, stride, both, dilation, groups)
    return result


def choose(input: Tensor, weight: Tensor, stride: Sequence[int], dilation: Sequence[int], groups: int) -> Route:
    """The fastest way, by what was measured; it depends on nothing that is dynamic under `torch.compile`."""
    taps = math.prod(weight.shape[2:])
    # One channel with a few filters is depthwise, too; with many it is a product of matrices, PyTorch's strength.
    depthwise = weight.shape[1] == 1 and weight.shape[0] <= _FILTERS_A_CHANNEL * groups
    on_cpu = input.device.type == "cpu"
    together = depthwise and memory_format(input) == torch.channels_last
    if on_cpu and taps >= (_FFT_FROM_CHANNELS_LAST if together else FFT_FROM[len(stride) - 1]) * math.prod(stride):
        return Route("fft", f"a kernel of {taps} taps costs less as a product of spectra")
    if depthwise and memory_format(input) != torch.contiguous_format and taps <= 9:
        return Route("torch", "PyTorch's depthwise convolution is at the limit for small kernels in channels-last")
    if depthwise and on_cpu and not in_transform():
        return Route("kernels", "PyTorch's depthwise convolution is slow on the CPU, its gradients above all")
    return Route("torch", "PyTorch's own convolution is at the limit")
