"""Convolution and depthwise convolution as layers."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from striate.geometry import Window
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.nn._windowed import Size, WindowedNd, border_values
from striate.ops._docs import documented_like
from striate.ops._padding import PaddingMode
from striate.ops.conv.op import conv1d, conv2d, conv3d

LayerPaddingMode: TypeAlias = PaddingMode | Literal["learned"]

_FUNCTIONS = (conv1d, conv2d, conv3d)
_MODES = (*get_args(PaddingMode), "learned")
_BORDERED = ("constant", "learned")


class ConvNd(WindowedNd):
    """Convolution along any number of axes."""

    border: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding | Sequence[Padding] = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: LayerPaddingMode = "zeros",
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
        *,
        border: float | Sequence[float] = 0.0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype,
            transposed=False,
        )  # fmt: skip
        if padding_mode not in _MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(_MODES)}, got {padding_mode!r}")
        if padding_mode not in _BORDERED and not (isinstance(border, int | float) and border == 0):
            raise ValueError(f"border goes with padding_mode 'constant' or 'learned', got {padding_mode!r}")
        self.padding_mode: LayerPaddingMode = padding_mode
        self._first_border = border_values(border, in_channels)
        values = torch.empty(in_channels, device=device, dtype=dtype) if padding_mode in _BORDERED else None
        if values is not None and padding_mode == "learned":
            self.border = nn.Parameter(values)
        else:
            self.register_buffer("border", values)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, as PyTorch's layer would with the same seed; the border starts as it was given."""
        super().reset_parameters()
        if self.border is not None:
            with torch.no_grad():
                self.border.copy_(self._first_border)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve.

        Args:
            input: `(N, in_channels, *sizes)` or `(in_channels, *sizes)`.

        Returns:
            `(N, out_channels, *output sizes)` or `(out_channels, *output sizes)`.
        """
        mode = "constant" if self.padding_mode == "learned" else self.padding_mode
        return _FUNCTIONS[self._axes - 1](
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups,
            padding_mode=mode, border=self.border,
        )  # fmt: skip


class Conv2d(ConvNd):
    """A bank of filters over pictures: `striate.conv2d` with parameters of its own.

    `torch.nn.Conv2d` in arguments, names, initialisation and state dict, with every padding of `striate.conv2d`, and a
    learned surrounding: with `padding_mode="learned"` each channel has one trained value that lies outside the picture.

    Args:
        in_channels: channels of the input.
        out_channels: filters, and so channels of the output.
        kernel_size: taps; one number or one an axis.
        stride: places from one window to the next, at least 1.
        padding: places added around the input: a number, a tuple of numbers or pairs `(low, high)`, or a word, such as
            "same" or "causal"; see `striate.geometry.Window`.
        dilation: places from one tap to the next, at least 1.
        groups: sets of channels that do not see one another.
        bias: whether each filter adds a learned number.
        padding_mode: what lies outside the input: "zeros", "reflect", "replicate", "circular", "constant" for the
            values in `border`, or "learned" for a parameter `border` `(in_channels,)` that begins with them.
        device: where the parameters are.
        dtype: their type.
        border: the value outside the input, one for all channels or one a channel, with "constant" and "learned" only;
            as it is 0 unless given, "learned" begins as zero padding.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, or channels are no multiple of the groups.

    Source:
        LeCun et al., "Backpropagation applied to handwritten zip code recognition", Neural Computation 1(4), 1989;
        the formula is at `striate.conv2d`.

    Example:
        >>> layer = Conv2d(3, 8, 3, stride=2, padding="same_upper", padding_mode="learned")
        >>> layer(torch.zeros(1, 3, 15, 15)).shape
        torch.Size([1, 8, 8, 8])
        >>> sorted(layer.state_dict())
        ['bias', 'border', 'weight']
    """

    _axes = 2


@documented_like(Conv2d)
class Conv1d(ConvNd):
    """A bank of filters over series: `striate.conv1d` with parameters of its own, `Conv2d` along one axis.

    Example:
        >>> Conv1d(2, 4, 3, padding="causal")(torch.zeros(1, 2, 10)).shape
        torch.Size([1, 4, 10])
    """

    _axes = 1


@documented_like(Conv2d)
class Conv3d(ConvNd):
    """A bank of filters over volumes or clips: `striate.conv3d` with parameters of its own, `Conv2d` along three axes.

    Example:
        >>> Conv3d(1, 4, 3, padding=("causal", "same", "same"))(torch.zeros(1, 1, 5, 8, 8)).shape
        torch.Size([1, 4, 5, 8, 8])
    """

    _axes = 3


class DepthwiseConvNd(ConvNd):
    """Depthwise convolution along any number of axes."""

    def __init__(
        self,
        channels: int,
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
        check_integer("channels", channels, 1)
        check_integer("multiplier", multiplier, 1)
        super().__init__(
            channels, channels * multiplier, kernel_size, stride, padding, dilation, channels, bias, padding_mode,
            device, dtype, border=border,
        )  # fmt: skip


class DepthwiseConv2d(DepthwiseConvNd, Conv2d):
    """A convolution in which each filter reads one channel only.

    It is `Conv2d` with as many groups as channels, and its state dict is that of `torch.nn.Conv2d` with these settings.
    Weights: `channels * multiplier * taps`. Output channel `c * multiplier + m` reads input channel `c`.

    Args:
        channels: channels of the input.
        kernel_size: taps; one number or one an axis.
        stride: places from one window to the next, at least 1.
        padding: as in `Conv2d`.
        dilation: places from one tap to the next, at least 1.
        multiplier: filters for each channel.
        bias: whether each filter adds a learned number.
        padding_mode: what lies outside the input, as in `Conv2d`.
        border: the value outside the input, as in `Conv2d`.
        device: where the parameters are.
        dtype: their type.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Source:
        Sifre and Mallat, "Rigid-motion scattering for texture classification", 2014, https://arxiv.org/abs/1403.1687;
        Chollet, "Xception", 2017, https://arxiv.org/abs/1610.02357.

    Example:
        >>> layer = DepthwiseConv2d(3, 3, padding=1, multiplier=2, bias=False)
        >>> layer(torch.zeros(1, 3, 7, 7)).shape, layer.weight.numel()
        (torch.Size([1, 6, 7, 7]), 54)
    """


@documented_like(DepthwiseConv2d)
class DepthwiseConv1d(DepthwiseConvNd, Conv1d):
    """A convolution over series in which each filter reads one channel only.

    Example:
        >>> DepthwiseConv1d(4, 5, padding="causal")(torch.zeros(1, 4, 10)).shape
        torch.Size([1, 4, 10])
    """


@documented_like(DepthwiseConv2d)
class DepthwiseConv3d(DepthwiseConvNd, Conv3d):
    """A convolution over volumes or clips in which each filter reads one channel only.

    Example:
        >>> DepthwiseConv3d(4, 3, padding="same")(torch.zeros(1, 4, 4, 8, 8)).shape
        torch.Size([1, 4, 4, 8, 8])
    """


CONVOLUTIONS = (Conv1d, Conv2d, Conv3d)
DEPTHWISE_CONVOLUTIONS = (DepthwiseConv1d, DepthwiseConv2d, DepthwiseConv3d)


def conv_from(
    weight: Tensor,
    bias: Tensor | None,
    windows: Sequence[Window],
    *,
    groups: int,
    padding_mode: LayerPaddingMode,
    border: Tensor | None,
    like: Tensor,
) -> ConvNd:
    """A convolution with copies of given weights, on the device and in the dtype of another tensor."""
    layer = CONVOLUTIONS[len(windows) - 1](
        weight.shape[1] * groups,
        weight.shape[0],
        [window.kernel for window in windows],
        [window.stride for window in windows],
        [window.padding for window in windows],
        [window.dilation for window in windows],
        groups,
        bias is not None,
        padding_mode,
        like.device,
        like.dtype,
        border=0.0 if border is None else border.tolist(),
    )
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None and bias is not None:
            layer.bias.copy_(bias)
    return layer
