"""Averages of windows: the door."""

from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor
from torch.nn import functional as F

from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, check_input, in_transform, memory_format
from striate.ops._pooling.windows import places
from striate.ops.avg_pool import reference
from striate.ops.avg_pool.registered import avg_pool
from striate.ops.avg_pool.routes import choose
from striate.ops.dispatch import take

Size: TypeAlias = int | Sequence[int]


@announced
def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Size = 1,
) -> Tensor:
    """Take the average of what each window reads.

    `output[n, c, p] = sum over taps k of input[n, c, p * stride + k * dilation - low] / count(p)`, for places p along
    all axes; the padding reads as 0. `count(p)` is how many taps of the window lie in the padded input, with
    `count_include_pad=False` in the input itself: so a constant picture stays as it is up to its borders. Sums are
    float32 at least. A window that lies wholly in the padding gives 0.

    Args:
        input: `(N, C, *sizes)` or `(C, *sizes)`, floating-point.
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis; None for the kernel size.
        padding: places added around the input, as many as one likes: a number, a tuple of numbers or of pairs
            `(low, high)`, one an axis, or a word: "valid", "same", "same_upper", "same_lower", "half", "full",
            "causal"; see `geometry.Window`.
        ceil_mode: whether a last window may hang over the end, provided that it starts inside the input or the padding
            before it. What hangs over is never counted.
        count_include_pad: whether places of the padding are counted.
        divisor_override: what sums are divided by instead, not 0; None for the count.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.

    Returns:
        `(N, C, *output sizes)` or `(C, *output sizes)` in the input's dtype and memory format, under autocast, too.

    Raises:
        TypeError: if the input is not floating-point, or a setting has the wrong type.
        ValueError: if the rank does not fit, the window is larger than the padded input, or a setting is out of its
            range.

    Source:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of
        the IEEE 86(11), 1998, section II.B.

    Example:
        >>> avg_pool2d(torch.arange(16.0).view(1, 4, 4), 2)
        tensor([[[ 2.5000,  4.5000],
                 [10.5000, 12.5000]]])
    """
    settings = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation
    return _avg_pool("avg_pool2d", 2, input, *settings)


@announced
@documented_like(avg_pool2d)
def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Size = 1,
) -> Tensor:
    """Take the average of what each window of a series reads; `avg_pool2d` along one axis.

    Example:
        >>> avg_pool1d(torch.tensor([[1.0, 3.0, 5.0]]), 2, stride=1, padding="causal", count_include_pad=False)
        tensor([[1., 2., 4.]])
    """
    settings = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation
    return _avg_pool("avg_pool1d", 1, input, *settings)


@announced
@documented_like(avg_pool2d)
def avg_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Size = 1,
) -> Tensor:
    """Take the average of what each window of a volume or clip reads; `avg_pool2d` along three axes.

    Example:
        >>> avg_pool3d(torch.ones(1, 2, 4, 8, 8), (1, 2, 2)).shape
        torch.Size([1, 2, 4, 4, 4])
    """
    settings = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation
    return _avg_pool("avg_pool3d", 3, input, *settings)


def _avg_pool(
    name: str,
    axes: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding | Sequence[Padding],
    ceil_mode: bool,
    include_pad: bool,
    divisor: int | None,
    dilation: Size,
) -> Tensor:
    check_input(name, input, axes)
    check_divisor(name, include_pad, divisor)
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    at = places(name, axes, kernel_size, stride, padding, dilation, batch.shape[2:], ceil_mode)
    route = take(name, choose(batch, at))
    if route.name == "torch":
        result = F.avg_pool2d(
            batch, at.kernel, at.stride, at.low, any(over > 0 for over in at.over), include_pad, divisor
        )
    else:
        room = avg_pool if route.name == "kernels" else reference.avg_pool
        result = room(batch, at.kernel, at.stride, at.low, at.high, at.over, at.dilation, include_pad, divisor)
    if route.name == "reference" and not in_transform():
        result = result.contiguous(memory_format=memory_format(batch))
    return result if input.ndim == axes + 2 else result.squeeze(0)


def check_divisor(name: str, include_pad: bool, divisor: int | None) -> None:
    """See that it is clear what sums are divided by.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if the divisor is 0.
    """
    if not isinstance(include_pad, bool):
        raise TypeError(f"{name}: count_include_pad must be True or False, got {include_pad!r}")
    if divisor is not None and (isinstance(divisor, bool) or not isinstance(divisor, int)):
        raise TypeError(f"{name}: divisor_override must be an integer other than 0, or None, got {divisor!r}")
    if divisor == 0:
        raise ValueError(f"{name}: divisor_override must be an integer other than 0, or None, got 0")
