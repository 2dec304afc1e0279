"""Correlation by its definition: a sum over the taps of the kernel."""

from collections.abc import Sequence
from itertools import product
from typing import Any

from torch import Tensor
from torch.nn import functional as F


def correlate(
    planes: Tensor,
    kernel: Tensor,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """output[p] = sum over taps k of kernel[k] * planes[p * stride + k * dilation - low]; zero lies outside.

    `planes` is `(..., *sizes)` of any dtype, integers too; the kernel has that dtype.
    """
    padded = F.pad(planes, [side for sides in zip(reversed(low), reversed(high), strict=True) for side in sides])
    sizes = padded.shape[padded.ndim - kernel.ndim :]
    outputs = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(sizes, kernel.shape, stride, dilation, strict=True)]
    result = padded.new_zeros(*planes.shape[: planes.ndim - kernel.ndim], *outputs)
    for tap in product(*map(range, kernel.shape)):
        places: list[Any] = [
            slice(k * d, k * d + (n - 1) * s + 1, s) for k, d, n, s in zip(tap, dilation, outputs, stride, strict=True)
        ]
        result = result + kernel[tap] * padded[(..., *places)]
    return result
