"""Convolution along the links of a connection table as a layer."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from striate import geometry
from striate.geometry import Window
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding, PaddingWord
from striate.nn._windowed import Size
from striate.nn.conv import ConvNd, conv_from
from striate.nn.from_torch import as_conv
from striate.ops._docs import documented_like
from striate.ops._door import check_input
from striate.ops.table_conv.op import table_conv1d, table_conv2d, table_conv3d
from striate.ops.table_conv.tables import check_form, check_links

_FUNCTIONS = (table_conv1d, table_conv2d, table_conv3d)


class TableConvNd(nn.Module):
    """Convolution along the links of a table, along any number of axes."""

    _axes: ClassVar[int]
    table: Tensor
    padding: PaddingWord | tuple[Padding, ...]
    bias: nn.Parameter | None

    def __init__(
        self,
        table: Tensor,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding | Sequence[Padding] = 0,
        dilation: Size = 1,
        bias: bool = True,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
        *,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(bias, bool):
            raise TypeError(f"bias must be True or False, got {bias!r}")
        check_form("table layer", table)
        links: list[list[int]] = table.tolist()
        if in_channels is None:
            in_channels = max((source for source, _ in links), default=-1) + 1
        check_integer("in_channels", in_channels, 1)
        check_integer("out_channels", out_channels, 1)
        check_links("table layer", links, in_channels, out_channels)
        along = geometry.windows(self._axes, kernel_size, stride, padding, dilation)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = tuple(window.kernel for window in along)
        self.stride = tuple(window.stride for window in along)
        self.padding = padding if isinstance(padding, str) else tuple(window.padding for window in along)
        self.dilation = tuple(window.dilation for window in along)
        self._first_table = table.detach().cpu().clone()
        self.weight = nn.Parameter(torch.empty(len(table), *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter(
            "bias", nn.Parameter(torch.empty(out_channels, device=device, dtype=dtype)) if bias else None
        )
        self.register_buffer("table", torch.empty(len(table), 2, dtype=torch.int64, device=device))
        self.reset_parameters()

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows of the layer, one an axis."""
        return geometry.windows(self._axes, self.kernel_size, self.stride, self.padding, self.dilation)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, each map's as PyTorch's layer would with as many inputs; the table is as given."""
        sources = torch.bincount(self._first_table[:, 1], minlength=self.out_channels)
        # A map without a link begins at 0, as PyTorch's layer without inputs would.
        bounds = (sources * math.prod(self.kernel_size)).double().rsqrt().nan_to_num(posinf=0.0)
        drawn = torch.empty_like(self.weight, memory_format=torch.contiguous_format)
        with torch.no_grad():
            self.table.copy_(self._first_table)
            scale = bounds[self._first_table[:, 1]].view(-1, *[1] * self._axes)
            self.weight.copy_(drawn.uniform_(-1, 1) * scale.to(drawn))
            if self.bias is not None:
                self.bias.uniform_(-1, 1).mul_(bounds.to(self.bias))

    def forward(self, input: Tensor) -> Tensor:
        """Convolve.

        Args:
            input: `(N, in_channels, *sizes)` or `(in_channels, *sizes)`.

        Returns:
            `(N, out_channels, *output sizes)` or `(out_channels, *output sizes)`.

        Raises:
            TypeError: if the input does not hold floating-point numbers.
            ValueError: if the input has other axes or channels.
        """
        check_input(type(self).__name__, input, self._axes)
        if input.shape[-1 - self._axes] != self.in_channels:
            raise ValueError(f"input must have {self.in_channels} channels, got {tuple(input.shape)}")
        return _FUNCTIONS[self._axes - 1](
            input, self.weight, self.table, self.out_channels, self.bias, self.stride, self.padding, self.dilation
        )

    @classmethod
    def from_conv(cls, conv: nn.Module, table: Tensor | None = None) -> Self:
        """Make a layer that keeps of an ordinary convolution the filters at the links of a table.

        Args:
            conv: a convolution of `torch.nn` or `striate.nn` along as many axes, padded with zeros, in any groups.
            table: `(links, 2)`, int64, which repeats no link; one that the groups do not have begins at 0. None means
                a link wherever a filter is not all zero, so that the layer computes what the convolution does.

        Returns:
            The layer, with copies of the weights, on their device and in their dtype.

        Raises:
            TypeError: if `conv` is anything else, or the table is not int64.
            ValueError: if the convolution is padded otherwise, or the table repeats a link, is not `(links, 2)` or
                links maps that there are not.

        Example:
            >>> from striate import tables
            >>> conv = nn.Conv2d(6, 16, 5)
            >>> TableConv2d.from_conv(conv, tables.lenet5_c3()).weight.shape
            torch.Size([60, 5, 5])
            >>> len(TableConv2d.from_conv(nn.Conv2d(4, 4, 3, groups=2)).table)
            8
        """
        plain = as_conv(conv)
        if plain is None or plain._axes != cls._axes:
            raise TypeError(f"conv must be a convolution along {cls._axes} axes, got {type(conv).__qualname__}")
        if plain.padding_mode != "zeros":
            raise ValueError(f"conv must be padded with zeros, got padding_mode={plain.padding_mode!r}")
        whole = _ungrouped(plain.weight.detach(), plain.groups)
        if table is None:
            table = whole.flatten(2).any(2).nonzero().flip(1)
        layer = cls(
            table, plain.out_channels, plain.kernel_size, plain.stride, plain.padding, plain.dilation,
            plain.bias is not None, whole.device, whole.dtype, in_channels=plain.in_channels,
        )  # fmt: skip
        if len(set(map(tuple, table.tolist()))) < len(table):
            raise ValueError("table must not repeat a link, or it would be unsaid how they share the filter")
        with torch.no_grad():
            layer.weight.copy_(whole[layer.table[:, 1], layer.table[:, 0]])
            if layer.bias is not None and plain.bias is not None:
                layer.bias.copy_(plain.bias)
        return layer.train(conv.training)

    def to_conv(self) -> ConvNd:
        """Make an ordinary convolution that computes the same, with zeros where there is no link.

        Returns:
            `Conv1d`, `Conv2d` or `Conv3d`, with copies of the weights; trained further it fills the zeros.

        Example:
            >>> from striate import tables
            >>> layer = TableConv2d(tables.one_to_one(3), 3, 5)
            >>> layer.to_conv().weight.count_nonzero()
            tensor(75)
        """
        weight = self.weight.detach()
        zeros = weight.new_zeros(self.out_channels, self.in_channels, *self.kernel_size)
        whole = zeros.index_put((self.table[:, 1], self.table[:, 0]), weight, accumulate=True)
        return conv_from(
            whole, self.bias, self.windows, groups=1, padding_mode="zeros", border=None, like=weight
        ).train(self.training)

    def extra_repr(self) -> str:
        """The settings as PyTorch's layers show them, and how many links there are."""
        shown = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        for name, usual in (("padding", 0), ("dilation", 1)):
            if getattr(self, name) != (usual,) * self._axes:
                shown.append(f"{name}={getattr(self, name)}")
        if self.bias is None:
            shown.append("bias=False")
        return ", ".join([*shown, f"links={len(self.table)}"])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        table = state_dict.get(f"{prefix}table")
        if table is not None and not table.is_meta:
            try:
                check_form(f"{prefix}table", table)
                check_links(f"{prefix}table", table.tolist(), self.in_channels, self.out_channels)
            except (TypeError, ValueError) as error:
                errors: list[str] = others[-1]
                errors.append(str(error))
                return
        super()._load_from_state_dict(state_dict, prefix, *others)


def _ungrouped(weight: Tensor, groups: int) -> Tensor:
    """The weight of the same convolution without groups, `(out, in, *kernel)`."""
    out, into = weight.shape[:2]
    whole = weight.new_zeros(out, into * groups, *weight.shape[2:])
    for group in range(groups):
        maps = slice(group * out // groups, (group + 1) * out // groups)
        whole[maps, group * into : (group + 1) * into] = weight[maps]
    return whole


class TableConv2d(TableConvNd):
    """A bank of filters over pictures, one for each link of a connection table: `striate.table_conv2d` with parameters.

    It has `links * taps` weights and a number for each map. Each map's weights begin as those of `torch.nn.Conv2d` with
    as many inputs as the map reads. The table is a buffer: it is part of the state dict, and one that is loaded takes
    its place, if it has as many links between maps that the layer has.

    Args:
        table: `(links, 2)`, int64: (from, to) of each link, both counted from 0; see `striate.tables`. A link may be
            repeated: its filters add.
        out_channels: maps of the output; one without a link is its number.
        kernel_size: taps; one number or one an axis.
        stride: places from one window to the next, at least 1.
        padding: places of zeros added around the input: a number, a tuple of numbers or pairs `(low, high)`, or a word,
            such as "same" or "causal"; see `striate.geometry.Window`.
        dilation: places from one tap to the next, at least 1.
        bias: whether each map adds a learned number.
        device: where parameters and table are.
        dtype: the type of the parameters.
        in_channels: maps of the input; None means one more than the greatest that the table reads.

    Raises:
        TypeError: if the table is not int64, or a setting has the wrong type.
        ValueError: if the table is not `(links, 2)` or links maps that there are not, or a setting is out of its range.

    Source:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of
        the IEEE 86(11), 1998, section II.B and table I; the formula is at `striate.table_conv2d`.

    Example:
        >>> from striate import tables
        >>> layer = TableConv2d(tables.lenet5_c3(), 16, 5)
        >>> layer(torch.zeros(1, 6, 14, 14)).shape
        torch.Size([1, 16, 10, 10])
        >>> sum(parameter.numel() for parameter in layer.parameters())
        1516
        >>> sorted(layer.state_dict())
        ['bias', 'table', 'weight']
    """

    _axes = 2


@documented_like(TableConv2d)
class TableConv1d(TableConvNd):
    """A bank of filters over series, one for each link of a connection table: `TableConv2d` along one axis.

    Example:
        >>> TableConv1d(torch.tensor([[0, 0], [1, 0]]), 1, 3, padding="causal")(torch.zeros(1, 2, 10)).shape
        torch.Size([1, 1, 10])
    """

    _axes = 1


@documented_like(TableConv2d)
class TableConv3d(TableConvNd):
    """A bank of filters over volumes or clips, one for each link of a connection table: `TableConv2d` along three axes.

    Example:
        >>> TableConv3d(torch.tensor([[0, 0], [1, 0]]), 1, 3, padding=1)(torch.zeros(1, 2, 4, 8, 8)).shape
        torch.Size([1, 1, 4, 8, 8])
    """

    _axes = 3
