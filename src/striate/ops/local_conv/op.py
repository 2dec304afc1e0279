"""Unshared convolution: the door."""

from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

from striate.geometry import windows
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, cast, check_alike, check_fits, check_input, memory_format
from striate.ops._padding import PaddingMode, pad
from striate.ops._unshared.checks import check_bias, check_places, check_weight
from striate.ops._unshared.routes import choose
from striate.ops.dispatch import take
from striate.ops.local_conv import reference
from striate.ops.local_conv.registered import local_conv

Size: TypeAlias = int | Sequence[int]


@announced
def local_conv2d(
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
    """Convolve pictures with filters that every place has for itself: a locally connected, or unshared, layer.

    `output[n, o, p] = bias[o] + sum over c and k of weight[p, o, c, k] * input[n, c, p * stride + k * dilation - low]`,
    for places p and taps k along all axes and the channels c of the group of o. It is `striate.conv2d` in which
    `weight[y, x]` serves the output at (y, x) alone. Such a layer suits pictures that are all taken alike, as of faces.

    Args:
        input: `(N, in, *sizes)` or `(in, *sizes)`, floating-point.
        weight: `(*output sizes, out, in / groups, *kernel)`, of the input's dtype and device.
        bias: `(out,)`, the same everywhere, `(*output sizes, out)`, or None.
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
        TypeError: if the input is not floating-point, dtypes differ or a setting has the wrong type.
        ValueError: if ranks, channels, devices or sizes do not fit, the window is larger than the padded input, or a
            setting is out of its range.

    Source:
        LeCun, "Generalization and network design strategies", 1989; Taigman, Yang, Ranzato and Wolf, "DeepFace", CVPR
        2014.

    Example:
        >>> picture, filters = torch.ones(1, 3, 8, 8), torch.ones(4, 4, 2, 3, 3, 3)
        >>> local_conv2d(picture, filters, stride=2, padding=1).shape
        torch.Size([1, 2, 4, 4])
    """
    return _local_conv("local_conv2d", 2, input, weight, bias, stride, padding, dilation, groups, padding_mode, border)


@announced
@documented_like(local_conv2d)
def local_conv1d(
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
    """Convolve series with filters that every place has for itself; `local_conv2d` along one axis.

    Example:
        >>> series, filters = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[[[1.0, 1.0]]], [[[10.0, -1.0]]]])
        >>> local_conv1d(series, filters)
        tensor([[ 3., 17.]])
    """
    return _local_conv("local_conv1d", 1, input, weight, bias, stride, padding, dilation, groups, padding_mode, border)


@announced
@documented_like(local_conv2d)
def local_conv3d(
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
    """Convolve volumes or clips with filters that every place has for itself; `local_conv2d` along three axes.

    Example:
        >>> clip, filters = torch.ones(1, 2, 4, 6, 6), torch.ones(4, 6, 6, 3, 2, 2, 3, 3)
        >>> local_conv3d(clip, filters, padding=("causal", "same", "same")).shape
        torch.Size([1, 3, 4, 6, 6])
    """
    return _local_conv("local_conv3d", 3, input, weight, bias, stride, padding, dilation, groups, padding_mode, border)


def _local_conv(
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
    check_weight(name, weight, axes, "output sizes", "out, in / groups")
    _check_channels(name, batch, weight, axes, groups)
    along = windows(axes, tuple(weight.shape[axes + 2 :]), stride, padding, dilation)
    low, high = check_fits(name, along, batch.shape[2:])
    outputs = [window.output_size(n) for window, n in zip(along, batch.shape[2:], strict=True)]
    check_places(name, weight, "output sizes", outputs)
    check_bias(name, bias, weight.shape[axes], outputs)
    layout = memory_format(batch)
    if padding_mode != "zeros" or border is not None:
        batch = pad(name, batch, low, high, padding_mode, border).contiguous(memory_format=layout)
        low = [0] * axes
    strides, dilations = [window.stride for window in along], [window.dilation for window in along]
    route = take(name, choose(batch))
    if route.name == "kernels":
        result = local_conv(batch, weight, bias, strides, low, dilations)
    else:
        result = reference.local_conv(batch, weight, bias, strides, low, dilations)
        result = result.contiguous(memory_format=layout)
    return result if input.ndim == axes + 2 else result.squeeze(0)


def _check_channels(name: str, input: Tensor, weight: Tensor, axes: int, groups: int) -> None:
    """See that the channels of input and weight go together.

    Raises:
        TypeError: if `groups` is no integer.
        ValueError: if they do not.
    """
    out, into = weight.shape[axes : axes + 2]
    check_integer(f"{name}: groups", groups, 1)
    if out % groups or into * groups != input.shape[1]:
        raise ValueError(
            f"{name}: input has {input.shape[1]} channels, weight {tuple(weight.shape)} with groups={groups} takes "
            f"{into * groups} and gives {out}: groups must divide both"
        )
