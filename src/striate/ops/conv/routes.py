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
# Taps up to which a window of a picture is one that PyTorch's kernels for GPUs are made for.
_SMALL_ON_GPU = 49

_SMALL = Route("torch", "PyTorch's depthwise convolution is at the limit for small kernels in channels-last")
_DEPTHWISE = Route("kernels", "PyTorch's depthwise convolution is slow on the CPU, its gradients above all")
_ON_GPU = Route("kernels", "PyTorch's depthwise kernels for GPUs are made for pictures and small windows")
_FORWARD = Route("torch", "nothing needs a gradient, and PyTorch's depthwise forward is at the limit")
_TORCH = Route("torch", "PyTorch's own convolution is at the limit")


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
    bfloat16 = len(both) > 1 and input.dtype == torch.bfloat16
    if input.device.type == "cpu" and (in_padding or volumes or bfloat16):
        # With padding of its own, PyTorch 2.13 crashes where a window lies wholly in it, and leaves parts of the weight
        # gradient of some small volumes unwritten; in bfloat16, of pictures and of outputs, too, and volumes crash it.
        both = [0] * len(both)
        if bfloat16 and weight.shape[1] == 1 and weight.shape[0] > groups:
            # With several filters a channel, outputs one place wide come out wrong in channels-last.
            input = input.contiguous()
    if [*low, *high] != both * 2:
        more = [a - c for a, c in zip(low, both, strict=True)], [b - c for b, c in zip(high, both, strict=True)]
        input = F.pad(input, pairs(*more))
    result: Tensor = _CONVOLUTIONS[len(both) - 1](input, weight, bias, stride, both, dilation, groups)
    return result


def torch_is_faster(input: Tensor, weight: Tensor) -> bool:
    """Whether PyTorch's depthwise forward is faster: two axes, float32, many channels; in NCHW no large kernel."""
    if input.ndim != 4 or input.dtype != torch.float32 or input.shape[1] < 16:
        return False
    return memory_format(input) == torch.channels_last or weight[0].numel() <= 150


def choose(input: Tensor, weight: Tensor, stride: Sequence[int], dilation: Sequence[int], groups: int) -> Route:
    """The fastest way, by what was measured; it depends on nothing that is dynamic under `torch.compile`."""
    taps = math.prod(weight.shape[2:])
    # One channel with a few filters is depthwise, too; with many it is a product of matrices, PyTorch's strength.
    depthwise = weight.shape[1] == 1 and weight.shape[0] <= _FILTERS_A_CHANNEL * groups
    on_cpu = input.device.type == "cpu"
    last = memory_format(input) != torch.contiguous_format
    spectra = _FFT_FROM_CHANNELS_LAST if depthwise and last and len(stride) == 2 else FFT_FROM[len(stride) - 1]
    if on_cpu and taps >= spectra * math.prod(stride):
        return Route("fft", f"a kernel of {taps} taps costs less as a product of spectra")
    if depthwise and last and taps <= 9 and input.dtype == torch.float32:
        return _SMALL
    if depthwise and input.is_cuda and not in_transform() and (len(stride) == 3 or taps > _SMALL_ON_GPU):
        return _ON_GPU
    if depthwise and on_cpu and not in_transform():
        learns = torch.is_grad_enabled() and (input.requires_grad or weight.requires_grad)
        return _DEPTHWISE if learns or not torch_is_faster(input, weight) else _FORWARD
    return _TORCH
