"""Convolution: the door."""

from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, cast, check_alike, check_filters, check_input, memory_format, place
from striate.ops._padding import PaddingMode, pad
from striate.ops.conv.depthwise import depthwise_conv
from striate.ops.conv.fft import by_fft
from striate.ops.conv.routes import by_torch, choose
from striate.ops.dispatch import take

Size: TypeAlias = int | Sequence[int]


@announced
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    border: Tensor | None = None,
) -> Tensor:
    """Convolve pictures with filters: each output is the dot product of a window of the input and a filter.

    `output[n, o, p] = bias[o] + sum over c and k of weight[o, c, k] * input[n, c, p * stride + k * dilation - low]`,
    for places p and taps k along all axes and the channels c of the group of o. As in PyTorch the filter is not
    flipped: `striate.convolve` flips it.

    Args:
        input: `(N, in, *sizes)` or `(in, *sizes)`, floating-point.
        weight: `(out, in / groups, *kernel)`, of the input's dtype and device.
        bias: `(out,)` or None.
        stride: places from one window to the next, at least 1; one number or one an axis.
        padding: places added around the input: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid", "same", "same_upper", "same_lower", "half", "full", "causal"; see `geometry.Window`.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.
        groups: sets of channels that do not see one another; `in` and `out` are multiples of it.
        padding_mode: what lies outside the input: "zeros", "reflect", "replicate", "circular", or "constant" for
            `border`.
        border: `(in,)`, the value of each channel outside the input, with "constant" only.

    Returns:
        `(N, out, *output sizes)` in the input's dtype and memory format, or `(out, *output sizes)`.

    Raises:
        TypeError: if the input is not floating-point or dtypes differ.
        ValueError: if ranks, channels, devices or sizes do not fit, the window is larger than the padded input, or a
            setting is out of its range.

    Source:
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, https://arxiv.org/abs/1603.07285.

    Example:
        >>> picture, filters = torch.ones(1, 3, 8, 8), torch.ones(2, 3, 3, 3)
        >>> conv2d(picture, filters, padding="same").shape
        torch.Size([1, 2, 8, 8])
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups, padding_mode, border)


@announced
@documented_like(conv2d)
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    border: Tensor | None = None,
) -> Tensor:
    """Convolve series with filters; `conv2d` along one axis.

    Example:
        >>> series = torch.tensor([[1.0, 2.0, -1.0, 1.0, -3.0]])
        >>> conv1d(series, torch.tensor([[[1.0, 0.0, -1.0]]]), padding=1)
        tensor([[-2.,  2.,  1.,  2.,  1.]])
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups, padding_mode, border)


@announced
@documented_like(conv2d)
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    border: Tensor | None = None,
) -> Tensor:
    """Convolve volumes or clips with filters; `conv2d` along three axes.

    Example:
        >>> conv3d(torch.ones(1, 2, 4, 8, 8), torch.ones(3, 2, 2, 3, 3), padding=("causal", "same", "same")).shape
        torch.Size([1, 3, 4, 8, 8])
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups, padding_mode, border)


def _conv(
    name: str,
    axes: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Padding | Sequence[Padding],
    dilation: Size,
    groups: int,
    padding_mode: PaddingMode,
    border: Tensor | None,
) -> Tensor:
    input, weight, bias, border = cast(input, weight, bias, border)
    check_input(name, input, axes)
    check_alike(name, input=input, weight=weight, bias=bias, border=border)
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    check_channels(name, batch, weight, bias, groups)
    along, *pads = place(name, axes, weight.shape[2:], stride, padding, dilation, batch.shape[2:])
    low, high = map(list, pads)
    if padding_mode != "zeros" or border is not None:
        # Under autocast PyTorch reflects and repeats in float32.
        batch = pad(name, batch, low, high, padding_mode, border).to(weight.dtype)
        low = high = [0] * axes
    strides, dilations = [window.stride for window in along], [window.dilation for window in along]
    route = take(name, choose(batch, weight, strides, dilations, groups))
    if route.name == "kernels":
        result = depthwise_conv(batch, weight, bias, strides, low, high, dilations)
    elif route.name == "fft":
        result = by_fft(batch, weight, bias, strides, low, high, dilations, groups)
    else:
        result = by_torch(batch, weight, bias, strides, low, high, dilations, groups)
    # PyTorch forgets the format where it has no kernel of its own, as in three dimensions with float64.
    result = result.contiguous(memory_format=memory_format(batch))
    return result if input.ndim == axes + 2 else result.squeeze(0)


def check_channels(name: str, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    """See that the channels of input, weight and bias go together.

    Raises:
        ValueError: if they do not.
    """
    check_filters(name, input, weight, "out, in / groups")
    out, into = weight.shape[:2]
    check_integer(f"{name}: groups", groups, 1)
    if out % groups or into * groups != input.shape[1]:
        raise ValueError(
            f"{name}: input has {input.shape[1]} channels, weight {tuple(weight.shape)} with groups={groups} takes "
            f"{into * groups} and gives {out}: groups must divide both"
        )
    if bias is not None and bias.shape != (out,):
        raise ValueError(f"{name}: bias must be ({out},), one number a filter, got {tuple(bias.shape)}")
