"""Any input size to a vector of a fixed length, as a layer."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from striate.ops._docs import documented_like
from striate.ops.spatial_pyramid_pool.op import (
    Reduction,
    spatial_pyramid_pool1d,
    spatial_pyramid_pool2d,
    spatial_pyramid_pool3d,
)

_FUNCTIONS = (spatial_pyramid_pool1d, spatial_pyramid_pool2d, spatial_pyramid_pool3d)


class SpatialPyramidPoolNd(nn.Module):
    """Grids of bins, along any number of axes."""

    _axes: ClassVar[int]

    def __init__(self, levels: Sequence[int | Sequence[int]], *, reduction: Reduction = "max") -> None:
        super().__init__()
        self.levels, self.reduction = tuple(levels), reduction

    def forward(self, input: Tensor) -> Tensor:
        """Pool each level, and write the levels one behind the other.

        Args:
            input: `(N, C, *sizes)` or `(C, *sizes)`.

        Returns:
            `(N, C * bins)` or `(C * bins,)`, where bins are those of all levels together.
        """
        return _FUNCTIONS[self._axes - 1](input, self.levels, reduction=self.reduction)

    def extra_repr(self) -> str:
        """The settings."""
        return f"levels={self.levels}, reduction={self.reduction!r}"


class SpatialPyramidPool2d(SpatialPyramidPoolNd):
    """Pictures of any size to vectors of a fixed length: `striate.spatial_pyramid_pool2d` as a layer.

    It stands between the last convolution and the first linear layer, so that a network takes any size of picture.

    Args:
        levels: bins of each level, at least 1: one number for all axes, or one an axis.
        reduction: what a bin gives: its "max" or its "average".

    Source:
        He, Zhang, Ren and Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition",
        2014, https://arxiv.org/abs/1406.4729.

    Example:
        >>> import torch
        >>> SpatialPyramidPool2d((4, 2, 1))(torch.zeros(2, 8, 13, 10)).shape
        torch.Size([2, 168])
    """

    _axes = 2


@documented_like(SpatialPyramidPool2d)
class SpatialPyramidPool1d(SpatialPyramidPoolNd):
    """Series of any length to vectors of a fixed length: `striate.spatial_pyramid_pool1d` as a layer.

    Example:
        >>> import torch
        >>> SpatialPyramidPool1d((4, 2, 1), reduction="average")(torch.zeros(2, 8, 13)).shape
        torch.Size([2, 56])
    """

    _axes = 1


@documented_like(SpatialPyramidPool2d)
class SpatialPyramidPool3d(SpatialPyramidPoolNd):
    """Volumes or clips of any size to vectors of a fixed length: `striate.spatial_pyramid_pool3d` as a layer.

    Example:
        >>> import torch
        >>> SpatialPyramidPool3d((1, (1, 2, 2)))(torch.zeros(2, 8, 5, 6, 7)).shape
        torch.Size([2, 40])
    """

    _axes = 3
