"""Transposed unshared convolution: the door."""

from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

from striate.geometry import windows
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, cast, check_alike, check_input, memory_format
from striate.ops._unshared.checks import check_bias, check_places, check_weight
from striate.ops._unshared.routes import choose
from striate.ops.conv_transpose.crops import crops, output_paddings, sizes_wished
from striate.ops.dispatch import take
from striate.ops.local_conv_transpose import reference
from striate.ops.local_conv_transpose.registered import local_conv_transpose

Size: TypeAlias = int | Sequence[int]


@announced
def local_conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Spread each input over a window of the output by weights of its own: the adjoint of `local_conv2d`.

    `output[n, o, p] = bias[o] + sum of weight[i, c, o, k] * input[n, c, i] where i * stride + k * dilation - low = p`,
    for inputs i and taps k along all axes and the channels c of the group of o. It is the gradient of `local_conv2d`
    with the very same weight, stride, padding in numbers and dilation, with respect to its input.

    An axis of n places becomes `(n - 1) * stride + dilation * (kernel - 1) + 1 - low - high + output_padding`.

    Args:
        input: `(N, in, *sizes)` or `(in, *sizes)`, floating-point.
        weight: `(*sizes, in, out / groups, *kernel)`, of the input's dtype and device.
        bias: `(out,)`, the same everywhere, `(*output sizes, out)`, or None.
        stride: places from one window of the output to the next, at least 1; one number or one an axis.
        padding: places cropped from the output: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid" crops nothing, "same" gives `n * stride` places and is the adjoint of a convolution's
            "same_upper" there, "causal" gives as many by cropping the high side only.
        output_padding: places kept beyond these at the high end, below the larger of stride and dilation; one number or
            one an axis.
        groups: sets of channels that do not see one another; `in` and `out` are multiples of it.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.
        output_size: the output sizes wished for, `(*sizes)` or with the axes of the input in front, which are not read;
            in place of `output_padding`.

    Returns:
        `(N, out, *output sizes)` in the input's dtype and memory format, or `(out, *output sizes)`.

    Raises:
        TypeError: if the input is not floating-point, dtypes differ or a setting has the wrong type.
        ValueError: if ranks, channels, devices or sizes do not fit, nothing is left of the output, the output size
            cannot be reached, or a setting is out of its range.

    Source:
        The adjoint of LeCun's locally connected layer, "Generalization and network design strategies", 1989; wished for
        in https://github.com/pytorch/pytorch/issues/15617.

    Example:
        >>> small, filters = torch.ones(1, 3, 4, 4), torch.ones(4, 4, 3, 2, 4, 4)
        >>> local_conv_transpose2d(small, filters, stride=2, padding="same").shape
        torch.Size([1, 2, 8, 8])
    """
    settings = (stride, padding, output_padding, groups, dilation, output_size)
    return _local_conv_transpose("local_conv_transpose2d", 2, input, weight, bias, *settings)


@announced
@documented_like(local_conv_transpose2d)
def local_conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Spread each number of a series by weights of its own; `local_conv_transpose2d` along one axis.

    Example:
        >>> series, filters = torch.tensor([[1.0, 2.0]]), torch.tensor([[[[1.0, 10.0]]], [[[5.0, 7.0]]]])
        >>> local_conv_transpose1d(series, filters)
        tensor([[ 1., 20., 14.]])
    """
    settings = (stride, padding, output_padding, groups, dilation, output_size)
    return _local_conv_transpose("local_conv_transpose1d", 1, input, weight, bias, *settings)


@announced
@documented_like(local_conv_transpose2d)
def local_conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Spread each place of a volume or clip by weights of its own; `local_conv_transpose2d` along three axes.

    Example:
        >>> clip, filters = torch.ones(1, 2, 2, 3, 3), torch.ones(2, 3, 3, 2, 1, 2, 2, 2)
        >>> local_conv_transpose3d(clip, filters, stride=2).shape
        torch.Size([1, 1, 4, 6, 6])
    """
    settings = (stride, padding, output_padding, groups, dilation, output_size)
    return _local_conv_transpose("local_conv_transpose3d", 3, input, weight, bias, *settings)


def _local_conv_transpose(
    name: str,
    axes: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Padding | Sequence[Padding],
    output_padding: Size,
    groups: int,
    dilation: Size,
    output_size: Sequence[int] | None,
) -> Tensor:
    input, weight, bias = cast(input, weight, bias)
    check_input(name, input, axes)
    check_alike(name, input=input, weight=weight, bias=bias)
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    check_weight(name, weight, axes, "input sizes", "in, out / groups")
    _check_channels(name, batch, weight, axes, groups)
    along = windows(axes, tuple(weight.shape[axes + 2 :]), stride, padding, dilation)
    if output_size is not None:
        output_size = sizes_wished(name, output_size, axes, input.ndim)
    more = output_paddings(name, output_padding, axes)
    if any(more) and output_size is not None:
        raise ValueError(f"{name}: output_padding must be 0 where output_size says the size, got {output_padding}")
    low, high = crops(name, along, batch.shape[2:], more, output_size)
    check_places(name, weight, "input sizes", batch.shape[2:])
    crossed = zip(along, batch.shape[2:], low, high, strict=True)
    sizes = [(n - 1) * window.stride + window.extent - a - b for window, n, a, b in crossed]
    check_bias(name, bias, weight.shape[axes + 1] * groups, sizes)
    strides, dilations = [window.stride for window in along], [window.dilation for window in along]
    route = take(name, choose(batch))
    if route.name == "kernels":
        result = local_conv_transpose(batch, weight, bias, sizes, groups, strides, low, dilations)
    else:
        result = reference.local_conv_transpose(batch, weight, bias, sizes, groups, strides, low, dilations)
        result = result.contiguous(memory_format=memory_format(batch))
    return result if input.ndim == axes + 2 else result.squeeze(0)


def _check_channels(name: str, input: Tensor, weight: Tensor, axes: int, groups: int) -> None:
    """See that the channels of input and weight go together.

    Raises:
        TypeError: if `groups` is no integer.
        ValueError: if they do not.
    """
    channels = weight.shape[axes]
    check_integer(f"{name}: groups", groups, 1)
    if channels % groups or channels != input.shape[1]:
        raise ValueError(
            f"{name}: input has {input.shape[1]} channels, weight {tuple(weight.shape)} takes {channels}: they must be "
            f"equal and a multiple of groups, got groups={groups}"
        )
