"""Blur pooling: the door."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, check_input, remembered
from striate.ops._padding import pad
from striate.ops._pooling.weighted import weighted_windows, wide_dtype
from striate.ops._pooling.windows import places

Size: TypeAlias = int | Sequence[int]
Surroundings: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]


@announced
def blur_pool2d(
    input: Tensor,
    kernel_size: Size = 3,
    stride: Size = 2,
    *,
    padding: Padding | Sequence[Padding] = "same",
    padding_mode: Surroundings = "reflect",
) -> Tensor:
    """Blur, then take every few places: a stride that does not alias, so that shifts of the input change little.

    `output[n, c, p] = sum over k of w[k] * input[n, c, p * stride + k - low]`, where along each axis the weights are
    binomial coefficients, `w[k] = (kernel - 1 over k) / 2 ** (kernel - 1)`: 1 2 1 for a kernel of 3, 1 3 3 1 for 4.
    With the default padding there are `ceil(n / stride)` outputs, and a constant picture stays as it is. Put it behind
    a layer whose stride has been set to 1: a convolution and its activation, or a maximum.

    Args:
        input: `(N, C, *sizes)` or `(C, *sizes)`, floating-point.
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis.
        padding: places added around the input: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid", "same", "same_upper", "same_lower", "half", "full", "causal"; see `geometry.Window`.
        padding_mode: what lies outside the input: "zeros", "reflect" (Zhang's, which needs more places than are
            padded), "replicate" or "circular".

    Returns:
        `(N, C, *output sizes)` or `(C, *output sizes)` in the input's dtype, under autocast, too, and in its memory
        format.

    Raises:
        TypeError: if the input is not floating-point.
        ValueError: if ranks or sizes do not fit, the window is larger than the padded input, or a setting is out of its
            range.

    Source:
        Zhang, "Making convolutional networks shift-invariant again", ICML 2019, https://arxiv.org/abs/1904.11486;
        sizes and padding as in its `antialiased_cnns.BlurPool`, whose kernel has 4 taps unless told otherwise.

    Example:
        >>> import torch
        >>> blur_pool2d(torch.eye(4).view(1, 4, 4))
        tensor([[[0.5000, 0.1250],
                 [0.1250, 0.3750]]])
    """
    return _blur_pool("blur_pool2d", 2, input, kernel_size, stride, padding, padding_mode)


@announced
@documented_like(blur_pool2d)
def blur_pool1d(
    input: Tensor,
    kernel_size: Size = 3,
    stride: Size = 2,
    *,
    padding: Padding | Sequence[Padding] = "same",
    padding_mode: Surroundings = "reflect",
) -> Tensor:
    """Blur a series, then take every few places; `blur_pool2d` along one axis.

    Example:
        >>> import torch
        >>> blur_pool1d(torch.tensor([[0.0, 0.0, 4.0, 0.0, 0.0]]), stride=1)
        tensor([[0., 1., 2., 1., 0.]])
    """
    return _blur_pool("blur_pool1d", 1, input, kernel_size, stride, padding, padding_mode)


@announced
@documented_like(blur_pool2d)
def blur_pool3d(
    input: Tensor,
    kernel_size: Size = 3,
    stride: Size = 2,
    *,
    padding: Padding | Sequence[Padding] = "same",
    padding_mode: Surroundings = "reflect",
) -> Tensor:
    """Blur a volume or clip, then take every few places; `blur_pool2d` along three axes.

    Example:
        >>> import torch
        >>> blur_pool3d(torch.zeros(2, 4, 7, 9, 9), kernel_size=(1, 4, 4), stride=(1, 2, 2)).shape
        torch.Size([2, 4, 7, 5, 5])
    """
    return _blur_pool("blur_pool3d", 3, input, kernel_size, stride, padding, padding_mode)


def _blur_pool(
    name: str,
    axes: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size,
    padding: Padding | Sequence[Padding],
    padding_mode: Surroundings,
) -> Tensor:
    check_input(name, input, axes)
    if padding_mode not in get_args(Surroundings):
        raise ValueError(
            f"{name}: padding_mode must be one of {', '.join(get_args(Surroundings))}, got {padding_mode!r}"
        )
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    at = places(name, axes, kernel_size, stride, padding, 1, batch.shape[2:], False)
    low, high = at.low, at.high
    if padding_mode != "zeros":
        # What is repeated there adds up its gradients.
        batch = pad(name, batch.to(wide_dtype(batch)), low, high, padding_mode, None)
        low = high = [0] * axes
    taps = [torch.tensor(_binomial(k), dtype=wide_dtype(batch), device=batch.device) for k in at.kernel]
    result = weighted_windows(name, batch, taps, at.stride, low, high).to(input.dtype)
    return result if input.ndim == axes + 2 else result.squeeze(0)


@remembered
def _binomial(kernel: int) -> list[float]:
    """The weights along an axis: a row of Pascal's triangle, scaled to sum to 1."""
    taps = [1.0]
    for _ in range(kernel - 1):
        taps = [(one + other) / 2 for one, other in zip([0.0, *taps], [*taps, 0.0], strict=True)]
    return taps
