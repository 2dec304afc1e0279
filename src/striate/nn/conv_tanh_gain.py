"""Convolution, hyperbolic tangent and a gain for each map."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from striate.geometry.padding import Padding
from striate.nn._windowed import Size
from striate.nn.conv import CONVOLUTIONS, LayerPaddingMode
from striate.ops._docs import documented_like
from striate.ops.activation.op import scaled_tanh


class ConvTanhGainNd(nn.Module):
    """`gain * tanh(convolution)` along any number of axes."""

    _axes: ClassVar[int]

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
        padding_mode: LayerPaddingMode = "zeros",
        border: float | Sequence[float] = 0.0,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.conv = CONVOLUTIONS[self._axes - 1](
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device,
            dtype, border=border,
        )  # fmt: skip
        self.gain = nn.Parameter(torch.empty(out_channels, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the gains to 1."""
        nn.init.ones_(self.gain)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve, squash and scale.

        Args:
            input: `(N, in_channels, *sizes)` or `(in_channels, *sizes)`.

        Returns:
            `(N, out_channels, *output sizes)` or `(out_channels, *output sizes)`, map o from `-gain[o]` to `gain[o]`.
        """
        return scaled_tanh(self.conv(input), self.gain, dim=-1 - self._axes)


class ConvTanhGain2d(ConvTanhGainNd):
    """The filter bank of Jarrett and others: `gain[o] * tanh(conv2d(input)[o])`, with one learned gain a map.

    The convolution is the child `conv`; the gains are the parameter `gain` `(out_channels,)` and begin at 1.

    Args:
        in_channels: channels of the input.
        out_channels: maps of the output.
        kernel_size: taps; one number or one an axis.
        stride: places from one window to the next, at least 1.
        padding: as in `Conv2d`.
        dilation: places from one tap to the next, at least 1.
        groups: sets of channels that do not see one another.
        bias: whether each filter adds a learned number before the tangent.
        padding_mode: what lies outside the input, as in `Conv2d`.
        border: the value outside the input, as in `Conv2d`.
        device: where the parameters are.
        dtype: their type.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, or channels are no multiple of the groups.

    Source:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, "What is the best multi-stage architecture for object recognition?",
        ICCV 2009, section 2.1, the layer F_CSG.

    Example:
        >>> layer = ConvTanhGain2d(1, 64, 9)
        >>> layer(torch.zeros(1, 1, 151, 143)).shape
        torch.Size([1, 64, 143, 135])
    """

    _axes = 2


@documented_like(ConvTanhGain2d)
class ConvTanhGain1d(ConvTanhGainNd):
    """`gain[o] * tanh(conv1d(input)[o])`, with one learned gain a map.

    Example:
        >>> ConvTanhGain1d(2, 4, 3)(torch.zeros(1, 2, 10)).shape
        torch.Size([1, 4, 8])
    """

    _axes = 1


@documented_like(ConvTanhGain2d)
class ConvTanhGain3d(ConvTanhGainNd):
    """`gain[o] * tanh(conv3d(input)[o])`, with one learned gain a map.

    Example:
        >>> ConvTanhGain3d(1, 4, 3)(torch.zeros(1, 1, 5, 8, 8)).shape
        torch.Size([1, 4, 3, 6, 6])
    """

    _axes = 3
