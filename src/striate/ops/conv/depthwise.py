"""The depthwise kernels as one operator of PyTorch, with gradients of any order."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from striate.geometry import Window
from striate.ops import _rooms
from striate.ops._door import memory_format, second_order
from striate.ops.conv.fft import depthwise_gradients
from striate.ops.conv.layout import layout
from striate.ops.conv.routes import FFT_FROM, by_torch, torch_is_faster


def _strided(
    input: Tensor, weight: Tensor, stride: list[int], low: list[int], high: list[int], dilation: list[int]
) -> bool:
    """Whether windows stand apart, and PyTorch knows the padding: then its input gradient is many times as fast."""
    reaches = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=True)]
    known = low == high and all(0 <= places <= reach for places, reach in zip(low, reaches, strict=True))
    return max(stride) > 1 and known and torch_is_faster(input, weight)


@torch.library.custom_op("striate::depthwise_conv", mutates_args=(), device_types=_rooms.DEVICES)
def _depthwise(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Tensor:
    if _rooms.kind(input) == "cpu" and torch_is_faster(input, weight):
        result = by_torch(input, weight, bias, stride, low, high, dilation, groups=input.shape[1])
    else:
        result = _rooms.room("conv", input).forward(input, weight, bias, stride, low, high, dilation)
    return result.contiguous(memory_format=memory_format(input))


@_depthwise.register_fake
def _(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Tensor:
    sizes = [
        Window(k, s, (a, b), d).output_size(n)
        for n, k, s, a, b, d in zip(input.shape[2:], weight.shape[2:], stride, low, high, dilation, strict=True)
    ]
    return input.new_empty(input.shape[0], weight.shape[0], *sizes).contiguous(memory_format=memory_format(input))


@torch.library.custom_op("striate::depthwise_conv_backward", mutates_args=(), device_types=_rooms.DEVICES)
def _depthwise_backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor]:
    kernels, settings = _rooms.room("conv", input), (stride, low, high, dilation)
    if _rooms.kind(input) == "gpu":
        grads: tuple[Tensor, Tensor] = kernels.backward(grad, input, weight, *settings, needs)
        return grads
    single = weight.shape[0] == input.shape[1]
    back = layout(input.shape, weight.shape, *settings).backward() if single else None
    large = weight[0].numel() >= FFT_FROM[len(low) - 1]
    if back is not None and all(needs) and large and min(*low, *high) >= 0:
        grad_input, grad_weight = depthwise_gradients(grad, input, weight, low, high, dilation)
    elif back is not None and needs[0] and torch_is_faster(input, weight):
        _, grad_weight = kernels.backward(grad, input, weight, *settings, [False, needs[1]])
        flipped = weight.flip(*range(2, weight.ndim))
        grad_input = by_torch(grad, flipped, None, stride, back.low, back.high, dilation, groups=input.shape[1])
    elif needs[0] and _strided(input, weight, stride, low, high, dilation):
        places, channels = (stride, low, dilation, False, [0] * len(low)), input.shape[1]
        wanted = [True, False, False]
        grad_input = torch.ops.aten.convolution_backward(grad, input, weight, None, *places, channels, wanted)[0]
        # PyTorch's gradient of the weight has other bits for another number of threads.
        _, grad_weight = kernels.backward(grad, input, weight, *settings, [False, needs[1]])
    else:
        grad_input, grad_weight = kernels.backward(grad, input, weight, *settings, needs)
    return grad_input.contiguous(memory_format=memory_format(input)) if needs[0] else grad_input, grad_weight


@_depthwise_backward.register_fake
def _(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor]:
    grad_input = input.new_empty(input.shape).contiguous(memory_format=memory_format(input))
    return grad_input if needs[0] else input.new_empty(0), weight.new_empty(weight.shape if needs[1] else 0)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, weight, bias, *ctx.settings = inputs
    ctx.axes = [0, *range(2, input.ndim)]
    ctx.save_for_backward(input, weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    input, weight = ctx.saved_tensors
    needs = list(ctx.needs_input_grad[:2])
    grad_input = grad_weight = None
    if any(needs):
        grad_input, grad_weight = _depthwise_backward(grad, input, weight, *ctx.settings, needs)
    grad_bias = grad.sum(ctx.axes) if ctx.needs_input_grad[2] else None
    return grad_input if needs[0] else None, grad_weight if needs[1] else None, grad_bias, None, None, None, None


def _save_first(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    grad, input, weight, *ctx.settings, ctx.needs = inputs
    ctx.save_for_backward(grad, input, weight)


def _backward_first(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    tensors = ctx.saved_tensors
    # What was not asked for came back empty, and its gradient says nothing.
    whole = tuple(
        torch.zeros_like(tensor) if grad is None or not needed else grad
        for grad, tensor, needed in zip(grads, tensors[1:], ctx.needs, strict=True)
    )
    plain = partial(_plain, settings=ctx.settings)
    return *second_order(plain)(whole, *tensors), None, None, None, None, None


def _plain(input: Tensor, weight: Tensor, *, settings: Sequence[list[int]]) -> Tensor:
    stride, low, high, dilation = settings
    return by_torch(input, weight, None, stride, low, high, dilation, groups=input.shape[1])


_depthwise.register_autograd(_backward, setup_context=_save)
_depthwise_backward.register_autograd(_backward_first, setup_context=_save_first)


def _decomposed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Tensor:
    return by_torch(input, weight, bias, stride, low, high, dilation, groups=input.shape[1])


torch._decomp.register_decomposition(torch.ops.striate.depthwise_conv.default)(_decomposed)


def depthwise_conv(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Tensor:
    """Convolve each channel with its own filters, by the kernels.

    Args:
        input: `(N, C, *sizes)`.
        weight: `(C * multiplier, 1, *kernel)`.
        bias: `(C * multiplier,)` or None.
        stride: one number an axis, as all that follow.
        low: padding before the input.
        high: padding behind it.
        dilation: places from one tap to the next.

    Returns:
        `(N, C * multiplier, *output sizes)` in the input's memory format.
    """
    result: Tensor = _depthwise(input, weight, bias, stride, low, high, dilation)
    return result
