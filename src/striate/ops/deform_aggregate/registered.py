"""The kernels of deformable aggregation as one operator of PyTorch, with gradients of any order."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.ops._door import memory_format, second_order
from striate.ops._rooms import DEVICES, room
from striate.ops.deform_aggregate import reference
from striate.ops.deform_aggregate.decomposition import decomposed
from striate.ops.deform_conv.decomposition import blank


@torch.library.custom_op("striate::deform_aggregate", mutates_args=(), device_types=DEVICES)
def _aggregate(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
) -> Tensor:
    settings = kernel_size, stride, low, dilation, groups, offset_scale, remove_center
    result: Tensor = room("deform_aggregate", input).forward(input, offset, mask, *settings)
    return result


@_aggregate.register_fake
def _(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
) -> Tensor:
    return blank(input, input.shape[1], offset.shape[2:])


@torch.library.custom_op("striate::deform_aggregate_backward", mutates_args=(), device_types=DEVICES)
def _aggregate_backward(
    grad: Tensor,
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    settings = kernel_size, stride, low, dilation, groups, offset_scale, remove_center
    grads: tuple[Tensor, Tensor, Tensor] = room("deform_aggregate", grad).backward(
        grad, input, offset, mask, *settings, needs
    )
    return grads


@_aggregate_backward.register_fake
def _(
    grad: Tensor,
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    grad_input = input.new_empty(input.shape).contiguous(memory_format=memory_format(input))
    return (
        grad_input if needs[0] else input.new_empty(0),
        offset.new_empty(offset.shape if needs[1] else 0),
        mask.new_empty(mask.shape if needs[2] else 0),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, offset, mask, kernel_size, stride, low, _, *rest = inputs
    ctx.settings = kernel_size, stride, low, *rest
    ctx.save_for_backward(input, offset, mask)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    needs = list(ctx.needs_input_grad[:3])
    grads: Sequence[Tensor] = _aggregate_backward(grad, *ctx.saved_tensors, *ctx.settings, needs)
    return *(tensor if needed else None for tensor, needed in zip(grads, needs, strict=True)), *[None] * 8


def _save_first(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.settings, ctx.needs = *inputs[:4], inputs[4:-1], inputs[-1]
    ctx.save_for_backward(*tensors)


def _backward_first(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    tensors = ctx.saved_tensors
    # What was not asked for came back empty, and its gradient says nothing.
    whole = tuple(
        torch.zeros_like(tensor) if grad is None or not needed else grad
        for grad, tensor, needed in zip(grads, tensors[1:], ctx.needs, strict=True)
    )

    def plain(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        return reference.deform_aggregate(input, offset, mask, *ctx.settings)

    return *second_order(plain)(whole, *tensors), *[None] * 8


_aggregate.register_autograd(_backward, setup_context=_save)
_aggregate_backward.register_autograd(_backward_first, setup_context=_save_first)
torch._decomp.register_decomposition(torch.ops.striate.deform_aggregate.default)(decomposed)


def deform_aggregate(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: list[int],
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
) -> Tensor:
    """Add up samples at moved taps, by the kernels of the device.

    Args:
        input: `(N, C, *sizes)`.
        offset: `(N, groups * taps * axes, *output sizes)`.
        mask: `(N, groups * taps, *output sizes)`.
        kernel_size: one number an axis, as all up to `dilation`.
        stride: places from one window to the next.
        low: padding before the input.
        high: padding behind it, which only an exported network needs.
        dilation: places from one tap to the next.
        groups: sets of channels.
        offset_scale: the factor of windows and offsets.
        remove_center: whether the tap in the middle is left out.

    Returns:
        `(N, C, *output sizes)` in the input's memory format.
    """
    result: Tensor = _aggregate(
        input, offset, mask, kernel_size, stride, low, high, dilation, groups, offset_scale, remove_center
    )
    return result
