"""The kernels of the average as one operator of PyTorch, with gradients of any order."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.ops._door import memory_format
from striate.ops._pooling.taps import outputs_of
from striate.ops._rooms import DEVICES, room
from striate.ops.avg_pool.decomposition import blank, decomposed


@torch.library.custom_op("striate::avg_pool", mutates_args=(), device_types=DEVICES)
def _avg_pool(
    input: Tensor,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    over: list[int],
    dilation: list[int],
    include_pad: bool,
    divisor: int,
    channels_last: bool,
) -> Tensor:
    outputs = outputs_of(input.shape[2:], kernel, stride, low, high, dilation)
    counted = _counted(input.shape[2:], low, high, over, include_pad)
    result: Tensor = room("avg_pool", input).forward(
        input, kernel, stride, low, dilation, outputs, counted, divisor, channels_last
    )
    return result


@_avg_pool.register_fake
def _(
    input: Tensor,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    over: list[int],
    dilation: list[int],
    include_pad: bool,
    divisor: int,
    channels_last: bool,
) -> Tensor:
    return blank(input, outputs_of(input.shape[2:], kernel, stride, low, high, dilation), channels_last)


@torch.library.custom_op("striate::avg_pool_backward", mutates_args=(), device_types=DEVICES)
def _avg_pool_backward(
    grad: Tensor,
    sizes: list[int],
    kernel: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    over: list[int],
    dilation: list[int],
    include_pad: bool,
    divisor: int,
    channels_last: bool,
) -> Tensor:
    counted = _counted(sizes, low, high, over, include_pad)
    result: Tensor = room("avg_pool", grad).backward(
        grad, sizes, kernel, stride, low, dilation, counted, divisor, channels_last
    )
    return result


@_avg_pool_backward.register_fake
def _(
    grad: Tensor,
    sizes: list[int],
    kernel: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    over: list[int],
    dilation: list[int],
    include_pad: bool,
    divisor: int,
    channels_last: bool,
) -> Tensor:
    return blank(grad, sizes, channels_last)


def _counted(
    sizes: Sequence[int], low: Sequence[int], high: Sequence[int], over: Sequence[int], include_pad: bool
) -> list[int]:
    """Where the places begin and end that an average counts, by axis."""
    if not include_pad:
        return [0] * len(sizes) + list(sizes)
    return [-a for a in low] + [n + b - more for n, b, more in zip(sizes, high, over, strict=True)]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, *settings = inputs
    ctx.settings = list(input.shape[2:]), *settings


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return _avg_pool_backward(grad, *ctx.settings), *[None] * 9


def _save_first(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, _, *ctx.settings = inputs


def _backward_first(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return _avg_pool(grad, *ctx.settings), *[None] * 10


_avg_pool.register_autograd(_backward, setup_context=_save)
_avg_pool_backward.register_autograd(_backward_first, setup_context=_save_first)
torch._decomp.register_decomposition(torch.ops.striate.avg_pool.default)(decomposed)


def avg_pool(
    input: Tensor,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    over: list[int],
    dilation: list[int],
    include_pad: bool,
    divisor: int | None,
) -> Tensor:
    """Averages by the kernels.

    Args:
        input: `(N, C, *sizes)`.
        kernel: taps, one number an axis, as all that follow.
        stride: places from one window to the next.
        low: padding before the input.
        high: places behind it.
        over: how many of these are no padding.
        dilation: places from one tap to the next.
        include_pad: whether padding is counted.
        divisor: what sums are divided by, None for the places counted.

    Returns:
        `(N, C, *output sizes)` in the input's memory format.
    """
    channels_last = memory_format(input) != torch.contiguous_format
    settings = kernel, stride, low, high, over, dilation, include_pad, divisor or 0, channels_last
    result: Tensor = _avg_pool(input, *settings)
    return result
