"""Operators on each number by itself, and comparisons."""

import functools
import math
import operator as python
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from striate.inspection.onnx_graph.operators.registry import Node, operator

DTYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 4: torch.uint16, 5: torch.int16, 6: torch.int32, 7: torch.int64,
    9: torch.bool, 10: torch.float16, 11: torch.float64, 12: torch.uint32, 13: torch.uint64, 14: torch.complex64,
    15: torch.complex128, 16: torch.bfloat16, 17: torch.float8_e4m3fn, 18: torch.float8_e4m3fnuz, 19: torch.float8_e5m2,
    20: torch.float8_e5m2fnuz,
}  # fmt: skip
"""PyTorch's dtypes by ONNX's numbers for them. Text, 8, and packed ones of four bits are missing."""


def dtype_of(number: int, node: Node) -> torch.dtype:
    """The dtype that a setting names.

    Raises:
        ValueError: if PyTorch has none.
    """
    if number not in DTYPES:
        raise ValueError(f"{node.label} ({node.op}): the data type {number} of ONNX has no counterpart in PyTorch")
    return DTYPES[number]


_ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs, "Acos": torch.acos, "Acosh": torch.acosh, "Asin": torch.asin, "Asinh": torch.asinh,
    "Atan": torch.atan, "Atanh": torch.atanh, "BitwiseNot": torch.bitwise_not, "Ceil": torch.ceil, "Cos": torch.cos,
    "Cosh": torch.cosh, "Erf": torch.erf, "Exp": torch.exp, "Floor": torch.floor, "IsNaN": torch.isnan,
    "Log": torch.log, "Neg": torch.neg, "Not": torch.logical_not, "Reciprocal": torch.reciprocal,
    "Round": torch.round, "Sign": torch.sign, "Sin": torch.sin, "Sinh": torch.sinh, "Sqrt": torch.sqrt,
    "Tan": torch.tan,
}  # fmt: skip
_LAYERS: dict[str, Callable[[Tensor], Tensor]] = {
    "Relu": torch.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Softplus": functional.softplus,
    "Softsign": functional.softsign, "HardSwish": functional.hardswish, "Mish": functional.mish,
}  # fmt: skip


def _alone(function: Callable[[Tensor], Tensor]) -> Callable[[Node, Tensor], Tensor]:
    return lambda node, input: function(input)


for _name, _function in _ONE.items():
    operator(_name)(_alone(_function))
for _name, _function in _LAYERS.items():
    operator(_name, layer=True)(_alone(_function))


def _quotient(first: Tensor, second: Any) -> Tensor:
    whole = not (first.is_floating_point() or first.is_complex())
    found: Tensor = torch.div(first, second, rounding_mode="trunc") if whole else first / second
    return found


_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "Add": python.add, "Sub": python.sub, "Mul": python.mul, "Div": _quotient, "Equal": python.eq,
    "Greater": python.gt, "GreaterOrEqual": python.ge, "Less": python.lt, "LessOrEqual": python.le,
    "And": torch.logical_and, "Or": torch.logical_or, "Xor": torch.logical_xor, "BitwiseAnd": python.and_,
    "BitwiseOr": python.or_, "BitwiseXor": python.xor,
}  # fmt: skip


def _aligned(node: Node, first: Tensor, second: Tensor) -> Tensor:
    """The second input of the operators of set 6 and before, which were told where to lay it."""
    axis = node.get("axis")
    if axis is None or not isinstance(second, Tensor) or not node.get("broadcast", 0):
        return second
    return second.reshape(*second.shape, *[1] * (first.dim() - axis % first.dim() - second.dim()))


def _together(function: Callable[[Any, Any], Any]) -> Callable[[Node, Tensor, Tensor], Tensor]:
    def run(node: Node, first: Tensor, second: Tensor) -> Tensor:
        found: Tensor = function(first, _aligned(node, first, second))
        return found

    return run


for _name, _pair in _TWO.items():
    operator(_name, scalars=_name not in ("And", "Or", "Xor"))(_together(_pair))


@operator("Pow", scalars=True)
def _pow(node: Node, first: Tensor, second: Tensor) -> Tensor:
    # The first decides the dtype.
    found: Tensor = first**second
    return found.to(first.dtype)


@operator("Mod")
def _mod(node: Node, first: Tensor, second: Tensor) -> Tensor:
    return torch.fmod(first, second) if node.get("fmod", 0) else torch.remainder(first, second)


@operator("BitShift")
def _bit_shift(node: Node, first: Tensor, second: Tensor) -> Tensor:
    return first << second if node.get("direction") == "LEFT" else first >> second


@operator("Max")
def _max(node: Node, *inputs: Tensor) -> Tensor:
    return functools.reduce(torch.maximum, inputs)


@operator("Min")
def _min(node: Node, *inputs: Tensor) -> Tensor:
    return functools.reduce(torch.minimum, inputs)


@operator("Sum")
def _sum(node: Node, *inputs: Tensor) -> Tensor:
    return functools.reduce(python.add, inputs)


@operator("Mean")
def _mean(node: Node, *inputs: Tensor) -> Tensor:
    return functools.reduce(python.add, inputs) / len(inputs)


@operator("IsInf")
def _is_inf(node: Node, input: Tensor) -> Tensor:
    found = torch.isinf(input)
    if not node.get("detect_negative", 1):
        found = found & (input > 0)
    if not node.get("detect_positive", 1):
        found = found & (input < 0)
    return found


def _bound(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None or not np.size(value) else np.asarray(value).reshape(-1)[0].item()


@operator("Clip", numbers=(1, 2), layer=True)
def _clip(node: Node, input: Tensor, low: Any = None, high: Any = None) -> Tensor:
    least, most = _bound(low, node.get("min")), _bound(high, node.get("max"))
    if node.version < 11:
        # Where they are left out, they are the ends of float32.
        end = float(np.finfo(np.float32).max)
        least, most = (
            (None if least is None or least <= -end else least),
            (None if most is None or most >= end else most),
        )
    if (least, most) == (0, 6) and input.is_floating_point():
        return functional.relu6(input)
    return input.clone() if least is None and most is None else torch.clamp(input, least, most)


@operator("Cast")
def _cast(node: Node, input: Tensor) -> Tensor:
    return input.to(dtype_of(node.get("to", 0), node))


@operator("CastLike")
def _cast_like(node: Node, input: Tensor, like: Tensor) -> Tensor:
    return input.to(like.dtype)


@operator("Where")
def _where(node: Node, condition: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.where(condition, first, second)


@operator("Identity")
def _identity(node: Node, input: Tensor) -> Tensor:
    return input


@operator("Dropout", numbers=(1, 2), layer=True)
def _dropout(node: Node, input: Tensor, ratio: Any = None, training: Any = None) -> Tensor | tuple[Tensor, Tensor]:
    if training is not None and bool(np.asarray(training).reshape(-1)[0]):
        raise ValueError(f"{node.label} (Dropout): training_mode is true; export the network in eval mode")
    return (input, torch.ones_like(input, dtype=torch.bool)) if node.gives(1) else input


@operator("LeakyRelu", layer=True)
def _leaky_relu(node: Node, input: Tensor) -> Tensor:
    return functional.leaky_relu(input, node.get("alpha", 0.01))


@operator("ThresholdedRelu", layer=True)
def _thresholded_relu(node: Node, input: Tensor) -> Tensor:
    return functional.threshold(input, node.get("alpha", 1.0), 0.0)


@operator("PRelu", roles=("", "weight"), layer=True)
def _prelu(node: Node, input: Tensor, slope: Tensor) -> Tensor:
    return torch.where(input < 0, slope * input, input)


@operator("Elu", layer=True)
def _elu(node: Node, input: Tensor) -> Tensor:
    return functional.elu(input, node.get("alpha", 1.0))


@operator("Celu", layer=True)
def _celu(node: Node, input: Tensor) -> Tensor:
    return functional.celu(input, node.get("alpha", 1.0))


@operator("Selu", layer=True)
def _selu(node: Node, input: Tensor) -> Tensor:
    alpha, gamma = node.get("alpha", 1.67326319217681884765625), node.get("gamma", 1.05070102214813232421875)
    found: Tensor = gamma * functional.elu(input, alpha)
    return found


@operator("HardSigmoid", layer=True)
def _hard_sigmoid(node: Node, input: Tensor) -> Tensor:
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return functional.hardsigmoid(input)
    return torch.clamp(alpha * input + beta, 0, 1)


@operator("Gelu", "com.microsoft::Gelu", layer=True)
def _gelu(node: Node, input: Tensor) -> Tensor:
    return functional.gelu(input, approximate=node.get("approximate", "none"))


@operator("Swish", layer=True)
def _swish(node: Node, input: Tensor) -> Tensor:
    alpha = node.get("alpha", 1.0)
    return functional.silu(input) if alpha == 1 else input * torch.sigmoid(alpha * input)


@operator("Shrink", layer=True)
def _shrink(node: Node, input: Tensor) -> Tensor:
    bias, edge = node.get("bias", 0.0), node.get("lambd", 0.5)
    below = torch.where(input < -edge, input + bias, torch.zeros_like(input))
    return torch.where(input > edge, input - bias, below)


@operator("Softmax", "LogSoftmax", "Hardmax", layer=True)
def _softmax(node: Node, input: Tensor) -> Tensor:
    axis = node.get("axis", -1 if node.version >= 13 else 1)
    # Until set 13, over all axes from that one on.
    table = (
        input if node.version >= 13 else input.flatten(axis % input.dim()) if axis % input.dim() else input.flatten()
    )
    along = axis if node.version >= 13 else -1
    if node.op == "Hardmax":
        places = table.argmax(along)
        found = functional.one_hot(places, table.shape[along]).movedim(-1, along).to(input.dtype)
    else:
        function = functional.softmax if node.op == "Softmax" else functional.log_softmax
        found = function(table, along)
    return found.reshape(input.shape)
