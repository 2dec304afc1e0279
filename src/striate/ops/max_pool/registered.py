"""The kernels of the maximum as one operator of PyTorch, with gradients of any order."""

from typing import Any

import torch
from torch import Tensor

from striate.ops._door import memory_format
from striate.ops._pooling.taps import format_of, outputs_of
from striate.ops._rooms import DEVICES, room
from striate.ops.max_pool import reference
from striate.ops.max_pool.decomposition import blank, decomposed, number_type


@torch.library.custom_op("striate::max_pool", mutates_args=(), device_types=DEVICES)
def _max_pool(
    input: Tensor,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    winners: bool,
) -> tuple[Tensor, Tensor]:
    outputs, kind = outputs_of(input.shape[2:], kernel, stride, low, high, dilation), number_type(kernel)
    found: tuple[Tensor, Tensor] = room("max_pool", input).forward(
        input, kernel, stride, low, dilation, outputs, _channels_last(input), kind if winners else None
    )
    return found


@_max_pool.register_fake
def _(
    input: Tensor,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    winners: bool,
) -> tuple[Tensor, Tensor]:
    return blank(input, kernel, stride, low, high, dilation, winners)


@torch.library.custom_op("striate::max_pool_backward", mutates_args=(), device_types=DEVICES)
def _max_pool_backward(
    grad: Tensor,
    taps: Tensor,
    sizes: list[int],
    kernel: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    channels_last: bool,
) -> Tensor:
    result: Tensor = room("max_pool", grad).backward(grad, taps, sizes, kernel, stride, low, dilation, channels_last)
    return result


@_max_pool_backward.register_fake
def _(
    grad: Tensor,
    taps: Tensor,
    sizes: list[int],
    kernel: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    channels_last: bool,
) -> Tensor:
    result = grad.new_empty((*grad.shape[:2], *sizes))
    return result.contiguous(memory_format=format_of(grad.ndim, channels_last))


def _channels_last(input: Tensor) -> bool:
    return memory_format(input) != torch.contiguous_format


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    input, kernel, stride, low, _, dilation, _ = inputs
    ctx.settings = list(input.shape[2:]), kernel, stride, low, dilation, _channels_last(input)
    ctx.save_for_backward(output[1])


def _backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Any, ...]:
    return _max_pool_backward(grad, *ctx.saved_tensors, *ctx.settings), *[None] * 6


def _save_first(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, taps, *ctx.settings, _ = inputs
    ctx.save_for_backward(taps)


def _backward_first(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return reference.looked_up(grad, reference.places_of(*ctx.saved_tensors, *ctx.settings), 0.0), *[None] * 7


_max_pool.register_autograd(_backward, setup_context=_save)
_max_pool_backward.register_autograd(_backward_first, setup_context=_save_first)
torch._decomp.register_decomposition(torch.ops.striate.max_pool.default)(decomposed)


def max_pool(
    input: Tensor,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    winners: bool,
) -> tuple[Tensor, Tensor]:
    """Maxima by the kernels.

    Args:
        input: `(N, C, *sizes)`.
        kernel: taps, one number an axis, as all that follow.
        stride: places from one window to the next.
        low: padding before the input.
        high: padding behind it.
        dilation: places from one tap to the next.
        winners: whether to keep which taps have read the maxima, as gradients and indices need it.

    Returns:
        The maxima `(N, C, *output sizes)` in the input's memory format, and the numbers of the taps, as
        `decomposition.number_type` has it.
    """
    found: tuple[Tensor, Tensor] = _max_pool(input, kernel, stride, low, high, dilation, winners)
    return found
