"""The kernels of unshared convolution as one operator of PyTorch, with gradients of any order."""

import torch
from torch import Tensor

from striate.ops._rooms import DEVICES, room
from striate.ops._unshared import gradients
from striate.ops._unshared.decomposition import blank, gathered


@torch.library.custom_op("striate::local_conv", mutates_args=(), device_types=DEVICES)
def _local_conv(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], low: list[int], dilation: list[int]
) -> Tensor:
    result: Tensor = room("local_conv", input).forward(input, weight, bias, stride, low, dilation)
    return result


@_local_conv.register_fake
def _(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], low: list[int], dilation: list[int]
) -> Tensor:
    axes = len(stride)
    return blank(input, weight.shape[axes], weight.shape[:axes])


@torch.library.custom_op("striate::local_conv_backward", mutates_args=(), device_types=DEVICES)
def _local_conv_backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: list[int],
    low: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor]:
    grads: tuple[Tensor, Tensor] = room("local_conv", grad).backward(grad, input, weight, stride, low, dilation, needs)
    return grads


@_local_conv_backward.register_fake
def _(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: list[int],
    low: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor]:
    grad_input = blank(input, input.shape[1], input.shape[2:])
    return grad_input if needs[0] else input.new_empty(0), weight.new_empty(weight.shape if needs[1] else 0)


gradients.register(_local_conv, _local_conv_backward)
torch._decomp.register_decomposition(torch.ops.striate.local_conv.default)(gathered)


def local_conv(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], low: list[int], dilation: list[int]
) -> Tensor:
    """Convolve with weights of their own for every output, by the kernels.

    Args:
        input: `(N, C, *sizes)`.
        weight: `(*output sizes, out, C / groups, *kernel)`.
        bias: `(out,)`, `(*output sizes, out)` or None.
        stride: one number an axis, as all that follow.
        low: padding before the input; behind it, as much as the windows of all outputs reach.
        dilation: places from one tap to the next.

    Returns:
        `(N, out, *output sizes)` in the input's memory format.
    """
    result: Tensor = _local_conv(input, weight, bias, stride, low, dilation)
    return result
