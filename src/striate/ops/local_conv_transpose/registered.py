"""The kernels of transposed unshared convolution as one operator of PyTorch, with gradients of any order."""

import torch
from torch import Tensor

from striate.ops._rooms import DEVICES, room
from striate.ops._unshared import gradients
from striate.ops._unshared.decomposition import blank, scattered


@torch.library.custom_op("striate::local_conv_transpose", mutates_args=(), device_types=DEVICES)
def _local_conv_transpose(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    sizes: list[int],
    groups: int,
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    result: Tensor = room("local_conv_transpose", input).forward(
        input, weight, bias, sizes, groups, stride, low, dilation
    )
    return result


@_local_conv_transpose.register_fake
def _(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    sizes: list[int],
    groups: int,
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    return blank(input, weight.shape[len(stride) + 1] * groups, sizes)


@torch.library.custom_op("striate::local_conv_transpose_backward", mutates_args=(), device_types=DEVICES)
def _local_conv_transpose_backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    sizes: list[int],
    groups: int,
    stride: list[int],
    low: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor]:
    grads: tuple[Tensor, Tensor] = room("local_conv_transpose", grad).backward(
        grad, input, weight, sizes, groups, stride, low, dilation, needs
    )
    return grads


@_local_conv_transpose_backward.register_fake
def _(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    sizes: list[int],
    groups: int,
    stride: list[int],
    low: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor]:
    grad_input = blank(input, input.shape[1], input.shape[2:])
    return grad_input if needs[0] else input.new_empty(0), weight.new_empty(weight.shape if needs[1] else 0)


gradients.register(_local_conv_transpose, _local_conv_transpose_backward)
torch._decomp.register_decomposition(torch.ops.striate.local_conv_transpose.default)(scattered)


def local_conv_transpose(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    sizes: list[int],
    groups: int,
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    """Spread each input over a window with weights of its own, by the kernels.

    Args:
        input: `(N, C, *input sizes)`.
        weight: `(*input sizes, C, out / groups, *kernel)`.
        bias: `(out,)`, `(*sizes, out)` or None.
        sizes: of the output, one number an axis.
        groups: sets of channels.
        stride: places from one window to the next, one number an axis, as all that follow.
        low: places cropped before the output; a negative number adds places.
        dilation: places from one tap to the next.

    Returns:
        `(N, out, *sizes)` in the input's memory format.
    """
    result: Tensor = _local_conv_transpose(input, weight, bias, sizes, groups, stride, low, dilation)
    return result
