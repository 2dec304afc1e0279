"""Transposed convolution as layers."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.nn._windowed import Size, WindowedNd
from striate.ops._docs import documented_like
from striate.ops.conv_transpose.op import conv_transpose1d, conv_transpose2d, conv_transpose3d

_FUNCTIONS = (conv_transpose1d, conv_transpose2d, conv_transpose3d)


class ConvTransposeNd(WindowedNd):
    """Transposed convolution along any number of axes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding | Sequence[Padding] = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: Literal["zeros", "circular"] = "zeros",
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype,
            transposed=True,
        )  # fmt: skip
        if padding_mode not in ("zeros", "circular"):
            raise ValueError(f"padding_mode must be 'zeros' or 'circular', got {padding_mode!r}")
        for window in self.windows:
            window.crops()
        added = (output_padding,) * self._axes if isinstance(output_padding, int) else tuple(output_padding)
        if len(added) != self._axes:
            raise ValueError(f"output_padding must be one number or one an axis ({self._axes}), got {output_padding}")
        for places in added:
            check_integer("output_padding", places, 0)
        self.output_padding = added
        self.padding_mode = padding_mode
        self.reset_parameters()

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Convolve, transposed.

        Args:
            input: `(N, in_channels, *sizes)` or `(in_channels, *sizes)`.
            output_size: the sizes of the output, with or without those of its first axes; it stands instead of
                `output_padding`.

        Returns:
            `(N, out_channels, *output sizes)` or `(out_channels, *output sizes)`.
        """
        return _FUNCTIONS[self._axes - 1](
            input, self.weight, self.bias, self.stride, self.padding,
            self.output_padding if output_size is None else 0, self.groups, self.dilation,
            output_size=output_size, padding_mode=self.padding_mode,
        )  # fmt: skip


class ConvTranspose2d(ConvTransposeNd):
    """The transpose of a convolution, which enlarges by its stride: `striate.conv_transpose2d` with parameters.

    `torch.nn.ConvTranspose2d` in arguments, names, initialisation and state dict, with the cropping words and the
    circular mode of `striate.conv_transpose2d`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps; one number or one an axis.
        stride: places of the output from one window to the next, at least 1.
        padding: places cropped from the output: a number, a tuple of numbers or pairs `(low, high)`, or "valid", "same"
            or "causal"; see `striate.geometry.Window.crops`.
        output_padding: places added to the high end of the output.
        groups: sets of channels that do not see one another.
        bias: whether each channel of the output adds a learned number.
        dilation: places from one tap to the next, at least 1.
        padding_mode: "zeros", or "circular" for an output that wraps around.
        device: where the parameters are.
        dtype: their type.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, or channels are no multiple of the groups.

    Source:
        Zeiler, Krishnan, Taylor and Fergus, "Deconvolutional networks", CVPR 2010; Dumoulin and Visin, 2016,
        https://arxiv.org/abs/1603.07285. The formula is at `striate.conv_transpose2d`.

    Example:
        >>> layer = ConvTranspose2d(8, 3, 4, stride=2, padding="same")
        >>> layer(torch.zeros(1, 8, 7, 7)).shape
        torch.Size([1, 3, 14, 14])
    """

    _axes = 2


@documented_like(ConvTranspose2d)
class ConvTranspose1d(ConvTransposeNd):
    """The transpose of a convolution over series: `striate.conv_transpose1d` with parameters.

    Example:
        >>> ConvTranspose1d(2, 2, 3, stride=2, padding=1)(torch.zeros(1, 2, 5), output_size=[10]).shape
        torch.Size([1, 2, 10])
    """

    _axes = 1


@documented_like(ConvTranspose2d)
class ConvTranspose3d(ConvTransposeNd):
    """The transpose of a convolution over volumes or clips: `striate.conv_transpose3d` with parameters.

    Example:
        >>> ConvTranspose3d(2, 1, 2, stride=2)(torch.zeros(1, 2, 3, 4, 4)).shape
        torch.Size([1, 1, 6, 8, 8])
    """

    _axes = 3
