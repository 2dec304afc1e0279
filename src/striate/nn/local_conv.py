"""Unshared convolution as layers."""

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from striate.geometry.padding import Padding
from striate.nn._windowed import Size, border_values
from striate.nn.local_layer import LocalBias, LocalNd
from striate.ops._docs import documented_like
from striate.ops._padding import PaddingMode
from striate.ops.local_conv.op import local_conv1d, local_conv2d, local_conv3d

_FUNCTIONS = (local_conv1d, local_conv2d, local_conv3d)


class LocalConvNd(LocalNd):
    """Unshared convolution along any number of axes."""

    border: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        input_size: Size | None = None,
        stride: Size = 1,
        padding: Padding | Sequence[Padding] = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: LocalBias = "unshared",
        padding_mode: PaddingMode = "zeros",
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
        *,
        border: float | Sequence[float] = 0.0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype
        )  # fmt: skip
        if padding_mode not in get_args(PaddingMode):
            raise ValueError(f"padding_mode must be one of {', '.join(get_args(PaddingMode))}, got {padding_mode!r}")
        if padding_mode != "constant" and not (isinstance(border, int | float) and border == 0):
            raise ValueError(f"border goes with padding_mode 'constant', got {padding_mode!r}")
        self.padding_mode: PaddingMode = padding_mode
        dtype = dtype or torch.get_default_dtype()
        values = border_values(border, in_channels).to(device, dtype) if padding_mode == "constant" else None
        self.register_buffer("border", values)
        self._begin(input_size)

    def _shapes(self, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        outputs = tuple(window.output_size(n) for window, n in zip(self.windows, sizes, strict=True))
        return (*outputs, self.out_channels, self.in_channels // self.groups, *self.kernel_size), outputs

    def forward(self, input: Tensor) -> Tensor:
        """Convolve.

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
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups,
            padding_mode=self.padding_mode, border=self.border,
        )  # fmt: skip


class LocalConv2d(LocalConvNd):
    """A locally connected layer: filters over pictures that every place has for itself, `striate.local_conv2d`.

    Where pictures are all taken alike, as of faces cut out and turned upright, another thing is worth looking for at
    each place. The weights are as many as a convolution's, times the places of the output.

    Args:
        in_channels: channels of the input.
        out_channels: filters of a place, and so channels of the output.
        kernel_size: taps; one number or one an axis.
        input_size: the size of the inputs, one number or one an axis; None for that of the first input, before which
            the parameters have no shape.
        stride: places from one window to the next, at least 1.
        padding: places added around the input: a number, a tuple of numbers or pairs `(low, high)`, or a word, such as
            "same" or "causal"; see `striate.geometry.Window`.
        dilation: places from one tap to the next, at least 1.
        groups: sets of channels that do not see one another.
        bias: what is added: "unshared" for a learned number of each filter and place, "shared" for one of each output
            channel, or False for nothing.
        padding_mode: what lies outside the input: "zeros", "reflect", "replicate", "circular", or "constant" for
            `border`.
        device: where the parameters are.
        dtype: their type.
        border: the value outside the input, one for all channels or one a channel, with "constant" only.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, channels are no multiple of the groups, or the window is larger
            than the padded input.

    Source:
        LeCun, "Generalization and network design strategies", 1989; Taigman, Yang, Ranzato and Wolf, "DeepFace", CVPR
        2014. The formula is at `striate.local_conv2d`.

    Example:
        >>> layer = LocalConv2d(3, 8, 3, stride=2, padding=1)
        >>> layer(torch.zeros(1, 3, 15, 15)).shape
        torch.Size([1, 8, 8, 8])
        >>> layer.weight.shape, layer.bias.shape
        (torch.Size([8, 8, 8, 3, 3, 3]), torch.Size([8, 8, 8]))
    """

    _axes = 2


@documented_like(LocalConv2d)
class LocalConv1d(LocalConvNd):
    """A locally connected layer over series: `striate.local_conv1d`, `LocalConv2d` along one axis.

    Example:
        >>> LocalConv1d(2, 4, 3, input_size=10, padding="causal")(torch.zeros(1, 2, 10)).shape
        torch.Size([1, 4, 10])
    """

    _axes = 1


@documented_like(LocalConv2d)
class LocalConv3d(LocalConvNd):
    """A locally connected layer over volumes or clips: `striate.local_conv3d`, `LocalConv2d` along three axes.

    Example:
        >>> LocalConv3d(1, 4, 3, input_size=(5, 8, 8), padding="same")(torch.zeros(1, 1, 5, 8, 8)).shape
        torch.Size([1, 4, 5, 8, 8])
    """

    _axes = 3
