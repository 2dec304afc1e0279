"""Numbers put back where a maximum has taken them from: the door."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from striate.geometry import windows
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, check_input, in_transform, memory_format
from striate.ops.dispatch import Route, take, with_kernels
from striate.ops.max_unpool import reference
from striate.ops.max_unpool.registered import max_unpool

Size: TypeAlias = int | Sequence[int]

_KERNELS = Route("kernels", "of numbers that name one place PyTorch takes any, and its gradient goes to all of them")


@announced
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put numbers back where `max_pool2d` has taken them from, zeros elsewhere.

    `output[n, c, indices[n, c, j]] = input[n, c, j]`. Where windows overlap, several numbers may name one place: the
    last of them in the order of rows is put there, and gets all of the gradient. The index -1, which `max_pool2d` gives
    to a window that sees nothing, names no place: its number goes nowhere.

    Args:
        input: `(N, C, *sizes)` or `(C, *sizes)`, floating-point.
        indices: of the input's shape and device, int64: places in a plane of the output, row by row, as `max_pool2d`
            and PyTorch's return them. They are checked outside of transforms, and on a GPU not while a CUDA graph is
            captured: an index that lies outside then names no place.
        kernel_size: taps of the window that has pooled; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis; None for the kernel size.
        padding: places that were added around: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid", "same", "causal"; see `geometry.Window`.
        output_size: what was pooled: its sizes, or all of its shape. None for `(n - 1) * stride + kernel - low - high`
            along each axis, the smallest that gives these outputs.

    Returns:
        `(N, C, *output_size)` or `(C, *output_size)` in the input's dtype and memory format, under autocast, too.

    Raises:
        TypeError: if the input is not floating-point, the indices are not int64, or a setting has the wrong type.
        ValueError: if ranks, shapes or devices do not fit, an index lies outside of the output, or a setting is out of
            its range.

    Source:
        Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 2.1,
        https://arxiv.org/abs/1311.2901.

    Example:
        >>> largest, indices = torch.tensor([[[5.0]]]), torch.tensor([[[2]]])
        >>> max_unpool2d(largest, indices, 2)
        tensor([[[0., 0.],
                 [5., 0.]]])
    """
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


@announced
@documented_like(max_unpool2d)
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put numbers back where `max_pool1d` has taken them from; `max_unpool2d` along one axis.

    Example:
        >>> max_unpool1d(torch.tensor([[7.0, 8.0]]), torch.tensor([[1, 2]]), 2, output_size=(5,))
        tensor([[0., 7., 8., 0., 0.]])
    """
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


@announced
@documented_like(max_unpool2d)
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding | Sequence[Padding] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put numbers back where `max_pool3d` has taken them from; `max_unpool2d` along three axes.

    Example:
        >>> max_unpool3d(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1, dtype=torch.int64), 2).sum()
        tensor(1.)
    """
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


def _max_unpool(
    name: str,
    axes: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding | Sequence[Padding],
    output_size: Sequence[int] | None,
) -> Tensor:
    check_input(name, input, axes)
    if indices.dtype != torch.int64:
        raise TypeError(f"{name}: indices must be int64, got {indices.dtype}")
    if indices.shape != input.shape:
        raise ValueError(
            f"{name}: indices must have the shape of input, {tuple(input.shape)}, got {tuple(indices.shape)}"
        )
    if indices.device != input.device:
        raise ValueError(f"{name}: indices must be on the device of input, {input.device}, got {indices.device}")
    batch, named = (tensor if input.ndim == axes + 2 else tensor.unsqueeze(0) for tensor in (input, indices))
    along = windows(axes, kernel_size, kernel_size if stride is None else stride, padding)
    sizes = [window.transposed_output_size(n) for window, n in zip(along, batch.shape[2:], strict=True)]
    if output_size is not None:
        sizes = _given(name, axes, output_size)
    route = take(name, with_kernels(input, _KERNELS))
    room = max_unpool if route.name == "kernels" else reference.max_unpool
    result = room(batch, named, sizes)
    if route.name == "reference" and not in_transform():
        result = result.contiguous(memory_format=memory_format(batch))
    return result if input.ndim == axes + 2 else result.squeeze(0)


def _given(name: str, axes: int, output_size: Sequence[int]) -> list[int]:
    """The sizes of the output where they are given, alone or behind others.

    Raises:
        TypeError: if they are no sequence, or one of them is no integer.
        ValueError: if there are too few or too many, or one of them is below 1.
    """
    if not isinstance(output_size, Sequence):
        raise TypeError(f"{name}: output_size must be a sequence of {axes} integers, got {output_size!r}")
    if len(output_size) not in (axes, axes + 1, axes + 2):
        raise ValueError(
            f"{name}: output_size must be the {axes} sizes of the output, or its shape, got {output_size!r}"
        )
    sizes = list(output_size[-axes:])
    for size in sizes:
        if not isinstance(size, torch.SymInt):
            check_integer(f"{name}: output_size", size, 1)
    return sizes
