"""Reading windows into columns, and its adjoint, adding columns to the places they were read from.

PyTorch has both in two dimensions, several times slower. Each is the gradient of the other.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from striate.ops._door import in_transform


def read_windows(padded: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The windows of `(N, C, *sizes)` as `(N, C * taps, placements)`.

    Args:
        padded: the maps with their padding.
        kernel: taps, one number an axis, as all that follow.
        stride: places from one placement to the next.
        dilation: places from one tap to the next.

    Returns:
        A new tensor.
    """
    if torch.compiler.is_compiling() or in_transform():
        return _read_by_tap(padded, kernel, stride, dilation)
    columns: Tensor = _Read.apply(padded, kernel, stride, dilation)  # type: ignore[no-untyped-call]
    return columns


def add_windows(
    columns: Tensor, sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """The sums `(N, C, *sizes)` of the columns `(N, C * taps, placements)` that read each place.

    Args:
        columns: as `read_windows` returns them.
        sizes: those of the padded maps, one number an axis, as all that follow.
        kernel: taps.
        stride: places from one placement to the next.
        dilation: places from one tap to the next.

    Returns:
        A new tensor.
    """
    if torch.compiler.is_compiling() or in_transform():
        return _add(columns, sizes, kernel, stride, dilation)
    sums: Tensor = _Add.apply(columns, sizes, kernel, stride, dilation)  # type: ignore[no-untyped-call]
    return sums


def _under(
    maps: Tensor, tap: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """What one tap reads: a view `(N, C, *placements)`."""
    for axis, (t, k, s, d) in enumerate(zip(tap, kernel, stride, dilation, strict=True), start=2):
        # Indexing would make an alias of a whole axis, for which batched gradients have no rule.
        maps = torch.ops.aten.slice(maps, axis, t * d, maps.shape[axis] - (k - 1 - t) * d, s)
    return maps


def _read_by_tap(padded: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """`read_windows`, of operations that PyTorch can differentiate, batch and compile."""
    views = [_under(padded, tap, kernel, stride, dilation) for tap in product(*map(range, kernel))]
    return torch.stack(views, 2).flatten(1, 2).flatten(2)


def _read_at_once(padded: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """`read_windows` as one copy of one view, the fastest."""
    axes = len(kernel)
    views = padded
    for axis, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True), start=2):
        views = views.unfold(axis, d * (k - 1) + 1, s)
        if d > 1:
            views = views[..., ::d]
    # From (N, C, *placements, *taps) to (N, C, *taps, *placements).
    views = views.permute(0, 1, *range(axes + 2, 2 * axes + 2), *range(2, axes + 2))
    shape = padded.shape[0], padded.shape[1] * math.prod(kernel), math.prod(views.shape[axes + 2 :])
    return views.clone(memory_format=torch.contiguous_format).view(shape)


def _add(
    columns: Tensor, sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """`add_windows`, tap by tap; low precision is added in float32."""
    taps = math.prod(kernel)
    batch, channels = columns.shape[0], columns.shape[1] // taps
    each = columns.reshape(batch, channels, taps, columns.shape[2])
    sums = columns.new_zeros(batch, channels, *sizes, dtype=torch.promote_types(columns.dtype, torch.float32))
    for number, tap in enumerate(product(*map(range, kernel))):
        view = _under(sums, tap, kernel, stride, dilation)
        view += each.select(2, number).reshape(view.shape)
    return sums.to(columns.dtype)


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, padded: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
    ) -> Tensor:
        ctx.settings = padded.shape[2:], kernel, stride, dilation
        return _read_at_once(padded, kernel, stride, dilation)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return add_windows(grad, *ctx.settings), None, None, None


class _Add(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        columns: Tensor,
        sizes: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int],
    ) -> Tensor:
        ctx.settings = kernel, stride, dilation
        return _add(columns, sizes, kernel, stride, dilation)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return read_windows(grad, *ctx.settings), None, None, None, None
