"""A node of a graph as a module."""

import functools
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from striate.inspection.onnx_graph.operators import OPERATORS, Node
from striate.inspection.onnx_graph.reader import GraphInput
from striate.inspection.onnx_graph.running import Given, run


class GraphLayer(nn.Module):
    """A node with numbers of its own, a window or an activation.

    Its class is called as its operator. Of convolutions and products it tells what PyTorch's layers tell:
    `kernel_size`, `stride`, `dilation`, `groups`, `in_channels`, `out_channels`, `in_features`, `out_features`.

    Args:
        node: the node.
        proto: as it stands in the file, for operators that are not in the table.
        shapes: sizes that the file notes for its outputs.
    """

    def __init__(self, node: Node, proto: Any, shapes: Mapping[str, GraphInput]) -> None:
        super().__init__()
        self._step = (node, proto, shapes)
        self._held: dict[int, str] = {}
        for name, setting in (("kernel_size", "kernel_shape"), ("stride", "strides"), ("dilation", "dilations")):
            if node.get(setting):
                setattr(self, name, tuple(node.get(setting)))

    def hold(self, place: int, tensor: Tensor) -> None:
        """Give it an input that the file holds, as a parameter or a buffer."""
        node = self._step[0]
        operator = OPERATORS.get(node.key)
        role = operator.roles[place] if operator and place < len(operator.roles) else ""
        name = role if role and role not in self._held.values() else f"input_{place}"
        self._held[place] = name
        if isinstance(tensor, nn.Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, tensor)
        if role == "weight":
            for attribute, size in _described(node, tuple(tensor.shape)).items():
                setattr(self, attribute, size)

    def forward(self, *given: Given) -> Any:
        """Run the node.

        Args:
            given: its inputs in order, None in place of those that it holds.

        Returns:
            Its output, or several.
        """
        filled = list(given)
        for place, name in self._held.items():
            filled[place] = getattr(self, name)
        del given
        found = run(*self._step, filled)
        return found[0] if len(found) == 1 else found

    def extra_repr(self) -> str:
        """Return the settings of the node."""
        return ", ".join(f"{key}={value}" for key, value in self._step[0].attributes.items())


def _described(node: Node, shape: tuple[int, ...]) -> dict[str, Any]:
    """What a layer of PyTorch would say of itself with such a weight."""
    groups = node.get("group", 1)
    if node.op in ("Conv", "DeformConv", "ConvTranspose") and len(shape) > 2:
        first, second = shape[:2]
        ins, outs = (first, second * groups) if node.op == "ConvTranspose" else (second * groups, first)
        return {"in_channels": ins, "out_channels": outs, "groups": groups, "kernel_size": shape[2:]}
    if node.op in ("Gemm", "MatMul") and len(shape) == 2:
        outs, ins = shape if node.get("transB", 0) else shape[::-1]
        return {"in_features": ins, "out_features": outs}
    return {}


@functools.lru_cache(maxsize=512)
def layer_class(op: str) -> type[GraphLayer]:
    """Return the class of an operator's layers, called as the operator."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", op) or "Node"
    return type(name, (GraphLayer,), {"__module__": GraphLayer.__module__, "__doc__": f"A node {name}."})
