"""Windows as columns of a matrix, and back: the door."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, check_alike, check_input, place
from striate.ops._padding import PaddingMode, pad
from striate.ops.im2col.columns import add_windows, read_windows

Surroundings: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]


@announced
def im2col2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: int | Sequence[int] = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    border: Tensor | None = None,
) -> Tensor:
    """Write what each window reads into a column, so that a convolution becomes one product of matrices.

    `columns[n, c * taps + k, p] = input[n, c, p * stride + k * dilation - low]`, taps k and placements p in the order
    of rows, as `torch.nn.functional.unfold` has it. Every value is copied as often as windows read it.

    Args:
        input: `(N, C, *sizes)` or `(C, *sizes)`, floating-point.
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis.
        padding: places added around the input: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid", "same", "same_upper", "same_lower", "half", "full", "causal"; see
            `striate.geometry.Window`.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.
        padding_mode: what lies outside the input: "zeros", "reflect", "replicate", "circular", or "constant" for
            `border`.
        border: `(C,)`, the value of each channel outside the input, with "constant" only.

    Returns:
        `(N, C * taps, placements)` or `(C * taps, placements)` in the input's dtype, under autocast, too.

    Raises:
        TypeError: if the input is not floating-point, or the border has another dtype.
        ValueError: if ranks, devices or sizes do not fit, the window is larger than the padded input, or a setting is
            out of its range.

    Source:
        Chellapilla, Puri and Simard, "High performance convolutional neural networks for document processing", 2006,
        https://inria.hal.science/inria-00112631.

    Example:
        >>> import torch
        >>> im2col2d(torch.arange(9.0).view(1, 3, 3), 2)
        tensor([[0., 1., 3., 4.],
                [1., 2., 4., 5.],
                [3., 4., 6., 7.],
                [4., 5., 7., 8.]])
    """
    return _im2col("im2col2d", 2, input, kernel_size, stride, padding, dilation, padding_mode, border)


@announced
@documented_like(im2col2d)
def im2col1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: int | Sequence[int] = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    border: Tensor | None = None,
) -> Tensor:
    """Write what each window of a series reads into a column; `im2col2d` along one axis.

    Example:
        >>> import torch
        >>> im2col1d(torch.arange(4.0).view(1, 4), 2, padding="causal")
        tensor([[0., 0., 1., 2.],
                [0., 1., 2., 3.]])
    """
    return _im2col("im2col1d", 1, input, kernel_size, stride, padding, dilation, padding_mode, border)


@announced
@documented_like(im2col2d)
def im2col3d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: int | Sequence[int] = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    border: Tensor | None = None,
) -> Tensor:
    """Write what each window of a volume or clip reads into a column; `im2col2d` along three axes.

    Example:
        >>> import torch
        >>> im2col3d(torch.ones(2, 3, 4, 8, 8), (2, 3, 3), padding=("causal", 1, 1)).shape
        torch.Size([2, 54, 256])
    """
    return _im2col("im2col3d", 3, input, kernel_size, stride, padding, dilation, padding_mode, border)


@announced
def col2im2d(
    columns: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: int | Sequence[int] = 1,
    *,
    padding_mode: Surroundings = "zeros",
) -> Tensor:
    """Add each column to the places its window has read: the adjoint of `im2col2d`, and its gradient.

    `output[n, c, i]` is the sum of `columns[n, c * taps + k, p]` over all taps k and placements p that read i; what
    lies in the padding is dropped, or added to the place that the padding repeats there. `col2im2d(im2col2d(x))` is x
    times how often each place is read.

    Args:
        columns: `(N, C * taps, placements)` or `(C * taps, placements)`, floating-point.
        output_size: the sizes of what `im2col2d` read; one number or one an axis.
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis.
        padding: places that were added around the input of `im2col2d`, in any of its forms.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.
        padding_mode: that of `im2col2d`: "zeros", for "constant" as well, "reflect", "replicate" or "circular".

    Returns:
        `(N, C, *output_size)` or `(C, *output_size)` in the dtype of the columns, under autocast, too.

    Raises:
        TypeError: if the columns are not floating-point.
        ValueError: if ranks or sizes do not fit, the window is larger than the padded output, or a setting is out of
            its range.

    Source:
        Chellapilla, Puri and Simard, "High performance convolutional neural networks for document processing", 2006,
        https://inria.hal.science/inria-00112631.

    Example:
        >>> import torch
        >>> col2im2d(torch.ones(4, 4), 3, kernel_size=2)
        tensor([[[1., 2., 1.],
                 [2., 4., 2.],
                 [1., 2., 1.]]])
    """
    return _col2im("col2im2d", 2, columns, output_size, kernel_size, stride, padding, dilation, padding_mode)


@announced
@documented_like(col2im2d)
def col2im1d(
    columns: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: int | Sequence[int] = 1,
    *,
    padding_mode: Surroundings = "zeros",
) -> Tensor:
    """Add each column to the places of a series its window has read; `col2im2d` along one axis.

    Example:
        >>> import torch
        >>> col2im1d(torch.ones(2, 3), 4, kernel_size=2)
        tensor([[1., 2., 2., 1.]])
    """
    return _col2im("col2im1d", 1, columns, output_size, kernel_size, stride, padding, dilation, padding_mode)


@announced
@documented_like(col2im2d)
def col2im3d(
    columns: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: int | Sequence[int] = 1,
    *,
    padding_mode: Surroundings = "zeros",
) -> Tensor:
    """Add each column to the places of a volume or clip its window has read; `col2im2d` along three axes.

    Example:
        >>> import torch
        >>> col2im3d(torch.ones(2, 54, 256), (4, 8, 8), (2, 3, 3), padding=("causal", 1, 1)).shape
        torch.Size([2, 3, 4, 8, 8])
    """
    return _col2im("col2im3d", 3, columns, output_size, kernel_size, stride, padding, dilation, padding_mode)


def _im2col(
    name: str,
    axes: int,
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int],
    padding: Padding | Sequence[Padding],
    dilation: int | Sequence[int],
    padding_mode: PaddingMode,
    border: Tensor | None,
) -> Tensor:
    check_input(name, input, axes)
    check_alike(name, input=input, border=border)
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    along, low, high = place(name, axes, kernel_size, stride, padding, dilation, batch.shape[2:])
    if padding_mode != "zeros" or border is not None or any(low) or any(high):
        batch = pad(name, batch, low, high, padding_mode, border)
    columns = read_windows(batch, [w.kernel for w in along], [w.stride for w in along], [w.dilation for w in along])
    return columns if input.ndim == axes + 2 else columns.squeeze(0)


def _col2im(
    name: str,
    axes: int,
    columns: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int],
    padding: Padding | Sequence[Padding],
    dilation: int | Sequence[int],
    padding_mode: Surroundings,
) -> Tensor:
    if padding_mode not in get_args(Surroundings):
        raise ValueError(
            f"{name}: padding_mode must be one of {', '.join(get_args(Surroundings))}, got {padding_mode!r}"
        )
    if not columns.is_floating_point():
        raise TypeError(f"{name}: columns must hold floating-point numbers, got {columns.dtype}")
    sizes = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * axes
    if len(sizes) != axes:
        raise ValueError(f"{name}: output_size must be one number or one an axis ({axes}), got {output_size!r}")
    along, low, high = place(name, axes, kernel_size, stride, padding, dilation, sizes)
    taps = math.prod([window.kernel for window in along])
    placed = math.prod([window.output_size(n) for window, n in zip(along, sizes, strict=True)])
    if columns.ndim not in (2, 3) or columns.shape[-2] % taps or columns.shape[-1] != placed:
        raise ValueError(
            f"{name}: columns must be (N, C * {taps}, {placed}) or (C * {taps}, {placed}) for an output of {sizes}, "
            f"got {tuple(columns.shape)}"
        )
    batch = columns if columns.ndim == 3 else columns.unsqueeze(0)
    padded = [a + n + b for a, n, b in zip(low, sizes, high, strict=True)]
    sums = add_windows(batch, padded, [w.kernel for w in along], [w.stride for w in along], [w.dilation for w in along])
    if padding_mode != "zeros":
        sums = _returned(name, sums, sizes, low, high, padding_mode)
    elif any(low) or any(high):
        for axis, (start, n) in enumerate(zip(low, sizes, strict=True), start=2):
            sums = sums.narrow(axis, start, n)
        sums = sums.contiguous()
    return sums if columns.ndim == 3 else sums.squeeze(0)


def _returned(
    name: str, sums: Tensor, sizes: Sequence[int], low: Sequence[int], high: Sequence[int], mode: Surroundings
) -> Tensor:
    """The sums of the padded places, each added to the place that the padding repeats there."""
    places = torch.arange(math.prod(sizes)).view(1, 1, *sizes)
    origins = pad(name, places, low, high, mode, None).flatten().to(sums.device)
    images, channels = sums.shape[:2]
    flat = sums.new_zeros(images, channels, math.prod(sizes))
    return flat.scatter_add(2, origins.expand(images, channels, -1), sums.flatten(2)).view(images, channels, *sizes)
