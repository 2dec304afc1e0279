"""Products of matrices, attention, and integer arithmetic of quantized networks."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from striate.inspection.onnx_graph.operators.pointwise import dtype_of
from striate.inspection.onnx_graph.operators.registry import Node, operator
from striate.inspection.onnx_graph.operators.windows import convolve


@operator("Gemm", roles=("", "weight", "bias"), layer=True)
def _gemm(node: Node, first: Tensor, second: Tensor, third: Tensor | None = None) -> Tensor:
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    first = first.T if node.get("transA", 0) else first
    plain = alpha == beta == 1 and node.get("transB", 0) and (third is None or third.dim() == 1)
    if plain and first.is_floating_point():
        return functional.linear(first, second, third)
    second = second.T if node.get("transB", 0) else second
    if third is None:
        product: Tensor = first @ second
        return product if alpha == 1 else torch.mul(product, alpha)
    if third.is_floating_point():
        return torch.addmm(third, first, second, beta=beta, alpha=alpha)
    whole: Tensor = alpha * (first @ second) + beta * third
    return whole.to(first.dtype)


@operator("MatMul", roles=("weight", "weight"))
def _mat_mul(node: Node, first: Tensor, second: Tensor) -> Tensor:
    found: Tensor = first @ second
    return found


@operator("Einsum")
def _einsum(node: Node, *inputs: Tensor) -> Tensor:
    found: Tensor = torch.einsum(node.get("equation", ""), *inputs)
    return found


@operator("Det")
def _det(node: Node, input: Tensor) -> Tensor:
    found: Tensor = torch.linalg.det(input)
    return found


def _heads(input: Tensor, count: int) -> Tensor:
    return input.reshape(*input.shape[:-1], count, -1).transpose(1, 2)


@operator("Attention", layer=True)
def _attention(
    node: Node, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None,
    past_key: Tensor | None = None, past_value: Tensor | None = None, lengths: Tensor | None = None,
) -> Tensor | tuple[Tensor | None, ...]:  # fmt: skip
    if lengths is not None or node.gives(3) or node.get("softcap", 0.0):
        raise ValueError(
            f"{node.label} (Attention): softcap, padded lengths and scores as an output are not known here"
        )
    flat = query.dim() == 3
    if flat:
        query = _heads(query, node.get("q_num_heads"))
        key, value = _heads(key, node.get("kv_num_heads")), _heads(value, node.get("kv_num_heads"))
    if past_key is not None and past_value is not None:
        key, value = torch.cat((past_key, key), 2), torch.cat((past_value, value), 2)
    grouped = query.shape[1] != key.shape[1]
    scale = node.get("scale") or 1 / math.sqrt(query.shape[-1])
    causal = bool(node.get("is_causal", 0))
    if causal and (mask is not None or past_key is not None):
        raise ValueError(f"{node.label} (Attention): is_causal beside a mask or a past is not known here")
    found = functional.scaled_dot_product_attention(
        query, key, value, mask, 0.0, causal, scale=scale, enable_gqa=grouped
    )
    found = found.transpose(1, 2).flatten(2) if flat else found
    return (found, key, value) if node.gives(1) or node.gives(2) else found


def _laid(numbers: Tensor, input: Tensor, node: Node) -> Tensor:
    """Scales or zero points along the axis that they belong to."""
    if numbers.numel() == 1:
        return numbers.reshape(())
    axis, block = node.get("axis", 1) % input.dim(), node.get("block_size", 0)
    if numbers.dim() == 1:
        return numbers.reshape(-1, *[1] * (input.dim() - axis - 1))
    return numbers.repeat_interleave(block or 1, axis).narrow(axis, 0, input.shape[axis])


_SCALES = ("", "scale", "zero_point")


@operator("DequantizeLinear", roles=("weight", "scale", "zero_point"), buffers=("weight", "scale", "zero_point"))
def _dequantize(node: Node, input: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    shift, factor = None if zero is None else _laid(zero, input, node), _laid(scale, input, node)
    wide = input.to(scale.dtype)
    found: Tensor = (wide if shift is None else wide - shift.to(scale.dtype)) * factor
    return found


@operator("QuantizeLinear", roles=_SCALES, buffers=("scale", "zero_point"))
def _quantize(node: Node, input: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    shift, factor = None if zero is None else _laid(zero, input, node), _laid(scale, input, node)
    number = node.get("output_dtype", 0)
    dtype = zero.dtype if zero is not None else dtype_of(number, node) if number else torch.uint8
    found: Tensor = input / factor
    if dtype.is_floating_point:
        return found.to(dtype)
    found = found.round() if shift is None else found.round() + shift.to(found.dtype)
    return found.clamp(torch.iinfo(dtype).min, torch.iinfo(dtype).max).to(dtype)


@operator("DynamicQuantizeLinear")
def _dynamic(node: Node, input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low, high = input.amin().clamp(max=0), input.amax().clamp(min=0)
    scale = (high - low) / 255
    zero = (-low / scale).round().clamp(0, 255)
    return ((input / scale).round() + zero).clamp(0, 255).to(torch.uint8), scale, zero.to(torch.uint8)


def _shifted(input: Tensor, zero: Tensor | None, axis: int) -> Tensor:
    wide = input.to(torch.int32)
    if zero is None:
        return wide
    places = [-1 if place == axis % input.dim() else 1 for place in range(input.dim())]
    return wide - (zero.to(torch.int32).reshape(places) if zero.numel() > 1 else zero.to(torch.int32).reshape(()))


_POINTS = ("first_zero_point", "weight_zero_point")


@operator("MatMulInteger", roles=("", "weight", *_POINTS), buffers=("weight", *_POINTS))
def _mat_mul_integer(
    node: Node, first: Tensor, second: Tensor, one: Tensor | None = None, two: Tensor | None = None
) -> Tensor:
    found: Tensor = _shifted(first, one, -2) @ _shifted(second, two, -1)
    return found


@operator("ConvInteger", roles=("", "weight", *_POINTS), buffers=("weight", *_POINTS), layer=True)
def _conv_integer(
    node: Node, input: Tensor, weight: Tensor, one: Tensor | None = None, two: Tensor | None = None
) -> Tensor:
    # Sums of products of bytes are whole numbers of float64, too.
    wide = _shifted(input, one, 1).double(), _shifted(weight, two, 0).double()
    return convolve(node, *wide, None).to(torch.int32)


_Q = ("", "scale", "zero_point", "weight", "weight_scale", "weight_zero_point", "output_scale", "output_zero_point")


def _requantized(node: Node, input: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    return _quantize(Node(op=node.op, label=node.label), input, scale, zero)


def _real(input: Tensor, scale: Tensor, zero: Tensor, axis: int) -> Tensor:
    places = [-1 if place == axis % input.dim() else 1 for place in range(input.dim())]
    return _shifted(input, zero, axis) * (scale.reshape(places) if scale.numel() > 1 else scale.reshape(()))


@operator("QLinearConv", roles=(*_Q, "bias"), buffers=(*_Q[1:], "bias"), layer=True)
def _q_linear_conv(node: Node, input: Tensor, *others: Tensor) -> Tensor:
    scale, zero, weight, weight_scale, weight_zero, out_scale, out_zero, *bias = others
    found = convolve(node, _real(input, scale, zero, 1), _real(weight, weight_scale, weight_zero, 0), None)
    if bias and bias[0] is not None:
        step = (scale.reshape(()) * weight_scale) * bias[0]
        found = found + step.reshape(-1, *[1] * (input.dim() - 2))
    return _requantized(node, found, out_scale, out_zero)


@operator("QLinearMatMul", roles=_Q, buffers=_Q[1:])
def _q_linear_mat_mul(node: Node, input: Tensor, *others: Tensor) -> Tensor:
    scale, zero, weight, weight_scale, weight_zero, out_scale, out_zero = others
    product: Any = _real(input, scale, zero, -2) @ _real(weight, weight_scale, weight_zero, -1)
    return _requantized(node, product, out_scale, out_zero)
