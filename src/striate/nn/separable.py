"""Convolutions in two cheaper passes."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import nn

from striate.geometry import windows
from striate.geometry.padding import Padding
from striate.nn._windowed import Size
from striate.nn.conv import CONVOLUTIONS, DEPTHWISE_CONVOLUTIONS, Conv2d, DepthwiseConv2d, LayerPaddingMode
from striate.ops._docs import documented_like


class DepthwiseSeparableConvNd(nn.Sequential):
    """Depthwise separable convolution along any number of axes."""

    _axes: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding | Sequence[Padding] = 0,
        dilation: Size = 1,
        *,
        multiplier: int = 1,
        bias: bool = True,
        padding_mode: LayerPaddingMode = "zeros",
        border: float | Sequence[float] = 0.0,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        depthwise = DEPTHWISE_CONVOLUTIONS[self._axes - 1](
            in_channels, kernel_size, stride, padding, dilation, multiplier=multiplier, bias=False,
            padding_mode=padding_mode, border=border, device=device, dtype=dtype,
        )  # fmt: skip
        pointwise = CONVOLUTIONS[self._axes - 1](
            in_channels * multiplier, out_channels, 1, bias=bias, device=device, dtype=dtype
        )
        super().__init__(OrderedDict(depthwise=depthwise, pointwise=pointwise))


class DepthwiseSeparableConv2d(DepthwiseSeparableConvNd):
    """A depthwise convolution, which looks around in each channel, then a 1x1 convolution, which mixes the channels.

    Weights: `in_channels * multiplier * taps + in_channels * multiplier * out_channels`, where `Conv2d` has
    `in_channels * taps * out_channels`. Only the 1x1 convolution has a bias: one before it would only be added to it.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps of the depthwise pass; one number or one an axis.
        stride: of the depthwise pass, at least 1.
        padding: of the depthwise pass, as in `Conv2d`.
        dilation: of the depthwise pass, at least 1.
        multiplier: depthwise filters for each channel.
        bias: whether each channel of the output adds a learned number.
        padding_mode: what lies outside the input, as in `Conv2d`.
        border: the value outside the input, as in `Conv2d`.
        device: where the parameters are.
        dtype: their type.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Source:
        Sifre, "Rigid-motion scattering for image classification", 2014; Howard et al., "MobileNets", 2017,
        https://arxiv.org/abs/1704.04861.

    Example:
        Three channels to 128 with 3x3 windows: 27 + 384 weights where a convolution has 3,456.

        >>> layer = DepthwiseSeparableConv2d(3, 128, 3, bias=False)
        >>> layer(torch.zeros(1, 3, 7, 7)).shape
        torch.Size([1, 128, 5, 5])
        >>> [parameter.numel() for parameter in layer.parameters()]
        [27, 384]
        >>> Conv2d(3, 128, 3, bias=False).weight.numel()
        3456
    """

    _axes = 2


@documented_like(DepthwiseSeparableConv2d)
class DepthwiseSeparableConv1d(DepthwiseSeparableConvNd):
    """A depthwise convolution over series, then a convolution with one tap, which mixes the channels.

    Example:
        >>> DepthwiseSeparableConv1d(4, 8, 5, padding="causal")(torch.zeros(1, 4, 10)).shape
        torch.Size([1, 8, 10])
    """

    _axes = 1


@documented_like(DepthwiseSeparableConv2d)
class DepthwiseSeparableConv3d(DepthwiseSeparableConvNd):
    """A depthwise convolution over volumes or clips, then a 1x1x1 convolution, which mixes the channels.

    Example:
        >>> DepthwiseSeparableConv3d(4, 8, 3, padding="same")(torch.zeros(1, 4, 4, 8, 8)).shape
        torch.Size([1, 8, 4, 8, 8])
    """

    _axes = 3


class SpatiallySeparableConv2d(nn.Sequential):
    """A pass with column kernels, which also sums over the channels, then a pass with a row kernel on each map.

    As one convolution, filter o has the taps `column[o, c, y] * row[o, x]`: an outer product for each channel, which is
    never formed. A filter has `in_channels / groups * KH + KW` weights and not `in_channels / groups * KH * KW`: 6
    numbers, not 9, for a 3x3 kernel. Each pass is initialised as PyTorch's layer; the second has the bias.

    Args:
        in_channels: channels of the input.
        out_channels: filters, and so channels of the output.
        kernel_size: taps; one number, or those of a column and those of a row.
        stride: places from one window to the next, at least 1.
        padding: as in `Conv2d`.
        dilation: places from one tap to the next, at least 1.
        groups: sets of channels that do not see one another.
        bias: whether each filter adds a learned number.
        padding_mode: what lies outside the input.
        device: where the parameters are.
        dtype: their type.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, or channels are no multiple of the groups.

    Source:
        Rigamonti, Sironi, Lepetit and Fua, "Learning separable filters", CVPR 2013; Jin, Dundar and Culurciello,
        "Flattened convolutional neural networks", 2015, https://arxiv.org/abs/1412.5474.

    Example:
        >>> layer = SpatiallySeparableConv2d(1, 1, 3, padding="same", bias=False)
        >>> layer(torch.zeros(1, 1, 7, 7)).shape
        torch.Size([1, 1, 7, 7])
        >>> sum(parameter.numel() for parameter in layer.parameters())
        6
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding | Sequence[Padding] = 0,
        dilation: Size = 1,
        groups: int = 1,
        *,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        y, x = windows(2, kernel_size, stride, padding, dilation)
        column = Conv2d(
            in_channels, out_channels, (y.kernel, 1), (y.stride, 1), (y.padding, 0), (y.dilation, 1), groups, False,
            padding_mode, device, dtype,
        )  # fmt: skip
        row = DepthwiseConv2d(
            out_channels, (1, x.kernel), (1, x.stride), (0, x.padding), (1, x.dilation), bias=bias,
            padding_mode=padding_mode, device=device, dtype=dtype,
        )  # fmt: skip
        super().__init__(OrderedDict(column=column, row=row))
