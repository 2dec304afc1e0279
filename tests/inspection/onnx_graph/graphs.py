"""Small ONNX files by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[Sequence[int | str], Any]],
    tensors: Mapping[str, Array] | None = None,
    outputs: Sequence[str] = ("y",),
    version: int = 21,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model; inputs by name with their sizes and dtype."""
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(sizes))
        for name, (sizes, dtype) in inputs.items()
    ]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in (tensors or {}).items()]
    # No type: their dtypes are inferred.
    made = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(list(nodes), "graph", given, made, held)
    sets = [helper.make_opsetid("", version), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=sets, ir_version=10)


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    """The file of a model."""
    file = folder / "network.onnx"
    file.write_bytes(model.SerializeToString())
    return file


def floating(*sizes: int, seed: int = 0) -> Array:
    """Numbers to feed a network with."""
    return np.random.default_rng(seed).standard_normal(sizes).astype(np.float32)


__all__ = ["Array", "TensorProto", "floating", "model_of", "saved"]
