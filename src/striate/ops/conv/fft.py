"""Convolution by products of spectra: the cost does not grow with the kernel."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._padding import pairs


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
    """Convolution of any kind; PyTorch differentiates it, by FFT again."""
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


def depthwise_gradients(
    grad: Tensor, input: Tensor, weight: Tensor, low: Sequence[int], high: Sequence[int], dilation: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The gradients of input and weight at stride 1 and one filter a channel, of three spectra in all."""
    axes = tuple(range(-len(low), 0))
    sizes, dtype = input.shape[2:], torch.float64 if input.dtype == torch.float64 else torch.float32
    lengths = [fast_length(a + n + b) for a, n, b in zip(low, sizes, high, strict=True)]
    spread = _spread(weight.to(dtype), dilation)
    outputs = torch.fft.rfftn(grad.to(dtype).contiguous(), s=lengths, dim=axes)
    inputs = torch.fft.rfftn(F.pad(input.to(dtype).contiguous(), pairs(low, high)), s=lengths, dim=axes)
    # What a tap reads at a place: correlation for the weight, convolution for the input.
    taps = torch.fft.irfftn((inputs * outputs.conj()).sum(0), s=lengths, dim=axes)
    taps = taps[(..., *(slice(0, e, d) for e, d in zip(spread.shape[2:], dilation, strict=True)))]
    outputs *= torch.fft.rfftn(spread, s=lengths, dim=axes).squeeze(1)
    maps = torch.fft.irfftn(outputs, s=lengths, dim=axes)
    maps = maps[(..., *(slice(a, a + n) for a, n in zip(low, sizes, strict=True)))]
    return maps.to(input.dtype), taps.reshape(weight.shape).to(weight.dtype)


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
