"""Adaptive pooling: the door."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, overload

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.geometry.checks import check_integer
from striate.ops._docs import documented_like
from striate.ops._door import announced, check_input, memory_format
from striate.ops.adaptive_pool import reference
from striate.ops.dispatch import Route, take

OutputSize: TypeAlias = int | Sequence[int | None]

_AVERAGES: tuple[Callable[..., Tensor], ...] = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
_MAXIMA: tuple[Callable[..., tuple[Tensor, Tensor]], ...] = (
    F.adaptive_max_pool1d,
    F.adaptive_max_pool2d,
    F.adaptive_max_pool3d,
)
_TORCH = Route("torch", "PyTorch's own adaptive pooling is right on this device, and differentiable to any order")
_EXPORTED = Route("reference", "ONNX has no adaptive pooling")
_NO_CHANNELS = Route("reference", "PyTorch refuses an input without channels")


@overload
def adaptive_max_pool2d(input: Tensor, output_size: OutputSize, return_indices: Literal[False] = False) -> Tensor: ...
@overload
def adaptive_max_pool2d(
    input: Tensor, output_size: OutputSize, return_indices: Literal[True]
) -> tuple[Tensor, Tensor]: ...
@overload
def adaptive_max_pool2d(
    input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]: ...
@announced
def adaptive_max_pool2d(
    input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Take the largest number of each window, as many windows as wished, whatever the size of the picture.

    Output i reads the inputs from `floor(i * n / out)` up to `ceil((i + 1) * n / out)` along each axis: together they
    cover the input, and overlap where `out` does not divide `n`, above all where it is larger. The gradient goes to the
    first winner in the order of rows, added where windows overlap.

    Args:
        input: `(N, C, *sizes)` or `(C, *sizes)`, floating-point, no size 0.
        output_size: outputs, at least 1; one number or one an axis, None for as many as the input has there.
        return_indices: whether to return where the winners are, too.

    Returns:
        `(N, C, *output_size)` or `(C, *output_size)` in the input's dtype, under autocast, too, and in its memory
        format. With `return_indices` also their flat indices in the plane, int64.

    Raises:
        TypeError: if the input is not floating-point, or an output size no integer.
        ValueError: if ranks do not fit, the input is empty along an axis, or an output size is below 1.

    Source:
        He, Zhang, Ren and Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition",
        2014, https://arxiv.org/abs/1406.4729; the windows are PyTorch's.

    Example:
        >>> import torch
        >>> adaptive_max_pool2d(torch.arange(12.0).view(1, 3, 4), 2)
        tensor([[[ 5.,  7.],
                 [ 9., 11.]]])
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)


@overload
def adaptive_max_pool1d(input: Tensor, output_size: OutputSize, return_indices: Literal[False] = False) -> Tensor: ...
@overload
def adaptive_max_pool1d(
    input: Tensor, output_size: OutputSize, return_indices: Literal[True]
) -> tuple[Tensor, Tensor]: ...
@overload
def adaptive_max_pool1d(
    input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]: ...
@announced
@documented_like(adaptive_max_pool2d)
def adaptive_max_pool1d(
    input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Take the largest number of each window of a series; `adaptive_max_pool2d` along one axis.

    Example:
        >>> import torch
        >>> adaptive_max_pool1d(torch.tensor([[3.0, 1.0, 2.0, 5.0, 4.0]]), 3, return_indices=True)
        (tensor([[3., 5., 5.]]), tensor([[0, 3, 3]]))
    """
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)


@overload
def adaptive_max_pool3d(input: Tensor, output_size: OutputSize, return_indices: Literal[False] = False) -> Tensor: ...
@overload
def adaptive_max_pool3d(
    input: Tensor, output_size: OutputSize, return_indices: Literal[True]
) -> tuple[Tensor, Tensor]: ...
@overload
def adaptive_max_pool3d(
    input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]: ...
@announced
@documented_like(adaptive_max_pool2d)
def adaptive_max_pool3d(
    input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Take the largest number of each window of a volume or clip; `adaptive_max_pool2d` along three axes.

    Example:
        >>> import torch
        >>> adaptive_max_pool3d(torch.zeros(2, 4, 7, 9, 9), (None, 1, 1)).shape
        torch.Size([2, 4, 7, 1, 1])
    """
    return _adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size, return_indices)


@announced
def adaptive_avg_pool2d(input: Tensor, output_size: OutputSize) -> Tensor:
    """Take the mean of each window, as many windows as wished, whatever the size of the picture.

    Output i reads the inputs from `floor(i * n / out)` up to `ceil((i + 1) * n / out)` along each axis: together they
    cover the input, and overlap where `out` does not divide `n`, above all where it is larger. A window of m numbers
    gives each of them 1/m of its gradient, added where windows overlap.

    Args:
        input: `(N, C, *sizes)` or `(C, *sizes)`, floating-point, no size 0.
        output_size: outputs, at least 1; one number or one an axis, None for as many as the input has there.

    Returns:
        `(N, C, *output_size)` or `(C, *output_size)` in the input's dtype, under autocast, too, and in its memory
        format.

    Raises:
        TypeError: if the input is not floating-point, or an output size no integer.
        ValueError: if ranks do not fit, the input is empty along an axis, or an output size is below 1.

    Source:
        Lin, Chen and Yan, "Network in network", 2013, section 3.2, https://arxiv.org/abs/1312.4400, for one output;
        the windows are PyTorch's.

    Example:
        >>> import torch
        >>> adaptive_avg_pool2d(torch.arange(12.0).view(1, 3, 4), (1, 2))
        tensor([[[4.5000, 6.5000]]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


@announced
@documented_like(adaptive_avg_pool2d)
def adaptive_avg_pool1d(input: Tensor, output_size: OutputSize) -> Tensor:
    """Take the mean of each window of a series; `adaptive_avg_pool2d` along one axis.

    Example:
        >>> import torch
        >>> adaptive_avg_pool1d(torch.tensor([[3.0, 1.0, 2.0, 6.0, 4.0]]), 3)
        tensor([[2., 3., 5.]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


@announced
@documented_like(adaptive_avg_pool2d)
def adaptive_avg_pool3d(input: Tensor, output_size: OutputSize) -> Tensor:
    """Take the mean of each window of a volume or clip; `adaptive_avg_pool2d` along three axes.

    Example:
        >>> import torch
        >>> adaptive_avg_pool3d(torch.zeros(2, 4, 7, 9, 9), (None, 1, 1)).shape
        torch.Size([2, 4, 7, 1, 1])
    """
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size)


def _adaptive_max_pool(
    name: str, axes: int, input: Tensor, output_size: OutputSize, return_indices: bool
) -> Tensor | tuple[Tensor, Tensor]:
    batch, outputs = _placed(name, axes, input, output_size)
    if take(name, _choose(batch)).name == "torch":
        values, indices = _MAXIMA[axes - 1](batch, outputs, return_indices=True)
    else:
        values, indices = reference.adaptive_max_pool(batch, outputs)
    values = _finished(values.to(input.dtype), batch, input)
    return (values, _finished(indices, batch, input)) if return_indices else values


def _adaptive_avg_pool(name: str, axes: int, input: Tensor, output_size: OutputSize) -> Tensor:
    batch, outputs = _placed(name, axes, input, output_size)
    if take(name, _choose(batch)).name == "torch":
        result = _AVERAGES[axes - 1](batch, outputs)
    else:
        result = reference.adaptive_avg_pool(batch, outputs)
    # Autocast widens the volumes of PyTorch's.
    return _finished(result.to(input.dtype), batch, input)


def _placed(name: str, axes: int, input: Tensor, output_size: OutputSize) -> tuple[Tensor, list[int]]:
    """The input as a batch, and the output size along each axis.

    Raises:
        ValueError: if they do not fit.
    """
    check_input(name, input, axes)
    wished = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * axes
    if len(wished) != axes:
        raise ValueError(f"{name}: output_size must be one number or one an axis ({axes}), got {output_size!r}")
    for out in wished:
        if out is not None:
            check_integer(f"{name}: output_size", out, 1)
    batch = input if input.ndim == axes + 2 else input.unsqueeze(0)
    sizes = batch.shape[2:]
    if min(sizes) < 1:
        raise ValueError(f"{name}: input must not be empty along an axis, got {tuple(input.shape)}")
    return batch, [n if out is None else out for n, out in zip(sizes, wished, strict=True)]


def _choose(input: Tensor) -> Route:
    """PyTorch's operator where it can do it."""
    device = input.device.type
    if torch.compiler.is_exporting():
        return _EXPORTED
    if device not in ("cpu", "cuda"):
        return Route(
            "reference", f"PyTorch's own adaptive pooling is tried on the CPU and CUDA, the input is on {device}"
        )
    return _TORCH if input.shape[1] else _NO_CHANNELS


def _finished(result: Tensor, batch: Tensor, input: Tensor) -> Tensor:
    """The result in the input's memory format, which PyTorch forgets for volumes, and with its axes."""
    result = result.contiguous(memory_format=memory_format(batch))
    return result if input.ndim == batch.ndim else result.squeeze(0)
