"""Operators that are not known here: the sizes of their outputs, without their numbers."""

import json
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from striate.inspection.onnx_graph.operators.pointwise import DTYPES
from striate.inspection.onnx_graph.operators.registry import Node

_NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
_library = torch.library.Library("onnx_file", "FRAGMENT")  # type: ignore[no-untyped-call]
_defined: set[str] = set()


def opaque(node: Node, proto: Any, shapes: dict[str, Any], given: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """Stand in for an operator: an operation of its name, whose outputs have sizes only.

    Args:
        node: the node.
        proto: as it stands in the file.
        shapes: sizes that the file notes for its outputs, by name.
        given: its inputs in order.

    Returns:
        Its outputs.

    Raises:
        ValueError: if the inputs have numbers, which nobody here can work on, or the sizes of an output are not known.
    """
    what = f"{node.label}: the operator {node.key!r} is not known here"
    if not any(isinstance(each, FakeTensor) for each in given):
        raise ValueError(f"{what}, so the network can be inspected, but not run")
    outputs = _inferred(node, proto, given)
    for place, name in enumerate(node.outputs):
        if outputs[place] is None and name in shapes and shapes[name].shape is not None:
            noted = shapes[name]
            if all(isinstance(size, int) for size in noted.shape):
                outputs[place] = list(noted.shape), _NUMBERS[noted.dtype]
        if outputs[place] is None and name:
            raise ValueError(f"{what}, and neither ONNX nor the file knows the sizes of its output {name!r}")
    wanted = [each for each in outputs if each is not None]
    made = iter(_operation(node)([each for each in given if each is not None], json.dumps(wanted)))
    return tuple(None if each is None else next(made) for each in outputs)  # type: ignore[misc]


def _inferred(node: Node, proto: Any, given: Sequence[Tensor | None]) -> list[Any]:
    """Sizes and dtypes of the outputs as ONNX infers them; None where it does not.

    Raises:
        ValueError: if the inputs do not fit the operator.
    """
    import onnx

    missing: list[Any] = [None] * len(node.outputs)
    try:
        schema = onnx.defs.get_schema(node.op, node.version, node.domain)
    except onnx.defs.SchemaError:
        return missing
    types, data = {}, {}
    for name, each in zip(node.inputs, given, strict=True):
        if each is not None and each.dtype in _NUMBERS:
            types[name] = onnx.helper.make_tensor_type_proto(_NUMBERS[each.dtype], list(each.shape))
            if not isinstance(each, FakeTensor):
                data[name] = onnx.numpy_helper.from_array(each.numpy(), name)
    sets = [onnx.helper.make_opsetid(node.domain, node.version)]
    try:
        found = onnx.shape_inference.infer_node_outputs(schema, proto, types, data, opset_imports=sets)
    except onnx.shape_inference.InferenceError as error:
        raise ValueError(f"{node.label} ({node.op}): {str(error).splitlines()[0][:300]}") from error
    for place, name in enumerate(node.outputs):
        kind = found[name].tensor_type if name in found else None
        if kind is not None and kind.HasField("shape") and all(axis.HasField("dim_value") for axis in kind.shape.dim):
            missing[place] = [axis.dim_value for axis in kind.shape.dim], kind.elem_type
    return missing


def _operation(node: Node) -> Any:
    """The operation of an operator's name, made at its first use."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", node.key.replace("::", "_"))
    if name not in _defined:
        _library.define(f"{name}(Tensor[] inputs, str outputs) -> Tensor[]")  # type: ignore[no-untyped-call]
        torch.library.register_fake(f"onnx_file::{name}", _blank, lib=_library)
        _defined.add(name)
    return getattr(torch.ops.onnx_file, name)


def _blank(inputs: Sequence[Tensor], outputs: str) -> list[Tensor]:
    return [torch.empty(shape, dtype=DTYPES[number]) for shape, number in json.loads(outputs)]
