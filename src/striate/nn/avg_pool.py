"""Averages of windows as layers."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from striate import geometry
from striate.geometry import Window
from striate.geometry.padding import Padding
from striate.nn._windowed import Size
from striate.ops._docs import documented_like
from striate.ops.avg_pool.op import avg_pool1d, avg_pool2d, avg_pool3d, check_divisor

_FUNCTIONS = (avg_pool1d, avg_pool2d, avg_pool3d)


class AvgPoolNd(nn.Module):
    """Averages of windows along any number of axes."""

    _axes: ClassVar[int]

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding | Sequence[Padding] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        dilation: Size = 1,
    ) -> None:
        super().__init__()
        stride = kernel_size if stride is None else stride
        along = geometry.windows(self._axes, kernel_size, stride, padding, dilation, ceil_mode)
        check_divisor(type(self).__name__, count_include_pad, divisor_override)
        each = self._axes == 1
        self.kernel_size: Size = (along[0].kernel,) if each else kernel_size
        self.stride: Size = (along[0].stride,) if each else stride
        self.padding = (along[0].padding,) if each and isinstance(padding, int) else padding
        self.dilation, self.ceil_mode = dilation, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows of the layer, one an axis."""
        return geometry.windows(self._axes, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def forward(self, input: Tensor) -> Tensor:
        """Take the average of each window.

        Args:
            input: `(N, C, *sizes)` or `(C, *sizes)`.

        Returns:
            `(N, C, *output sizes)` or `(C, *output sizes)`.
        """
        settings = self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        return _FUNCTIONS[self._axes - 1](input, *settings, self.divisor_override, dilation=self.dilation)

    def extra_repr(self) -> str:
        """The settings as PyTorch's layers show them, and a dilation if there is one."""
        shown = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}"
        return shown if self.dilation in (1, (1,) * self._axes) else f"{shown}, dilation={self.dilation}"


class AvgPool2d(AvgPoolNd):
    """The average of each window of a picture: `striate.avg_pool2d` as a layer.

    Args:
        kernel_size: taps; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis; None for the kernel size.
        padding: places added around the input, in every form that `striate.avg_pool2d` takes.
        ceil_mode: whether a last window may hang over the end.
        count_include_pad: whether places of the padding are counted.
        divisor_override: what sums are divided by instead of the count, not 0; None for the count.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Example:
        >>> import torch
        >>> AvgPool2d(2)(torch.arange(16.0).view(1, 4, 4))
        tensor([[[ 2.5000,  4.5000],
                 [10.5000, 12.5000]]])
    """

    _axes = 2


@documented_like(AvgPool2d)
class AvgPool1d(AvgPoolNd):
    """The average of each window of a series: `striate.avg_pool1d` as a layer.

    Example:
        >>> import torch
        >>> AvgPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
        tensor([[2., 1.]])
    """

    _axes = 1


@documented_like(AvgPool2d)
class AvgPool3d(AvgPoolNd):
    """The average of each window of a volume or clip: `striate.avg_pool3d` as a layer.

    Example:
        >>> import torch
        >>> AvgPool3d((1, 2, 2))(torch.ones(1, 2, 4, 8, 8)).shape
        torch.Size([1, 2, 4, 4, 4])
    """

    _axes = 3
