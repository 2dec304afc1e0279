"""The kernels that put numbers back as one operator of PyTorch, with gradients of any order."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from striate.ops._door import memory_format
from striate.ops._pooling.taps import format_of
from striate.ops._rooms import DEVICES, room
from striate.ops.max_unpool import reference


@torch.library.custom_op("striate::max_unpool", mutates_args=(), device_types=DEVICES)
def _max_unpool(input: Tensor, indices: Tensor, sizes: list[int], channels_last: bool) -> Tensor:
    result: Tensor = room("max_unpool", input).forward(input, indices, sizes, channels_last)
    return result


@_max_unpool.register_fake
def _(input: Tensor, indices: Tensor, sizes: list[int], channels_last: bool) -> Tensor:
    return _blank(input, sizes, channels_last)


@torch.library.custom_op("striate::max_unpool_backward", mutates_args=(), device_types=DEVICES)
def _max_unpool_backward(grad: Tensor, indices: Tensor, channels_last: bool) -> Tensor:
    result: Tensor = room("max_unpool", grad).backward(grad, indices, channels_last)
    return result


@_max_unpool_backward.register_fake
def _(grad: Tensor, indices: Tensor, channels_last: bool) -> Tensor:
    return _blank(grad, indices.shape[2:], channels_last)


def _blank(like: Tensor, sizes: Sequence[int], channels_last: bool) -> Tensor:
    """Maps that nobody has written."""
    result = like.new_empty(*like.shape[:2], *sizes)
    return result.contiguous(memory_format=format_of(like.ndim, channels_last))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, indices, _, ctx.channels_last = inputs
    ctx.save_for_backward(indices)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return _max_unpool_backward(grad, *ctx.saved_tensors, ctx.channels_last), None, None, None


def _save_first(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, indices, channels_last = inputs
    ctx.settings = list(grad.shape[2:]), channels_last
    ctx.save_for_backward(indices)


def _backward_first(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return _max_unpool(grad, *ctx.saved_tensors, *ctx.settings), None, None


def _decomposed(input: Tensor, indices: Tensor, sizes: list[int], channels_last: bool) -> Tensor:
    """What the exporter writes for the operator."""
    if get_proxy_mode() is None:
        # Nothing is taken apart: PyTorch wants to know the sizes, where they are symbolic.
        return _blank(input, sizes, channels_last)
    result = reference.max_unpool(input, indices, sizes)
    return result.contiguous(memory_format=format_of(input.ndim, channels_last))


_max_unpool.register_autograd(_backward, setup_context=_save)
_max_unpool_backward.register_autograd(_backward_first, setup_context=_save_first)
torch._decomp.register_decomposition(torch.ops.striate.max_unpool.default)(_decomposed)


def max_unpool(input: Tensor, indices: Tensor, sizes: list[int]) -> Tensor:
    """Put numbers back, by the kernels.

    Args:
        input: `(N, C, *outputs)`.
        indices: of the same shape, int64.
        sizes: those of the maps that the numbers go to.

    Returns:
        `(N, C, *sizes)` in the input's memory format.
    """
    result: Tensor = _max_unpool(input, indices, sizes, memory_format(input) != torch.contiguous_format)
    return result
