"""Transposed convolution: the door."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from torch import Tensor

from striate.geometry import windows
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, cast, check_alike, check_filters, check_input, memory_format, remembered
from striate.ops.conv_transpose.crops import crops, output_paddings, sizes_wished, unrolled
from striate.ops.conv_transpose.routes import by_sub_pixel, by_torch, choose
from striate.ops.dispatch import take

Size: TypeAlias = int | Sequence[int]
Surroundings: TypeAlias = Literal["zeros", "circular"]

_windows = remembered(windows)


@announced
def conv_transpose2d(
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
    padding_mode: Surroundings = "zeros",
) -> Tensor:
    """Spread each input over a window of the output: the adjoint of `conv2d`, used to enlarge pictures.

    `output[n, o, p] = bias[o] + sum of weight[c, o, k] * input[n, c, i] where i * stride + k * dilation - low = p`, for
    inputs i and taps k along all axes and the channels c of the group of o. It is the gradient of `conv2d` with the
    same weight, stride, padding in numbers and dilation, with respect to its input.

    An axis of n places becomes `(n - 1) * stride + dilation * (kernel - 1) + 1 - low - high + output_padding`.

    Args:
        input: `(N, in, *sizes)` or `(in, *sizes)`, floating-point.
        weight: `(in, out / groups, *kernel)`, of the input's dtype and device.
        bias: `(out,)` or None.
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
        padding_mode: "zeros", or "circular": the output is a ring of `n * stride` places, and what crosses an end is
            added at the other. This is the adjoint of a convolution with the same circular padding, which must
            therefore leave n windows on the ring: `low + high` from `dilation * (kernel - 1) + 1 - stride` to
            `dilation * (kernel - 1)`. "same" always does. Only `low` moves anything: the first window starts there.

    Returns:
        `(N, out, *output sizes)` in the input's dtype and memory format, or `(out, *output sizes)`.

    Raises:
        TypeError: if the input is not floating-point, dtypes differ or a setting has the wrong type.
        ValueError: if ranks, channels, devices or sizes do not fit, nothing is left of the output, the output size
            cannot be reached, or a setting is out of its range.

    Source:
        Zeiler, Krishnan, Taylor and Fergus, "Deconvolutional networks", CVPR 2010; the arithmetic: Dumoulin and Visin,
        2016, https://arxiv.org/abs/1603.07285; one product for all phases: Shi et al., 2016,
        https://arxiv.org/abs/1609.05158.

    Example:
        >>> small, filters = torch.ones(1, 3, 8, 8), torch.ones(3, 2, 4, 4)
        >>> conv_transpose2d(small, filters, stride=2, padding="same").shape
        torch.Size([1, 2, 16, 16])
    """
    settings = (stride, padding, output_padding, groups, dilation, output_size, padding_mode)
    return _conv_transpose("conv_transpose2d", 2, input, weight, bias, *settings)


@announced
@documented_like(conv_transpose2d)
def conv_transpose1d(
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
    padding_mode: Surroundings = "zeros",
) -> Tensor:
    """Spread each number of a series over a window of the output; `conv_transpose2d` along one axis.

    Example:
        >>> conv_transpose1d(torch.tensor([[1.0, 2.0]]), torch.tensor([[[1.0, 10.0, 100.0]]]), stride=2)
        tensor([[  1.,  10., 102.,  20., 200.]])
    """
    settings = (stride, padding, output_padding, groups, dilation, output_size, padding_mode)
    return _conv_transpose("conv_transpose1d", 1, input, weight, bias, *settings)


@announced
@documented_like(conv_transpose2d)
def conv_transpose3d(
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
    padding_mode: Surroundings = "zeros",
) -> Tensor:
    """Spread each place of a volume or clip over a window of the output; `conv_transpose2d` along three axes.

    Example:
        >>> clip, filters = torch.ones(1, 2, 4, 8, 8), torch.ones(2, 3, 2, 4, 4)
        >>> conv_transpose3d(clip, filters, stride=2, padding=("causal", "same", "same")).shape
        torch.Size([1, 3, 8, 16, 16])
    """
    settings = (stride, padding, output_padding, groups, dilation, output_size, padding_mode)
    return _conv_transpose("conv_transpose3d", 3, input, weight, bias, *settings)


def _conv_transpose(
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
    padding_mode: Surroundings,
) -> Tensor:
    input, weight, bias = cast(input, weight, bias)
    check_input(name, input, axes)
    check_alike(name, input=input, weight=weight, bias=bias)
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    _check_channels(name, batch, weight, bias, groups)
    layout = memory_format(batch)
    if padding_mode not in get_args(Surroundings):
        raise ValueError(f"{name}: padding_mode must be zeros or circular, got {padding_mode!r}")
    # A kernel keeps its size: the compiler need not reckon with another.
    along = _windows(axes, tuple(map(int, weight.shape[2:])), stride, padding, dilation)
    if output_size is not None:
        output_size = sizes_wished(name, output_size, axes, input.ndim)
    more = output_paddings(name, output_padding, axes)
    if any(more) and (output_size is not None or padding_mode == "circular"):
        other = "padding_mode='circular'" if output_size is None else "output_size"
        raise ValueError(f"{name}: output_padding must be 0 where {other} says the size, got {output_padding}")
    if padding_mode == "circular":
        batch, low, high = unrolled(name, along, batch, output_size)
    else:
        low, high = crops(name, along, batch.shape[2:], more, output_size)
    strides, dilations = [window.stride for window in along], [window.dilation for window in along]
    route = take(name, choose(weight, layout, strides, low, high, groups))
    if route.name == "sub-pixel":
        result = by_sub_pixel(batch, weight, bias)
    else:
        result = by_torch(batch, weight, bias, strides, low, high, dilations, groups)
        result = result.contiguous(memory_format=layout)
    return result if input.ndim == axes + 2 else result.squeeze(0)


def _check_channels(name: str, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    """See that the channels of input, weight and bias go together.

    Raises:
        ValueError: if they do not.
    """
    check_filters(name, input, weight, "in, out / groups")
    check_integer(f"{name}: groups", groups, 1)
    if weight.shape[0] % groups or weight.shape[0] != input.shape[1]:
        raise ValueError(
            f"{name}: input has {input.shape[1]} channels, weight {tuple(weight.shape)} takes {weight.shape[0]}: they "
            f"must be equal and a multiple of groups, got groups={groups}"
        )
    out = weight.shape[1] * groups
    if bias is not None and bias.shape != (out,):
        raise ValueError(f"{name}: bias must be ({out},), one number an output channel, got {tuple(bias.shape)}")
