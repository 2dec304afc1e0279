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
# Taps from which products of spectra win, in one, two and three dimensions, and filters a channel up to which the
# depthwise kernels do: `make bench OP=conv`.
_FFT_FROM = (64, 200, 500)
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


def by_fft(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Products of spectra: the cost does not grow with the kernel. PyTorch differentiates it, by FFT again."""
    axes = tuple(range(-len(low), 0))
    padded = [a + n + b for a, n, b in zip(low, input.shape[2:], high, strict=True)]
    lengths = [fast_length(n) for n in padded]
    wide = input if input.dtype == torch.float64 else input.float()
    spectrum = torch.fft.rfftn(F.pad(wide, pairs(low, high)), s=lengths, dim=axes).unflatten(1, (groups, -1))
    spread = _spread(weight.to(wide.dtype), dilation)
    filters = torch.fft.rfftn(spread, s=lengths, dim=axes).conj().unflatten(0, (groups, -1))
    if filters.shape[2] == 1:
        product = spectrum * filters.squeeze(2)
    else:
        product = torch.einsum("ngc...,goc...->ngo...", spectrum, filters)
    result = torch.fft.irfftn(product.flatten(1, 2), s=lengths, dim=axes)
    places = tuple(slice(0, n - e + 1, s) for n, e, s in zip(padded, spread.shape[2:], stride, strict=True))
    result = result[(..., *places)]
    if bias is not None:
        result = result + bias.to(result.dtype).view(-1, *[1] * len(axes))
    output: Tensor = result.to(input.dtype).contiguous()
    return output


def _spread(weight: Tensor, dilation: Sequence[int]) -> Tensor:
    """The kernel with the zeros between its taps."""
    for axis, step in enumerate(dilation, start=2):
        if step > 1:
            apart = weight.unsqueeze(axis + 1)
            apart = F.pad(apart, [0, 0] * (weight.ndim - 1 - axis) + [0, step - 1])
            weight = apart.flatten(axis, axis + 1).narrow(axis, 0, (weight.shape[axis] - 1) * step + 1)
    return weight


def fast_length(n: int) -> int:
    """The least length from n on whose only prime factors are 2, 3 and 5."""
    while True:
        rest = n
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
        n += 1


def choose(input: Tensor, weight: Tensor, stride: Sequence[int], dilation: Sequence[int], groups: int) -> Route:
    """The fastest way, by what was measured; it depends on nothing that is dynamic under `torch.compile`."""
    taps = math.prod(weight.shape[2:])
    # One channel with a few filters is depthwise, too; with many it is a product of matrices, PyTorch's strength.
    depthwise = weight.shape[1] == 1 and weight.shape[0] <= _FILTERS_A_CHANNEL * groups
    on_cpu = input.device.type == "cpu"
    if on_cpu and taps >= _FFT_FROM[len(stride) - 1] * math.prod(stride):
        return Route("fft", f"a kernel of {taps} taps costs less as a product of spectra")
    if depthwise and memory_format(input) != torch.contiguous_format and taps <= 9:
        return Route("torch", "PyTorch's depthwise convolution is at the limit for small kernels in channels-last")
    if depthwise and on_cpu and not in_transform():
        return Route("kernels", "PyTorch's depthwise convolution is slow on the CPU, its gradients above all")
    return Route("torch", "PyTorch's own convolution is at the limit")
