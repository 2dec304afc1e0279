"""The ways to compute an average, and the choice among them."""

import torch
from torch import Tensor

from striate.ops._door import memory_format
from striate.ops._pooling.windows import Places
from striate.ops.dispatch import Route, with_kernels

_TORCH = Route("torch", "PyTorch's own average is at the limit in channels-last")
_ON_GPU = Route("torch", "PyTorch has kernels for these settings on GPUs")
_KERNELS_ON_GPU = Route("kernels", "PyTorch's average of pictures does not know the settings")
_KERNELS = Route("kernels", "PyTorch's average is slow where channels do not lie last, or does not know the settings")


def choose(input: Tensor, at: Places) -> Route:
    """PyTorch's average where it has one for the settings and is fast, the kernels elsewhere."""
    route = with_kernels(input, _KERNELS)
    if route is not _KERNELS:
        return route
    if input.is_cuda:
        return _ON_GPU if input.ndim == 4 and known_to_torch(at) else _KERNELS_ON_GPU
    return _TORCH if memory_format(input) == torch.channels_last and known_to_torch(at) else _KERNELS


def known_to_torch(at: Places) -> bool:
    """Whether both sides are padded alike, by at most half of the window, and no taps are left out."""
    return all(
        a == b - over and over >= 0 and 2 * a <= k and d == 1
        for a, b, over, k, d in zip(at.low, at.high, at.over, at.kernel, at.dilation, strict=True)
    )
