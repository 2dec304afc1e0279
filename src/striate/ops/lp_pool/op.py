"""Norms of windows: the door."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, check_input
from striate.ops._pooling.windows import Places, places
from striate.ops.dispatch import Route, take, with_kernels
from striate.ops.lp_pool import reference
from striate.ops.lp_pool.registered import lp_pool
from striate.ops.max_pool.op import max_pool1d, max_pool2d, max_pool3d

Size: TypeAlias = int | Sequence[int]

_MAXIMA = (max_pool1d, max_pool2d, max_pool3d)
_KERNELS = Route("kernels", "PyTorch writes out the powers, and the gradients of each step")
_LARGEST = Route("max_pool", "the norm to infinity is the largest absolute number")


@announced
def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
    *,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
) -> Tensor:
    """Take the norm of each window: a compromise between a sum (`norm_type` 1) and a maximum (infinity).

    `output[n, c, p] = (sum over k of |input[n, c, p * stride + k * dilation - low]| ** norm_type) ** (1 / norm_type)`,
    with zeros outside the input. Each window is measured in units of its largest number where its powers would leave
    the range of the numbers. The gradient at a number that is 0 is 0; to infinity, it goes to the first of the largest.

    `torch.nn.functional.lp_pool2d` differs: it has no absolute value (the odd powers of negative numbers count
    negative, and negative sums give 0), no padding, and with `ceil_mode` it scales up the windows that hang over.

    Args:
        input: `(N, C, *sizes)` or `(C, *sizes)`, floating-point.
        norm_type: the power, above 0; `math.inf` for the largest absolute number. Below 1 it is no norm, but legal.
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis, None for the kernel size.
        ceil_mode: whether a last window may hang over the end.
        padding: zeros added around the input: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid", "same", "same_upper", "same_lower", "half", "full", "causal"; see `geometry.Window`.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.

    Returns:
        `(N, C, *output sizes)` or `(C, *output sizes)` in the input's dtype, under autocast, too, and in its memory
        format.

    Raises:
        TypeError: if the input is not floating-point, or a setting has the wrong type.
        ValueError: if ranks or sizes do not fit, the window is larger than the padded input, or a setting is out of its
            range.

    Source:
        Sermanet, Chintala and LeCun, "Convolutional neural networks applied to house numbers digit classification",
        ICPR 2012, section 2.2, https://arxiv.org/abs/1204.3968.

    Example:
        >>> import torch
        >>> lp_pool2d(torch.tensor([[[3.0, 0.0, 1.0], [-4.0, 0.0, -1.0]]]), 2, (2, 1))
        tensor([[[5.0000, 0.0000, 1.4142]]])
    """
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode, padding, dilation)


@announced
@documented_like(lp_pool2d)
def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
    *,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
) -> Tensor:
    """Take the norm of each window of a series; `lp_pool2d` along one axis.

    Example:
        >>> import torch
        >>> lp_pool1d(torch.tensor([[3.0, -4.0, 0.0, -2.0, 7.0]]), 1, 2, ceil_mode=True)
        tensor([[7., 2., 7.]])
    """
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode, padding, dilation)


@announced
@documented_like(lp_pool2d)
def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
    *,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
) -> Tensor:
    """Take the norm of each window of a volume or clip; `lp_pool2d` along three axes.

    Example:
        >>> import torch
        >>> lp_pool3d(torch.ones(1, 4, 8, 8), 2, (1, 2, 2), padding=("causal", 0, 0)).shape
        torch.Size([1, 4, 4, 4])
    """
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode, padding, dilation)


def _lp_pool(
    name: str,
    axes: int,
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None,
    ceil_mode: bool,
    padding: Padding | Sequence[Padding],
    dilation: Size,
) -> Tensor:
    check_input(name, input, axes)
    if isinstance(norm_type, bool) or not isinstance(norm_type, int | float):
        raise TypeError(f"{name}: norm_type must be a number above 0, got {norm_type!r}")
    if not norm_type > 0:
        raise ValueError(f"{name}: norm_type must be above 0, got {norm_type}")
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    at = places(name, axes, kernel_size, stride, padding, dilation, batch.shape[2:], ceil_mode)
    if norm_type == math.inf:
        take(name, _LARGEST)
        largest: Tensor = _MAXIMA[axes - 1](batch.abs(), kernel_size, stride, padding, dilation, ceil_mode)
        # The maximum of a window that lies wholly in the padding is minus infinity.
        result = largest.clamp_min(0)
    else:
        result = _to_power(name, batch, float(norm_type), at)
    return result if input.ndim == axes + 2 else result.squeeze(0)


def _to_power(name: str, input: Tensor, power: float, at: Places) -> Tensor:
    # Powers in low precision, and the ratios of the gradient, would be too coarse.
    wide = input.to(torch.promote_types(input.dtype, torch.float32))
    settings = wide, power, at.kernel, at.stride, at.low, at.dilation, at.outputs
    result = (
        lp_pool(*settings) if take(name, with_kernels(input, _KERNELS)) is _KERNELS else reference.lp_pool(*settings)
    )
    return result.to(input.dtype)
