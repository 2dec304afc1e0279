"""Anti-aliased strides as layers."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from striate import geometry
from striate.geometry import Window
from striate.geometry.padding import Padding
from striate.nn._windowed import Size
from striate.ops._docs import documented_like
from striate.ops.blur_pool.op import Surroundings, blur_pool1d, blur_pool2d, blur_pool3d
from striate.ops.max_pool.op import max_pool1d, max_pool2d, max_pool3d

_FUNCTIONS = (blur_pool1d, blur_pool2d, blur_pool3d)
_MAXIMA = (max_pool1d, max_pool2d, max_pool3d)


class BlurPoolNd(nn.Module):
    """A blur and a stride, along any number of axes."""

    _axes: ClassVar[int]

    def __init__(
        self,
        kernel_size: Size = 3,
        stride: Size = 2,
        *,
        padding: Padding | Sequence[Padding] = "same",
        padding_mode: Surroundings = "reflect",
    ) -> None:
        super().__init__()
        geometry.windows(self._axes, kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding, self.padding_mode = kernel_size, stride, padding, padding_mode

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows of the layer, one an axis."""
        return geometry.windows(self._axes, self.kernel_size, self.stride, self.padding)

    def forward(self, input: Tensor) -> Tensor:
        """Blur, and take every few places.

        Args:
            input: `(N, C, *sizes)` or `(C, *sizes)`.

        Returns:
            `(N, C, *output sizes)` or `(C, *output sizes)`.
        """
        return _FUNCTIONS[self._axes - 1](
            input, self.kernel_size, self.stride, padding=self.padding, padding_mode=self.padding_mode
        )

    def extra_repr(self) -> str:
        """The settings."""
        shown = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}"
        return f"{shown}, padding_mode={self.padding_mode!r}"


class BlurPool2d(BlurPoolNd):
    """A stride that does not alias: `striate.blur_pool2d` as a layer.

    Put it behind a layer whose stride has been set to 1 and its activation, as Zhang does.

    Args:
        kernel_size: taps of the binomial blur; one number or one an axis.
        stride: places from one window to the next, at least 1.
        padding: places added around the input, in any form of `striate.blur_pool2d`.
        padding_mode: what lies outside the input: "zeros", "reflect", "replicate" or "circular".

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Source:
        Zhang, "Making convolutional networks shift-invariant again", ICML 2019, https://arxiv.org/abs/1904.11486.

    Example:
        >>> import torch
        >>> BlurPool2d()(torch.zeros(1, 8, 13, 10)).shape
        torch.Size([1, 8, 7, 5])
    """

    _axes = 2


@documented_like(BlurPool2d)
class BlurPool1d(BlurPoolNd):
    """A stride along a series that does not alias: `striate.blur_pool1d` as a layer.

    Example:
        >>> import torch
        >>> BlurPool1d(4)(torch.zeros(1, 8, 13)).shape
        torch.Size([1, 8, 7])
    """

    _axes = 1


@documented_like(BlurPool2d)
class BlurPool3d(BlurPoolNd):
    """A stride along a volume or clip that does not alias: `striate.blur_pool3d` as a layer.

    Example:
        >>> import torch
        >>> BlurPool3d((1, 3, 3), (1, 2, 2))(torch.zeros(1, 8, 5, 6, 9)).shape
        torch.Size([1, 8, 5, 3, 5])
    """

    _axes = 3


class MaxBlurPoolNd(BlurPoolNd):
    """A maximum at every place, a blur and a stride, along any number of axes."""

    def __init__(
        self,
        window_size: Size = 2,
        kernel_size: Size = 3,
        stride: Size = 2,
        *,
        padding: Padding | Sequence[Padding] = "same",
        padding_mode: Surroundings = "reflect",
    ) -> None:
        super().__init__(kernel_size, stride, padding=padding, padding_mode=padding_mode)
        geometry.windows(self._axes, window_size)
        self.window_size = window_size

    def forward(self, input: Tensor) -> Tensor:
        """Take maxima, blur, and take every few places.

        Args:
            input: `(N, C, *sizes)` or `(C, *sizes)`.

        Returns:
            `(N, C, *output sizes)` or `(C, *output sizes)`; the maxima are one less than their window smaller.
        """
        maxima: Tensor = _MAXIMA[self._axes - 1](input, self.window_size, 1)
        return super().forward(maxima)

    def extra_repr(self) -> str:
        """The settings."""
        return f"window_size={self.window_size}, {super().extra_repr()}"


class MaxBlurPool2d(MaxBlurPoolNd):
    """A maximum whose stride does not alias: `striate.max_pool2d` at every place, then `striate.blur_pool2d`.

    Args:
        window_size: taps of the maximum; one number or one an axis.
        kernel_size: taps of the binomial blur; one number or one an axis.
        stride: places from one output to the next, at least 1.
        padding: places added around the maxima, in any form of `striate.blur_pool2d`.
        padding_mode: what lies outside of them: "zeros", "reflect", "replicate" or "circular".

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Source:
        Zhang, "Making convolutional networks shift-invariant again", ICML 2019, section 3.2,
        https://arxiv.org/abs/1904.11486.

    Example:
        >>> import torch
        >>> MaxBlurPool2d()(torch.zeros(1, 8, 13, 10)).shape
        torch.Size([1, 8, 6, 5])
    """

    _axes = 2


@documented_like(MaxBlurPool2d)
class MaxBlurPool1d(MaxBlurPoolNd):
    """A maximum along a series whose stride does not alias: `striate.max_pool1d`, then `striate.blur_pool1d`.

    Example:
        >>> import torch
        >>> MaxBlurPool1d(3)(torch.zeros(1, 8, 13)).shape
        torch.Size([1, 8, 6])
    """

    _axes = 1


@documented_like(MaxBlurPool2d)
class MaxBlurPool3d(MaxBlurPoolNd):
    """A maximum along a volume or clip whose stride does not alias: `striate.max_pool3d`, then `striate.blur_pool3d`.

    Example:
        >>> import torch
        >>> MaxBlurPool3d()(torch.zeros(1, 8, 5, 6, 9)).shape
        torch.Size([1, 8, 2, 3, 4])
    """

    _axes = 3
