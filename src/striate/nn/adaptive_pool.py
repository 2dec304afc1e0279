"""Pooling of any input size to a wished output size, as layers."""

from typing import ClassVar

from torch import Tensor, nn

from striate.ops._docs import documented_like
from striate.ops.adaptive_pool.op import (
    OutputSize,
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)

_AVERAGES = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)
_MAXIMA = (adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d)


class AdaptiveMaxPoolNd(nn.Module):
    """The largest number of each window, along any number of axes."""

    _axes: ClassVar[int]

    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Pool.

        Args:
            input: `(N, C, *sizes)` or `(C, *sizes)`.

        Returns:
            `(N, C, *output_size)` or `(C, *output_size)`, with `return_indices` also where the winners are.
        """
        return _MAXIMA[self._axes - 1](input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """The settings as PyTorch's layer shows them."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(AdaptiveMaxPoolNd):
    """The largest number of each window, as many windows as wished: `striate.adaptive_max_pool2d` as a layer.

    Args:
        output_size: outputs, at least 1; one number or one an axis, None for as many as the input has there.
        return_indices: whether to return where the winners are, too.

    Example:
        >>> import torch
        >>> AdaptiveMaxPool2d((7, None))(torch.zeros(1, 8, 13, 10)).shape
        torch.Size([1, 8, 7, 10])
    """

    _axes = 2


@documented_like(AdaptiveMaxPool2d)
class AdaptiveMaxPool1d(AdaptiveMaxPoolNd):
    """The largest number of each window of a series: `striate.adaptive_max_pool1d` as a layer.

    Example:
        >>> import torch
        >>> AdaptiveMaxPool1d(4)(torch.zeros(1, 8, 13)).shape
        torch.Size([1, 8, 4])
    """

    _axes = 1


@documented_like(AdaptiveMaxPool2d)
class AdaptiveMaxPool3d(AdaptiveMaxPoolNd):
    """The largest number of each window of a volume or clip: `striate.adaptive_max_pool3d` as a layer.

    Example:
        >>> import torch
        >>> AdaptiveMaxPool3d(1)(torch.zeros(1, 8, 5, 6, 7)).shape
        torch.Size([1, 8, 1, 1, 1])
    """

    _axes = 3


class AdaptiveAvgPoolNd(nn.Module):
    """The mean of each window, along any number of axes."""

    _axes: ClassVar[int]

    def __init__(self, output_size: OutputSize) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """Pool.

        Args:
            input: `(N, C, *sizes)` or `(C, *sizes)`.

        Returns:
            `(N, C, *output_size)` or `(C, *output_size)`.
        """
        return _AVERAGES[self._axes - 1](input, self.output_size)

    def extra_repr(self) -> str:
        """The settings as PyTorch's layer shows them."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(AdaptiveAvgPoolNd):
    """The mean of each window, as many windows as wished: `striate.adaptive_avg_pool2d` as a layer.

    Args:
        output_size: outputs, at least 1; one number or one an axis, None for as many as the input has there.

    Example:
        >>> import torch
        >>> AdaptiveAvgPool2d(1)(torch.zeros(1, 8, 13, 10)).shape
        torch.Size([1, 8, 1, 1])
    """

    _axes = 2


@documented_like(AdaptiveAvgPool2d)
class AdaptiveAvgPool1d(AdaptiveAvgPoolNd):
    """The mean of each window of a series: `striate.adaptive_avg_pool1d` as a layer.

    Example:
        >>> import torch
        >>> AdaptiveAvgPool1d(4)(torch.zeros(1, 8, 13)).shape
        torch.Size([1, 8, 4])
    """

    _axes = 1


@documented_like(AdaptiveAvgPool2d)
class AdaptiveAvgPool3d(AdaptiveAvgPoolNd):
    """The mean of each window of a volume or clip: `striate.adaptive_avg_pool3d` as a layer.

    Example:
        >>> import torch
        >>> AdaptiveAvgPool3d((None, 1, 1))(torch.zeros(1, 8, 5, 6, 7)).shape
        torch.Size([1, 8, 5, 1, 1])
    """

    _axes = 3
