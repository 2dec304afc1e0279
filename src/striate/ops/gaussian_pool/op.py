"""Gaussian pooling: the door."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, check_input, remembered
from striate.ops._pooling.weighted import weighted_windows, wide_dtype
from striate.ops._pooling.windows import places

Size: TypeAlias = int | Sequence[int]
Sigma: TypeAlias = float | Sequence[float] | Tensor


@announced
def gaussian_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    *,
    sigma: Sigma | None = None,
) -> Tensor:
    """Average each window with weights that fall with the distance from its centre, as a Gaussian does.

    `output[n, c, p] = sum over k of w[k] * input[n, c, p * stride + k - low]` with weights
    `w[k] ~ exp(-sum over axes a of (k_a - (kernel_a - 1) / 2) ** 2 / (2 * sigma_a ** 2))` that sum to 1. The centre of
    an even window lies between its middle taps. Padding counts as zeros, as in `avg_pool2d` with `count_include_pad`,
    so that averages fall towards a padded border. A large sigma gives `avg_pool2d`, a small one picks the centre.

    Args:
        input: `(N, C, *sizes)` or `(C, *sizes)`, floating-point.
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis, None for the kernel size.
        padding: places added around the input: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid", "same", "same_upper", "same_lower", "half", "full", "causal"; see `geometry.Window`.
        sigma: standard deviation in places, above 0: one number or one an axis; None for a quarter of the kernel size.
            Or a tensor that broadcasts to `(C, axes)`, which has a gradient: its numbers are not looked at, minus sigma
            is the same as sigma, and 0 gives NaN.

    Returns:
        `(N, C, *output sizes)` or `(C, *output sizes)` in the input's dtype, under autocast, too, and in its memory
        format.

    Raises:
        TypeError: if input or sigma are not floating-point.
        ValueError: if ranks, devices or sizes do not fit, the window is larger than the padded input, or a setting is
            out of its range.

    Source:
        Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Transactions on Communications 31(4),
        1983, for the weights; the average weighted by the distance from the centre is one of the poolings of lectures
        on convolutional networks.

    Example:
        >>> import torch
        >>> spot = torch.zeros(1, 3, 3).index_fill(1, torch.tensor(1), 1.0)
        >>> gaussian_pool2d(spot, 3, sigma=1.0)
        tensor([[[0.4519]]])
    """
    return _gaussian_pool("gaussian_pool2d", 2, input, kernel_size, stride, padding, sigma)


@announced
@documented_like(gaussian_pool2d)
def gaussian_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    *,
    sigma: Sigma | None = None,
) -> Tensor:
    """Average each window of a series with Gaussian weights; `gaussian_pool2d` along one axis.

    Example:
        >>> import torch
        >>> gaussian_pool1d(torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]]), 3, stride=1, sigma=1.0)
        tensor([[0.2741, 0.4519, 0.2741]])
    """
    return _gaussian_pool("gaussian_pool1d", 1, input, kernel_size, stride, padding, sigma)


@announced
@documented_like(gaussian_pool2d)
def gaussian_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    *,
    sigma: Sigma | None = None,
) -> Tensor:
    """Average each window of a volume or clip with Gaussian weights; `gaussian_pool2d` along three axes.

    Example:
        >>> import torch
        >>> gaussian_pool3d(torch.zeros(2, 4, 7, 9, 9), (1, 3, 3), padding=(0, 1, 1), sigma=(1.0, 0.8, 0.8)).shape
        torch.Size([2, 4, 7, 3, 3])
    """
    return _gaussian_pool("gaussian_pool3d", 3, input, kernel_size, stride, padding, sigma)


def _gaussian_pool(
    name: str,
    axes: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding | Sequence[Padding],
    sigma: Sigma | None,
) -> Tensor:
    check_input(name, input, axes)
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    at = places(name, axes, kernel_size, stride, padding, 1, batch.shape[2:], False)
    if isinstance(sigma, Tensor):
        taps = _learned(name, batch, at.kernel, sigma)
    else:
        spread = sigma if sigma is None or not isinstance(sigma, Sequence) else tuple(sigma)
        numbers = _taps(name, tuple(at.kernel), spread)
        taps = [torch.tensor(own, dtype=wide_dtype(batch), device=batch.device) for own in numbers]
    result = weighted_windows(name, batch, taps, at.stride, at.low, at.high)
    return result if input.ndim == axes + 2 else result.squeeze(0)


@remembered
def _taps(name: str, kernel: tuple[int, ...], sigma: float | tuple[float, ...] | None) -> list[list[float]]:
    """The weights along each axis, which sum to 1.

    Raises:
        TypeError: if sigma holds something else than numbers.
        ValueError: if it is not above 0, or holds too many or too few numbers.
    """
    if sigma is None:
        sigma = tuple(k / 4 for k in kernel)
    sigmas = sigma if isinstance(sigma, tuple) else (sigma,) * len(kernel)
    if len(sigmas) != len(kernel):
        raise ValueError(f"{name}: sigma must be one number or one an axis ({len(kernel)}), got {sigma!r}")
    taps = []
    for k, spread in zip(kernel, sigmas, strict=True):
        if isinstance(spread, bool) or not isinstance(spread, int | float):
            raise TypeError(f"{name}: sigma must be a number above 0 or a tensor, got {spread!r}")
        if not 0 < spread < math.inf:
            raise ValueError(f"{name}: sigma must be above 0 and finite, got {spread}")
        # A power of a symbol, as compiled code may hold sizes, is none of a number.
        squares = [(place - (k - 1) / 2) * (place - (k - 1) / 2) for place in range(k)]
        # Relative to the tap next to the centre, so that a small sigma does not give 0 / 0.
        weights = [math.exp((min(squares) - square) / 2 / spread / spread) for square in squares]
        taps.append([weight / sum(weights) for weight in weights])
    return taps


def _learned(name: str, input: Tensor, kernel: Sequence[int], sigma: Tensor) -> list[Tensor]:
    """The weights along each axis, `(kernel,)` or `(C, kernel)`, with sigma's gradient.

    Raises:
        TypeError: if sigma is not floating-point.
        ValueError: if it does not fit the input.
    """
    axes, channels = len(kernel), input.shape[1]
    if not sigma.is_floating_point():
        raise TypeError(f"{name}: sigma must hold floating-point numbers, got {sigma.dtype}")
    if sigma.device != input.device:
        raise ValueError(f"{name}: sigma must be on the device of input, {input.device}, got {sigma.device}")
    allowed = [(), (1,), (axes,), (1, 1), (1, axes), (channels, 1), (channels, axes)]
    if tuple(sigma.shape) not in allowed:
        raise ValueError(f"{name}: sigma must broadcast to ({channels}, {axes}), got {tuple(sigma.shape)}")
    spread = sigma.to(wide_dtype(input)).expand(*sigma.shape[:-1], axes)
    taps = []
    for axis, k in enumerate(kernel):
        centred = torch.arange(k, dtype=spread.dtype, device=spread.device) - (k - 1) / 2
        # Divided before it is squared: the square of a small sigma is 0.
        taps.append(torch.softmax(-(centred / spread[..., axis, None]).square() / 2, -1))
    return taps
