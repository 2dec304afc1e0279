"""The kernels of deformable convolution as one operator of PyTorch, with gradients of any order."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.ops._door import memory_format, second_order
from striate.ops._rooms import DEVICES, room
from striate.ops.deform_conv import reference
from striate.ops.deform_conv.decomposition import blank, decomposed


@torch.library.custom_op("striate::deform_conv", mutates_args=(), device_types=DEVICES)
def _deform_conv(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Tensor:
    result: Tensor = room("deform_conv", input).forward(input, offset, weight, bias, mask, stride, low, dilation)
    return result


@_deform_conv.register_fake
def _(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Tensor:
    return blank(input, weight.shape[0], offset.shape[2:])


@torch.library.custom_op("striate::deform_conv_backward", mutates_args=(), device_types=DEVICES)
def _deform_conv_backward(
    grad: Tensor,
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    stride: list[int],
    low: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor, Tensor] = room("deform_conv", grad).backward(
        grad, input, offset, weight, mask, stride, low, dilation, needs
    )
    grad_input, grad_offset, grad_weight, grad_mask = found
    return grad_input, grad_offset, grad_weight.contiguous(), grad_mask


@_deform_conv_backward.register_fake
def _(
    grad: Tensor,
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    stride: list[int],
    low: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    grad_input = input.new_empty(input.shape).contiguous(memory_format=memory_format(input))
    return (
        grad_input if needs[0] else input.new_empty(0),
        offset.new_empty(offset.shape if needs[1] else 0),
        weight.new_empty(weight.shape if needs[2] else 0),
        input.new_empty(0) if mask is None or not needs[3] else mask.new_empty(mask.shape),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, offset, weight, _, mask, stride, low, _, dilation = inputs
    ctx.settings = stride, low, dilation
    ctx.save_for_backward(input, offset, weight, mask)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    of_input, of_offset, of_weight, of_bias, of_mask, *_ = ctx.needs_input_grad
    needs = [of_input, of_offset, of_weight, of_mask]
    grads: Sequence[Tensor | None] = [None] * 4
    if any(needs):
        found = _deform_conv_backward(grad, *ctx.saved_tensors, *ctx.settings, needs)
        grads = [tensor if needed else None for tensor, needed in zip(found, needs, strict=True)]
    grad_bias = grad.sum([0, *range(2, grad.ndim)]) if of_bias else None
    return *grads[:3], grad_bias, grads[3], None, None, None, None


def _save_first(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, stride, low, dilation, ctx.needs = inputs
    ctx.settings = stride, low, dilation
    ctx.save_for_backward(*tensors)


def _backward_first(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    tensors = [tensor for tensor in ctx.saved_tensors if tensor is not None]
    # What was not asked for came back empty, and its gradient says nothing.
    whole = tuple(
        torch.zeros_like(tensor) if grad is None or not needed else grad
        for grad, tensor, needed in zip(grads, tensors[1:], ctx.needs, strict=False)
    )

    def plain(input: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None = None) -> Tensor:
        return reference.deform_conv(input, offset, weight, None, mask, *ctx.settings)

    found = second_order(plain)(whole, *tensors)
    return *found, *[None] * (9 - len(found))


_deform_conv.register_autograd(_backward, setup_context=_save)
_deform_conv_backward.register_autograd(_backward_first, setup_context=_save_first)
torch._decomp.register_decomposition(torch.ops.striate.deform_conv.default)(decomposed)


def deform_conv(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Tensor:
    """Convolve with moved taps, by the kernels of the device.

    Args:
        input: `(N, in, *sizes)`.
        offset: `(N, offset groups * taps * axes, *output sizes)`.
        weight: `(out, in / groups, *kernel)`.
        bias: `(out,)` or None.
        mask: `(N, offset groups * taps, *output sizes)` or None.
        stride: one number an axis, as all that follow.
        low: padding before the input.
        high: padding behind it, which only an exported network needs.
        dilation: places from one tap to the next.

    Returns:
        `(N, out, *output sizes)` in the input's memory format.
    """
    result: Tensor = _deform_conv(input, offset, weight, bias, mask, stride, low, high, dilation)
    return result
