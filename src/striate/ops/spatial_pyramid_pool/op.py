"""Spatial pyramid pooling: the door."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from striate.geometry.checks import check_integer
from striate.ops._docs import documented_like
from striate.ops._door import announced, check_input
from striate.ops.adaptive_pool.op import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)

Reduction: TypeAlias = Literal["max", "average"]

_POOLS: dict[str, tuple[Callable[..., Tensor], ...]] = {
    "max": (adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d),
    "average": (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d),
}


@announced
def spatial_pyramid_pool2d(
    input: Tensor, levels: Sequence[int | Sequence[int]], *, reduction: Reduction = "max"
) -> Tensor:
    """Reduce pictures of any size to a vector of a fixed length: grids of bins, from coarse to fine or as they come.

    Each level is an adaptive pooling to its own grid of bins (see `adaptive_max_pool2d` for their windows), flattened
    channel by channel, the bins of a channel in the order of rows; the levels follow one another as they are given, as
    He's and Caffe's layers have it. With levels 1, 2, 4 a picture gives 1 + 4 + 16 numbers a channel. Where a level has
    more bins than the input has places, bins repeat.

    Args:
        input: `(N, C, *sizes)` or `(C, *sizes)`, floating-point, no size 0.
        levels: bins of each level, at least 1: one number for all axes, or one an axis. He and others have 6, 3, 2, 1.
        reduction: what a bin gives: its "max" or its "average".

    Returns:
        `(N, C * bins)` or `(C * bins,)`, where bins are those of all levels together, in the input's dtype, under
        autocast, too.

    Raises:
        TypeError: if the input is not floating-point, or a level no integer.
        ValueError: if ranks do not fit, there is no level, the input is empty along an axis, a level is below 1, or the
            reduction is unknown.

    Source:
        He, Zhang, Ren and Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition",
        2014, https://arxiv.org/abs/1406.4729. Caffe's layer places its bins a little differently where a level does
        not divide the size of the input.

    Example:
        >>> import torch
        >>> spatial_pyramid_pool2d(torch.arange(16.0).view(1, 4, 4), (1, 2))
        tensor([15.,  5.,  7., 13., 15.])
        >>> spatial_pyramid_pool2d(torch.zeros(2, 256, 13, 10), (6, 3, 2, 1)).shape
        torch.Size([2, 12800])
    """
    return _spatial_pyramid_pool("spatial_pyramid_pool2d", 2, input, levels, reduction)


@announced
@documented_like(spatial_pyramid_pool2d)
def spatial_pyramid_pool1d(
    input: Tensor, levels: Sequence[int | Sequence[int]], *, reduction: Reduction = "max"
) -> Tensor:
    """Reduce series of any length to a vector of a fixed length; `spatial_pyramid_pool2d` along one axis.

    Example:
        >>> import torch
        >>> spatial_pyramid_pool1d(torch.tensor([[1.0, 2.0, 5.0, 3.0]]), (2, 1), reduction="average")
        tensor([1.5000, 4.0000, 2.7500])
    """
    return _spatial_pyramid_pool("spatial_pyramid_pool1d", 1, input, levels, reduction)


@announced
@documented_like(spatial_pyramid_pool2d)
def spatial_pyramid_pool3d(
    input: Tensor, levels: Sequence[int | Sequence[int]], *, reduction: Reduction = "max"
) -> Tensor:
    """Reduce volumes or clips of any size to a vector of a fixed length; `spatial_pyramid_pool2d` along three axes.

    Example:
        >>> import torch
        >>> spatial_pyramid_pool3d(torch.zeros(2, 4, 7, 9, 9), (1, (1, 2, 2))).shape
        torch.Size([2, 20])
    """
    return _spatial_pyramid_pool("spatial_pyramid_pool3d", 3, input, levels, reduction)


def _spatial_pyramid_pool(
    name: str, axes: int, input: Tensor, levels: Sequence[int | Sequence[int]], reduction: Reduction
) -> Tensor:
    check_input(name, input, axes)
    if reduction not in get_args(Reduction):
        raise ValueError(f"{name}: reduction must be one of {', '.join(get_args(Reduction))}, got {reduction!r}")
    if not isinstance(levels, Sequence) or len(levels) < 1:
        raise ValueError(f"{name}: levels must be a sequence of at least one, got {levels!r}")
    for level in levels:
        bins = tuple(level) if isinstance(level, Sequence) else (level,) * axes
        if len(bins) != axes:
            raise ValueError(f"{name}: a level must be one number or one an axis ({axes}), got {level!r}")
        for number in bins:
            check_integer(f"{name}: a level", number, 1)
    pool = _POOLS[reduction][axes - 1]
    # In channels-last the bins of a channel lie apart, and flattening copies them into their order.
    return torch.cat([pool(input, level).flatten(-axes - 1) for level in levels], -1)
