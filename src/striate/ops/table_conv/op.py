"""Convolution along the links of a connection table: the door."""

from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, cast, check_alike, check_input, check_tensor, memory_format, place
from striate.ops.conv.op import conv1d, conv2d, conv3d
from striate.ops.dispatch import take
from striate.ops.table_conv.routes import by_parts, choose, dense
from striate.ops.table_conv.tables import check_form

Size: TypeAlias = int | Sequence[int]

_CONVOLUTIONS = (conv1d, conv2d, conv3d)


@announced
def table_conv2d(
    input: Tensor,
    weight: Tensor,
    table: Tensor,
    out_channels: int,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
) -> Tensor:
    """Convolve pictures with one filter for each link of a table, which says which maps read which maps below.

    `output[n, o, p] = bias[o] + sum over links l with to[l] = o and over k of weight[l, k] * input[n, from[l], p *
    stride + k * dilation - low]`, for places p and taps k along all axes. A link may be repeated: its filters add. A
    map without a link is its bias.

    Where there is no link there is no weight, and no gradient goes there; but as the sum may be computed with zeros in
    their places, infinity and NaN may also reach maps that do not read them. A map may read any earlier maps of a
    network: concatenate them first.

    Args:
        input: `(N, in, *sizes)` or `(in, *sizes)`, floating-point.
        weight: `(links, *kernel)`, of the input's dtype and device.
        table: `(links, 2)`, int64, on the input's device: (from, to) of each link, both counted from 0; see
            `striate.tables`. Its numbers are checked in ordinary calls on the CPU; elsewhere a number that is too large
            is PyTorch's error of an index, and a negative one counts from the end.
        out_channels: maps of the output, at least 1.
        bias: `(out_channels,)` or None.
        stride: places from one window to the next, at least 1; one number or one an axis.
        padding: places added around the input: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid", "same", "same_upper", "same_lower", "half", "full", "causal"; see `geometry.Window`.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.

    Returns:
        `(N, out_channels, *output sizes)` in the input's dtype and memory format, or `(out_channels, *output sizes)`.

    Raises:
        TypeError: if the input is not floating-point, dtypes differ, or the table is not int64.
        ValueError: if ranks, links, devices or sizes do not fit, a link is between maps that there are not, the window
            is larger than the padded input, or a setting is out of its range.

    Source:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of
        the IEEE 86(11), 1998, section II.B and table I.

    Example:
        >>> maps = torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1)
        >>> table = torch.tensor([[0, 0], [2, 0], [1, 1]])
        >>> table_conv2d(maps, torch.ones(3, 1, 1), table, out_channels=2).flatten()
        tensor([101.,  10.])
    """
    return _table_conv("table_conv2d", 2, input, weight, table, out_channels, bias, stride, padding, dilation)


@announced
@documented_like(table_conv2d)
def table_conv1d(
    input: Tensor,
    weight: Tensor,
    table: Tensor,
    out_channels: int,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
) -> Tensor:
    """Convolve series along the links of a table; `table_conv2d` along one axis.

    Example:
        >>> series, difference = torch.tensor([[1.0, 3.0, 4.0], [5.0, 5.0, 5.0]]), torch.tensor([[-1.0, 1.0]])
        >>> table_conv1d(series, difference, torch.tensor([[0, 0]]), out_channels=1)
        tensor([[2., 1.]])
    """
    return _table_conv("table_conv1d", 1, input, weight, table, out_channels, bias, stride, padding, dilation)


@announced
@documented_like(table_conv2d)
def table_conv3d(
    input: Tensor,
    weight: Tensor,
    table: Tensor,
    out_channels: int,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
) -> Tensor:
    """Convolve volumes or clips along the links of a table; `table_conv2d` along three axes.

    Example:
        >>> clip, table = torch.ones(1, 2, 4, 8, 8), torch.tensor([[0, 0], [1, 0], [1, 2]])
        >>> table_conv3d(clip, torch.ones(3, 3, 3, 3), table, 3, padding=("causal", "same", "same")).shape
        torch.Size([1, 3, 4, 8, 8])
    """
    return _table_conv("table_conv3d", 3, input, weight, table, out_channels, bias, stride, padding, dilation)


def _table_conv(
    name: str,
    axes: int,
    input: Tensor,
    weight: Tensor,
    table: Tensor,
    out_channels: int,
    bias: Tensor | None,
    stride: Size,
    padding: Padding | Sequence[Padding],
    dilation: Size,
) -> Tensor:
    input, weight, bias = cast(input, weight, bias)
    check_input(name, input, axes)
    check_alike(name, input=input, weight=weight, bias=bias)
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    _check_links(name, axes, input, weight, table, out_channels, bias)
    place(name, axes, weight.shape[1:], stride, padding, dilation, batch.shape[2:])

    def convolution(input: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        return _CONVOLUTIONS[axes - 1](input, weight, bias, stride, padding, dilation, groups)

    route, parts = choose(name, table, batch.shape[1], out_channels)
    take(name, route)
    if parts is None:
        result = dense(convolution, batch, weight, table, out_channels, bias)
    else:
        result = by_parts(convolution, batch, weight, parts, bias, together=route.name == "groups")
    result = result.contiguous(memory_format=memory_format(batch))
    return result if input.ndim == axes + 2 else result.squeeze(0)


def _check_links(
    name: str, axes: int, input: Tensor, weight: Tensor, table: Tensor, out_channels: int, bias: Tensor | None
) -> None:
    """See that weight, table and bias go together; what the table's numbers are is not asked here.

    Raises:
        TypeError: if weight or table is no tensor, the table is not int64, or `out_channels` is no integer.
        ValueError: if they do not.
    """
    check_form(name, table)
    if table.device != input.device:
        raise ValueError(f"{name}: table must be on the device of input, {input.device}, got {table.device}")
    check_tensor(name, "weight", weight)
    if weight.ndim != axes + 1 or weight.shape[0] != table.shape[0] or min(weight.shape[1:]) < 1:
        sizes = ", ".join(f"k{axis}" for axis in range(1, axes + 1))
        raise ValueError(
            f"{name}: weight must be ({table.shape[0]}, {sizes}), one filter for each link of the table, k at least 1, "
            f"got {tuple(weight.shape)}"
        )
    check_integer("out_channels", out_channels, 1)
    if bias is not None and bias.shape != (out_channels,):
        raise ValueError(f"{name}: bias must be ({out_channels},), one number a map, got {tuple(bias.shape)}")
