"""Deformable convolution: the door."""

import math
from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

from striate.geometry import windows
from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, cast, check_alike, check_filters, check_fits, check_input, memory_format
from striate.ops.deform_conv import reference
from striate.ops.deform_conv.checks import check_mask, check_offset, check_precision
from striate.ops.deform_conv.registered import deform_conv
from striate.ops.deform_conv.routes import choose
from striate.ops.dispatch import take

Size: TypeAlias = int | Sequence[int]


@announced
def deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """Convolve pictures with filters whose taps are moved, at every output, by offsets of their own.

    `output[n, o, p] = bias[o] + sum over c and k of weight[o, c, k] * mask[n, g, k, p] * input[n, c] at x`, for places
    p, taps k, the channels c of the group of o, and the offset group g of c. The coordinates are
    `x = p * stride - low + k * dilation + offset[n, g, k, p]`, and the input there is interpolated linearly along every
    axis between the places `floor(x)` and `floor(x) + 1`, with zeros outside.

    So a coordinate up to -1, or from the size on, reads 0, however far it is. At a whole number the derivative is the
    one from above: at exactly -1 the value is 0 and the derivative the first pixel's value, as torchvision has it, and
    at exactly the size both are 0. A coordinate that is NaN reads NaN, and moves neither the gradient of the input nor
    that of the offset. A factor of the mask that is NaN or infinite reads NaN, even outside. Coordinates and sums are
    float32 at least.

    Args:
        input: `(N, in, *sizes)` or `(in, *sizes)`, floating-point.
        offset: `(N, offset groups * taps * axes, *output sizes)`, in places; without N if the input has none. Channels
            lie in the order (offset group, tap, axis), taps in the order of rows, axes as those of the input: y before
            x. Of the input's dtype, or float32 beside a lower one. The offset groups divide `in`.
        weight: `(out, in / groups, *kernel)`, of the input's dtype and device.
        bias: `(out,)` or None.
        stride: places from one window to the next, at least 1; one number or one an axis.
        padding: places added around the input: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid", "same", "same_upper", "same_lower", "half", "full", "causal"; see `geometry.Window`.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.
        mask: `(N, offset groups * taps, *output sizes)`, a factor for each sample, or None; without N, and of another
            dtype, as `offset`.

    Returns:
        `(N, out, *output sizes)` in the input's dtype and memory format, or `(out, *output sizes)`.

    Raises:
        TypeError: if the input is not floating-point, dtypes do not go together, or an argument has the wrong type.
        ValueError: if ranks, channels, devices or sizes do not fit, the window is larger than the padded input, or a
            setting is out of its range.

    Source:
        Dai et al., "Deformable convolutional networks", 2017, https://arxiv.org/abs/1703.06211; with a mask: Zhu et
        al., "Deformable ConvNets v2", 2019, https://arxiv.org/abs/1811.11168.

    Example:
        >>> picture, filters = torch.arange(9.0).view(1, 1, 3, 3), torch.ones(1, 1, 1, 1)
        >>> half_a_row_down = torch.tensor([0.5, 0.0]).view(1, 2, 1, 1).expand(1, 2, 3, 3)
        >>> deform_conv2d(picture, half_a_row_down, filters)
        tensor([[[[1.5000, 2.5000, 3.5000],
                  [4.5000, 5.5000, 6.5000],
                  [3.0000, 3.5000, 4.0000]]]])
    """
    return _deform_conv("deform_conv2d", 2, input, offset, weight, bias, stride, padding, dilation, mask)


@announced
@documented_like(deform_conv2d)
def deform_conv1d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """Convolve series with filters whose taps are moved; `deform_conv2d` along one axis.

    Example:
        >>> series, later = torch.tensor([[0.0, 10.0, 20.0, 30.0]]), torch.full((1, 4), 0.25)
        >>> deform_conv1d(series, later, torch.ones(1, 1, 1))
        tensor([[ 2.5000, 12.5000, 22.5000, 22.5000]])
    """
    return _deform_conv("deform_conv1d", 1, input, offset, weight, bias, stride, padding, dilation, mask)


@announced
@documented_like(deform_conv2d)
def deform_conv3d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """Convolve volumes or clips with filters whose taps are moved; `deform_conv2d` along three axes.

    Example:
        >>> clip, offset = torch.ones(1, 2, 4, 8, 8), torch.zeros(1, 3 * 27, 4, 8, 8)
        >>> deform_conv3d(clip, offset, torch.ones(5, 2, 3, 3, 3), padding="same").shape
        torch.Size([1, 5, 4, 8, 8])
    """
    return _deform_conv("deform_conv3d", 3, input, offset, weight, bias, stride, padding, dilation, mask)


def _deform_conv(
    name: str,
    axes: int,
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Padding | Sequence[Padding],
    dilation: Size,
    mask: Tensor | None,
) -> Tensor:
    # Offsets keep their precision under autocast: bfloat16 cannot tell places apart beyond 256.
    input, weight, bias = cast(input, weight, bias)
    check_input(name, input, axes)
    check_alike(name, input=input, weight=weight, bias=bias)
    check_precision(name, input, offset=offset)
    if mask is not None:
        check_precision(name, input, mask=mask)
    single = input.ndim == axes + 1
    batch = input.unsqueeze(0) if single else input
    _check_channels(name, batch, weight, bias)
    along = windows(axes, tuple(weight.shape[2:]), stride, padding, dilation)
    low, high = check_fits(name, along, batch.shape[2:])
    outputs = [window.output_size(n) for window, n in zip(along, batch.shape[2:], strict=True)]
    taps = math.prod(weight.shape[2:])
    groups = check_offset(name, input, offset, taps, outputs)
    if mask is not None:
        check_mask(name, input, mask, taps, outputs, groups)
    if single:
        offset, mask = offset.unsqueeze(0), None if mask is None else mask.unsqueeze(0)
    strides, dilations = [window.stride for window in along], [window.dilation for window in along]
    route = take(name, choose(batch))
    if route.name == "kernels":
        result = deform_conv(batch, offset, weight, bias, mask, strides, low, high, dilations)
    else:
        result = reference.deform_conv(batch, offset, weight, bias, mask, strides, low, dilations)
        result = result.contiguous(memory_format=memory_format(batch))
    return result.squeeze(0) if single else result


def _check_channels(name: str, input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """See that the channels of input, weight and bias go together.

    Raises:
        ValueError: if they do not.
    """
    check_filters(name, input, weight, "out, in / groups")
    out, into = weight.shape[:2]
    channels = input.shape[1]
    if channels < into or channels % into or out % (channels // into):
        raise ValueError(
            f"{name}: input has {channels} channels, weight {tuple(weight.shape)} takes {into} a group and gives "
            f"{out}: there must be a whole number of groups, and it must divide {out}"
        )
    if bias is not None and bias.shape != (out,):
        raise ValueError(f"{name}: bias must be ({out},), one number a filter, got {tuple(bias.shape)}")
