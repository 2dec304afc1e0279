"""Operators that take axes together, sort them or add along them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from striate.inspection.onnx_graph.operators.registry import Node, integers, operator

_Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _product(input: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % input.dim() for axis in axes), reverse=True):
        input = input.prod(axis, keepdim=keep)
    return input


_REDUCTIONS: dict[str, _Reduction] = {
    "ReduceMean": lambda input, axes, keep: input.mean(axes, keepdim=keep),
    "ReduceSum": lambda input, axes, keep: input.sum(axes, keepdim=keep, dtype=input.dtype),
    "ReduceMax": lambda input, axes, keep: input.amax(axes, keepdim=keep),
    "ReduceMin": lambda input, axes, keep: input.amin(axes, keepdim=keep),
    "ReduceProd": lambda input, axes, keep: _product(input, axes, keep).to(input.dtype),
    "ReduceL1": lambda input, axes, keep: input.abs().sum(axes, keepdim=keep),
    "ReduceL2": lambda input, axes, keep: (input * input).sum(axes, keepdim=keep).sqrt(),
    "ReduceSumSquare": lambda input, axes, keep: (input * input).sum(axes, keepdim=keep),
    "ReduceLogSum": lambda input, axes, keep: input.sum(axes, keepdim=keep).log(),
    "ReduceLogSumExp": lambda input, axes, keep: input.logsumexp(axes, keepdim=keep),
}


def _reducing(function: _Reduction) -> Callable[..., Tensor]:
    def run(node: Node, input: Tensor, axes: Any = None) -> Tensor:
        given = node.get("axes") if axes is None else integers(axes)
        if not given:
            if node.get("noop_with_empty_axes", 0):
                return input
            given = list(range(input.dim()))
        return function(input, list(given), bool(node.get("keepdims", 1))) if input.dim() else input

    return run


for _name, _function in _REDUCTIONS.items():
    operator(_name, numbers=(1,))(_reducing(_function))


@operator("ArgMax", "ArgMin")
def _arg(node: Node, input: Tensor) -> Tensor:
    axis, keep = node.get("axis", 0), bool(node.get("keepdims", 1))
    last = bool(node.get("select_last_index", 0))
    table = input.flip(axis) if last else input
    places = (torch.argmax if node.op == "ArgMax" else torch.argmin)(table, axis, keepdim=keep)
    return input.shape[axis] - 1 - places if last else places


@operator("TopK", numbers=(1,))
def _top_k(node: Node, input: Tensor, k: Any = None) -> tuple[Tensor, Tensor]:
    count = node.get("k") if k is None else integers(k)[0]
    largest, ordered = bool(node.get("largest", 1)), bool(node.get("sorted", 1))
    values, places = torch.topk(input, count, node.get("axis", -1), largest, ordered)
    return values, places


@operator("CumSum", numbers=(1,))
def _cumulated(node: Node, input: Tensor, axis: Any) -> Tensor:
    along = integers(axis)[0]
    table = input.flip(along) if node.get("reverse", 0) else input
    found = table.cumsum(along, dtype=input.dtype)
    if node.get("exclusive", 0):
        found = found - table
    return found.flip(along) if node.get("reverse", 0) else found


@operator("NonZero")
def _non_zero(node: Node, input: Tensor) -> Tensor:
    return input.nonzero().T
