"""Maxima of windows as layers."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from striate import geometry
from striate.geometry import Window
from striate.geometry.padding import Padding
from striate.nn._windowed import Size
from striate.ops._docs import documented_like
from striate.ops.max_pool.op import max_pool1d, max_pool2d, max_pool3d

_FUNCTIONS = (max_pool1d, max_pool2d, max_pool3d)


class MaxPoolNd(nn.Module):
    """Maxima of windows along any number of axes."""

    _axes: ClassVar[int]

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding | Sequence[Padding] = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        stride = kernel_size if stride is None else stride
        geometry.windows(self._axes, kernel_size, stride, padding, dilation, ceil_mode)
        if not isinstance(return_indices, bool):
            raise TypeError(f"return_indices must be True or False, got {return_indices!r}")
        self.kernel_size, self.padding, self.dilation = kernel_size, padding, dilation
        self.stride = stride
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows of the layer, one an axis."""
        return geometry.windows(self._axes, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def forward(self, input: Tensor) -> Any:
        """Take the largest number of each window.

        Args:
            input: `(N, C, *sizes)` or `(C, *sizes)`.

        Returns:
            `(N, C, *output sizes)` or `(C, *output sizes)`, with `return_indices` a pair of this and the indices.
        """
        return _FUNCTIONS[self._axes - 1](
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        """The settings as PyTorch's layers show them."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool2d(MaxPoolNd):
    """The largest number of each window of a picture: `striate.max_pool2d` as a layer.

    Args:
        kernel_size: taps; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis; None for the kernel size.
        padding: places added around the input, in every form that `striate.max_pool2d` takes.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.
        return_indices: whether to return where the largest numbers are, too, as `MaxUnpool2d` takes it.
        ceil_mode: whether a last window may hang over the end.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Example:
        >>> import torch
        >>> MaxPool2d(3, stride=2, padding="same")(torch.ones(1, 8, 16, 16)).shape
        torch.Size([1, 8, 8, 8])
    """

    _axes = 2


@documented_like(MaxPool2d)
class MaxPool1d(MaxPoolNd):
    """The largest number of each window of a series: `striate.max_pool1d` as a layer.

    Example:
        >>> import torch
        >>> MaxPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
        tensor([[3., 2.]])
    """

    _axes = 1


@documented_like(MaxPool2d)
class MaxPool3d(MaxPoolNd):
    """The largest number of each window of a volume or clip: `striate.max_pool3d` as a layer.

    Example:
        >>> import torch
        >>> MaxPool3d((1, 2, 2))(torch.ones(1, 2, 4, 8, 8)).shape
        torch.Size([1, 2, 4, 4, 4])
    """

    _axes = 3
