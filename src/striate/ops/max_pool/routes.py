"""The ways to compute a maximum, and the choice among them."""

import math

import torch
from torch import Tensor

from striate.ops._door import memory_format
from striate.ops._pooling.windows import Places
from striate.ops.dispatch import Route, with_kernels

# Taps from which the kernels win in channels-last where nobody asks for winners: `make bench OP=max_pool`.
_MANY = 9

_TORCH = Route("torch", "PyTorch's own maximum is at the limit in channels-last")
_SERIES = Route("torch", "nothing needs a gradient, and PyTorch's own maximum of a series is at the limit")
_ON_GPU = Route("torch", "PyTorch has kernels for these settings on GPUs")
_KERNELS_ON_GPU = Route("kernels", "PyTorch's maximum does not know the settings, or may name other winners in volumes")
_KERNELS = Route(
    "kernels", "PyTorch's maximum is slow for these settings and this memory format, or does not know them"
)


def choose(input: Tensor, at: Places, winners: bool) -> Route:
    """PyTorch's maximum where it has one for the settings and is fast, the kernels elsewhere."""
    route = with_kernels(input, _KERNELS)
    if route is _KERNELS and input.is_cuda:
        return _ON_GPU if known_to_torch(input, at) and not (input.ndim == 5 and winners) else _KERNELS_ON_GPU
    if route is not _KERNELS or not known_to_torch(input, at):
        return route
    if memory_format(input) == torch.contiguous_format:
        return _SERIES if input.ndim == 3 and not winners else _KERNELS
    # Where all numbers of a window are -infinity, PyTorch names a wrong winner in volumes.
    return _TORCH if (input.ndim == 4 if winners else math.prod(at.kernel) < _MANY) else _KERNELS


def known_to_torch(input: Tensor, at: Places) -> bool:
    """Whether both sides are padded alike, by at most half of the window, and every window sees something."""
    return all(
        a == b - over and over >= 0 and 2 * a <= k and (d == 1 or d <= n)
        for a, b, over, k, d, n in zip(at.low, at.high, at.over, at.kernel, at.dilation, input.shape[2:], strict=True)
    )
