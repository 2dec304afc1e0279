"""Transposed unshared convolution on the GPU."""

from torch import Tensor

from striate.ops._unshared.decomposition import blank
from striate.ops._unshared.gpu import Layer, beside


def forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    sizes: list[int],
    groups: int,
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    """Spread `(N, C, *inputs)` by `(*inputs, C, out / groups, *kernel)` over `sizes` places, in its memory format."""
    result = blank(input, weight.shape[len(stride) + 1] * groups, sizes)
    if result.numel():
        Layer(weight, sizes, result.shape[1], stride, low, dilation).scatter(beside(input), bias, result)
    return result


def backward(
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
    """The gradients of input and weight; an empty tensor for one that is not needed."""
    grad_input = blank(input, input.shape[1], input.shape[2:]) if needs[0] else input.new_empty(0)
    grad_weight = weight.new_empty(weight.shape if needs[1] else 0)
    if input.numel() == 0 or not any(needs):
        return grad_input, grad_weight.zero_()
    layer = Layer(weight, sizes, grad.shape[1], stride, low, dilation)
    plane = beside(grad)
    if needs[0]:
        layer.gather(plane, None, grad_input)
    if needs[1]:
        layer.outer(plane, beside(input), grad_weight)
    return grad_input, grad_weight
