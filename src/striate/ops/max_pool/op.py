"""Maxima of windows: the door."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, check_input, in_transform, memory_format
from striate.ops._pooling.windows import places
from striate.ops.dispatch import take
from striate.ops.max_pool import reference
from striate.ops.max_pool.registered import max_pool
from striate.ops.max_pool.routes import choose

Size: TypeAlias = int | Sequence[int]

_TORCH: tuple[Callable[..., Any], ...] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)


@announced
def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Take the largest number that each window reads.

    `output[n, c, p] = max over taps k of input[n, c, p * stride + k * dilation - low]`, for places p along all axes;
    what lies in the padding does not count. The gradient goes to the number that was taken, and is added up where
    windows overlap: of equal numbers to the first in the order of rows. NaN is larger than all numbers, and of several
    the last is taken. A window that lies wholly in the padding gives -infinity, the index -1, and no gradient.

    Args:
        input: `(N, C, *sizes)` or `(C, *sizes)`, floating-point.
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis; None for the kernel size.
        padding: places added around the input, as many as one likes: a number, a tuple of numbers or of pairs
            `(low, high)`, one an axis, or a word: "valid", "same", "same_upper", "same_lower", "half", "full",
            "causal"; see `geometry.Window`.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.
        ceil_mode: whether a last window may hang over the end, provided that it starts inside the input or the padding
            before it.
        return_indices: whether to return where the largest numbers are, as `max_unpool2d` takes it.

    Returns:
        `(N, C, *output sizes)` or `(C, *output sizes)` in the input's dtype and memory format, under autocast, too;
        with `return_indices` a pair of this and of as many indices, int64: places in a plane, row by row.

    Raises:
        TypeError: if the input is not floating-point, or a setting has the wrong type.
        ValueError: if the rank does not fit, the window is larger than the padded input, or a setting is out of its
            range.

    Source:
        Riesenhuber and Poggio, "Hierarchical models of object recognition in cortex", Nature Neuroscience 2, 1999,
        https://doi.org/10.1038/14819.

    Example:
        >>> max_pool2d(torch.arange(16.0).view(1, 4, 4), 2)
        tensor([[[ 5.,  7.],
                 [13., 15.]]])
    """
    settings = kernel_size, stride, padding, dilation, ceil_mode
    return _max_pool("max_pool2d", 2, input, *settings, return_indices)


@announced
@documented_like(max_pool2d)
def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Take the largest number that each window of a series reads; `max_pool2d` along one axis.

    Example:
        >>> max_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2, stride=1, padding="causal", return_indices=True)
        (tensor([[1., 3., 3., 2.]]), tensor([[0, 1, 1, 2]]))
    """
    settings = kernel_size, stride, padding, dilation, ceil_mode
    return _max_pool("max_pool1d", 1, input, *settings, return_indices)


@announced
@documented_like(max_pool2d)
def max_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Take the largest number that each window of a volume or clip reads; `max_pool2d` along three axes.

    Example:
        >>> max_pool3d(torch.ones(1, 2, 4, 8, 8), (1, 2, 2)).shape
        torch.Size([1, 2, 4, 4, 4])
    """
    settings = kernel_size, stride, padding, dilation, ceil_mode
    return _max_pool("max_pool3d", 3, input, *settings, return_indices)


def _max_pool(
    name: str,
    axes: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding | Sequence[Padding],
    dilation: Size,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    check_input(name, input, axes)
    if not isinstance(return_indices, bool):
        raise TypeError(f"{name}: return_indices must be True or False, got {return_indices!r}")
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    at = places(name, axes, kernel_size, stride, padding, dilation, batch.shape[2:], ceil_mode)
    winners = return_indices or (input.requires_grad and torch.is_grad_enabled())
    route = take(name, choose(batch, at, winners))
    indices = None
    if route.name == "torch":
        arguments = at.kernel, at.stride, at.low, at.dilation, any(over > 0 for over in at.over)
        result = _TORCH[axes - 1](batch, *arguments, return_indices=winners)
        result, indices = result if winners else (result, None)
    elif route.name == "kernels":
        result, taps = max_pool(batch, at.kernel, at.stride, at.low, at.high, at.dilation, winners)
        if return_indices:
            indices = reference.places_of(taps, batch.shape[2:], at.kernel, at.stride, at.low, at.dilation)
    else:
        result, indices = reference.max_pool(batch, at.kernel, at.stride, at.low, at.high, at.dilation)
    if route.name == "reference" and not in_transform():
        result = result.contiguous(memory_format=memory_format(batch))
    if input.ndim == axes + 1:
        result, indices = result.squeeze(0), None if indices is None else indices.squeeze(0)
    return (result, indices) if return_indices else result
