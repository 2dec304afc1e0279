"""The kernels of norms of windows as one operator of PyTorch, with gradients of any order."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from striate.ops._door import memory_format, second_order
from striate.ops._rooms import DEVICES, room
from striate.ops.lp_pool import reference


@torch.library.custom_op("striate::lp_pool", mutates_args=(), device_types=DEVICES)
def _lp_pool(
    input: Tensor,
    power: float,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    outputs: list[int],
) -> Tensor:
    result: Tensor = room("lp_pool", input).forward(input, power, kernel, stride, low, dilation, outputs)
    return result


@_lp_pool.register_fake
def _(
    input: Tensor,
    power: float,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    outputs: list[int],
) -> Tensor:
    return input.new_empty(*input.shape[:2], *outputs).contiguous(memory_format=memory_format(input))


@torch.library.custom_op("striate::lp_pool_backward", mutates_args=(), device_types=DEVICES)
def _lp_pool_backward(
    grad: Tensor,
    input: Tensor,
    norms: Tensor,
    power: float,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    result: Tensor = room("lp_pool", grad).backward(grad, input, norms, power, kernel, stride, low, dilation)
    return result


@_lp_pool_backward.register_fake
def _(
    grad: Tensor,
    input: Tensor,
    norms: Tensor,
    power: float,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    return input.new_empty(input.shape).contiguous(memory_format=memory_format(input))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, *ctx.settings, _ = inputs
    ctx.save_for_backward(input, output)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    input, norms = ctx.saved_tensors
    return _lp_pool_backward(grad, input, norms, *ctx.settings), *[None] * 6


def _save_first(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, input, norms, *ctx.settings = inputs
    ctx.save_for_backward(grad, input)
    ctx.outputs = norms.shape[2:]


def _backward_first(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    power, kernel, stride, low, dilation = ctx.settings
    plain = partial(
        reference.lp_pool, power=power, kernel=kernel, stride=stride, low=low, dilation=dilation, outputs=ctx.outputs
    )
    # The norms follow from the input, whose gradient tells of them, too.
    return *second_order(plain)((grad,), *ctx.saved_tensors), *[None] * 6


_lp_pool.register_autograd(_backward, setup_context=_save)
_lp_pool_backward.register_autograd(_backward_first, setup_context=_save_first)
torch._decomp.register_decomposition(torch.ops.striate.lp_pool.default)(reference.lp_pool)


def lp_pool(
    input: Tensor,
    power: float,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    outputs: list[int],
) -> Tensor:
    """The norms of windows, by the kernels.

    Args:
        input: `(N, C, *sizes)`, float32 or float64.
        power: above 0, finite.
        kernel: taps, one number an axis, as all that follow.
        stride: places from one window to the next.
        low: zeros before the input; behind it, as many as the windows of all outputs reach.
        dilation: places from one tap to the next.
        outputs: windows.

    Returns:
        `(N, C, *outputs)` in the input's memory format.
    """
    result: Tensor = _lp_pool(input, power, kernel, stride, low, dilation, outputs)
    return result
