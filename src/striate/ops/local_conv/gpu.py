"""Unshared convolution on the GPU."""

from torch import Tensor

from striate.ops._unshared.decomposition import blank
from striate.ops._unshared.gpu import Layer, beside


def forward(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], low: list[int], dilation: list[int]
) -> Tensor:
    """Unshared convolution of `(N, C, *sizes)` with `(*outputs, out, C / groups, *kernel)`, in its memory format."""
    axes = len(stride)
    result = blank(input, weight.shape[axes], weight.shape[:axes])
    if result.numel():
        Layer(weight, list(input.shape[2:]), input.shape[1], stride, low, dilation).gather(beside(input), bias, result)
    return result


def backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
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
    layer = Layer(weight, list(input.shape[2:]), input.shape[1], stride, low, dilation)
    spots = beside(grad)
    if needs[0]:
        layer.scatter(spots, None, grad_input)
    if needs[1]:
        layer.outer(beside(input), spots, grad_weight)
    return grad_input, grad_weight
