"""Transposed unshared convolution as layers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from striate.geometry.padding import Padding
from striate.nn._windowed import Size
from striate.nn.local_layer import LocalBias, LocalNd
from striate.ops._docs import documented_like
from striate.ops.conv_transpose.crops import output_paddings
from striate.ops.local_conv_transpose.op import local_conv_transpose1d, local_conv_transpose2d, local_conv_transpose3d

_FUNCTIONS = (local_conv_transpose1d, local_conv_transpose2d, local_conv_transpose3d)


class LocalConvTransposeNd(LocalNd):
    """Transposed unshared convolution along any number of axes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        input_size: Size | None = None,
        stride: Size = 1,
        padding: Padding | Sequence[Padding] = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: LocalBias = "unshared",
        dilation: Size = 1,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype
        )  # fmt: skip
        for window in self.windows:
            window.crops()
        self.output_padding = output_paddings(type(self).__name__, output_padding, self._axes)
        self._begin(input_size)

    def _shapes(self, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        along = zip(self.windows, sizes, self.output_padding, strict=True)
        outputs = tuple(window.transposed_output_size(n, more) for window, n, more in along)
        return (*sizes, self.in_channels, self.out_channels // self.groups, *self.kernel_size), outputs

    def forward(self, input: Tensor) -> Tensor:
        """Convolve, transposed.

        Args:
            input: `(N, in_channels, *input_size)` or `(in_channels, *input_size)`.

        Returns:
            `(N, out_channels, *output sizes)` or `(out_channels, *output sizes)`.

        Raises:
            TypeError: if the input does not hold floating-point numbers.
            ValueError: if the input has another size than that for which the weights are made.
        """
        self._check_size(input)
        return _FUNCTIONS[self._axes - 1](
            input, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )  # fmt: skip


class LocalConvTranspose2d(LocalConvTransposeNd):
    """The transpose of a locally connected layer, which enlarges by its stride: `striate.local_conv_transpose2d`.

    Its weight is the very tensor of the `LocalConv2d` whose transpose it is, the one's output channels being the
    other's input channels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps; one number or one an axis.
        input_size: the size of the inputs, one number or one an axis; None for that of the first input, before which
            the parameters have no shape.
        stride: places of the output from one window to the next, at least 1.
        padding: places cropped from the output: a number, a tuple of numbers or pairs `(low, high)`, or "valid", "same"
            or "causal"; see `striate.geometry.Window.crops`.
        output_padding: places added to the high end of the output.
        groups: sets of channels that do not see one another.
        bias: what is added: "unshared" for a learned number of each channel and place of the output, "shared" for one
            of each channel, or False for nothing.
        dilation: places from one tap to the next, at least 1.
        device: where the parameters are.
        dtype: their type.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, channels are no multiple of the groups, or nothing is left of the
            output.

    Source:
        The adjoint of LeCun's locally connected layer, "Generalization and network design strategies", 1989. The
        formula is at `striate.local_conv_transpose2d`.

    Example:
        >>> layer = LocalConvTranspose2d(8, 3, 4, input_size=7, stride=2, padding="same")
        >>> layer(torch.zeros(1, 8, 7, 7)).shape
        torch.Size([1, 3, 14, 14])
    """

    _axes = 2


@documented_like(LocalConvTranspose2d)
class LocalConvTranspose1d(LocalConvTransposeNd):
    """The transpose of a locally connected layer over series: `striate.local_conv_transpose1d`.

    Example:
        >>> LocalConvTranspose1d(2, 2, 3, stride=2, padding=1, output_padding=1)(torch.zeros(1, 2, 5)).shape
        torch.Size([1, 2, 10])
    """

    _axes = 1


@documented_like(LocalConvTranspose2d)
class LocalConvTranspose3d(LocalConvTransposeNd):
    """The transpose of a locally connected layer over volumes or clips: `striate.local_conv_transpose3d`.

    Example:
        >>> LocalConvTranspose3d(2, 1, 2, input_size=(3, 4, 4), stride=2)(torch.zeros(1, 2, 3, 4, 4)).shape
        torch.Size([1, 1, 6, 8, 8])
    """

    _axes = 3
