"""What a network of a graph does at each step, worked out once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from striate.inspection.onnx_graph.layer import GraphLayer, layer_class
from striate.inspection.onnx_graph.naming import names_of
from striate.inspection.onnx_graph.operators import OPERATORS, Node
from striate.inspection.onnx_graph.reader import Graph, GraphInput
from striate.inspection.onnx_graph.running import KNOWN, Known, known
from striate.inspection.onnx_graph.stored import Stored


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node.

    Args:
        node: the node.
        layer: the dotted name of the module that runs it; empty if none does.
        values: names of what it is given; empty for what its module holds or is known.
        constants: what is known of what it is given, in the same places.
        last: names of what no later step reads.
        keeps: names of its outputs; empty for those that nothing reads.
        proto: the node as it stands in the file, if its operator is not in the table.
        shapes: sizes that the file notes for its outputs.
    """

    node: Node
    layer: str
    values: tuple[str, ...]
    constants: tuple[Known | None, ...]
    last: tuple[str, ...]
    keeps: tuple[str, ...]
    proto: Any
    shapes: Mapping[str, GraphInput]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All that a network does, without its parameters.

    Args:
        file: where it was read from.
        inputs: what it takes.
        outputs: names of what it gives.
        steps: in order.
        constants: outputs that do not depend on the inputs, by name.
    """

    file: Path
    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]
    steps: tuple[Step, ...]
    constants: Mapping[str, Known]


def planned(network: nn.Module, graph: Graph, numbers: bool) -> Plan:
    """Give a network its layers, and work out its steps.

    Args:
        network: the module, still empty.
        graph: what it does.
        numbers: whether parameters and buffers hold their numbers.

    Returns:
        The steps.

    Raises:
        ValueError: if sizes depend on a tensor that is too large for it.
    """
    holding = _Holding(graph, numbers)
    layers = [node for node in graph.nodes if _is_layer(graph, node)]
    names = names_of(graph, layers)
    last: dict[str, int] = {}
    for place, node in enumerate(graph.nodes):
        last.update(dict.fromkeys(node.inputs, place))
    steps = []
    for place, node in enumerate(graph.nodes):
        shapes = {name: graph.shapes[name] for name in node.outputs if name in graph.shapes}
        proto = graph.protos.get(node.label)
        layer = None
        if node.label in names:
            layer = layer_class(node.op)(node, proto, shapes)
            _put(network, names[node.label], layer)
        values, constants = [], []
        for where, name in enumerate(node.inputs):
            stored = graph.tensors.get(name)
            held = stored is not None and _is_held(node, where, stored)
            if layer is not None and held:
                layer.hold(where, holding.tensor(node, where, name))
            values.append("" if stored is not None else name)
            constants.append(holding.constant(name) if stored is not None and not held else None)
        gone = {name for name in values if name and last[name] == place and name not in graph.outputs}
        keeps = tuple(name if name in last or name in graph.outputs else "" for name in node.outputs)
        steps.append(
            Step(node, names.get(node.label, ""), tuple(values), tuple(constants), tuple(gone), keeps, proto, shapes)
        )
    constant = {name: holding.constant(name) for name in graph.outputs if name in graph.tensors}
    return Plan(graph.file, graph.inputs, graph.outputs, tuple(steps), constant)


def _role(node: Node, place: int) -> str:
    operator = OPERATORS.get(node.key)
    return operator.roles[place] if operator and place < len(operator.roles) else ""


def _is_held(node: Node, place: int, stored: Stored) -> bool:
    """Whether an input is a module's parameter or buffer; else it is a known number, or several."""
    operator = OPERATORS.get(node.key)
    if operator and place in operator.numbers:
        return False
    if stored.size > KNOWN or _role(node, place):
        return stored.dtype.is_floating_point or stored.size > KNOWN or _is_buffer(node, place, stored)
    return stored.dtype.is_floating_point and stored.size != 1


def _is_buffer(node: Node, place: int, stored: Stored) -> bool:
    operator = OPERATORS.get(node.key)
    role = _role(node, place)
    return (
        not stored.dtype.is_floating_point
        and role not in ("", "weight")
        or bool(operator and role and role in operator.buffers)
    )


def _is_layer(graph: Graph, node: Node) -> bool:
    operator = OPERATORS.get(node.key)
    if operator is None or operator.layer:
        return True
    named = ((place, graph.tensors.get(name)) for place, name in enumerate(node.inputs))
    return any(stored is not None and _is_held(node, place, stored) for place, stored in named)


class _Holding:
    """The tensors of a file: each is one tensor, however many nodes read it."""

    def __init__(self, graph: Graph, numbers: bool) -> None:
        self._graph, self._numbers = graph, numbers
        self._tensors: dict[tuple[str, bool], Tensor] = {}
        self._constants: dict[str, Known] = {}

    def tensor(self, node: Node, place: int, name: str) -> Tensor:
        stored = self._graph.tensors[name]
        trained = stored.dtype.is_floating_point and not _is_buffer(node, place, stored)
        if (name, trained) not in self._tensors:
            plain = stored.read() if self._numbers else stored.empty()
            self._tensors[name, trained] = nn.Parameter(plain) if trained else plain
        return self._tensors[name, trained]

    def constant(self, name: str) -> Known:
        if name not in self._constants:
            stored = self._graph.tensors[name]
            if stored.size > KNOWN:
                raise ValueError(f"the tensor {name!r} decides sizes, and has {stored.size} numbers")
            self._constants[name] = known(stored.read())
        return self._constants[name]


def _put(network: nn.Module, name: str, layer: GraphLayer) -> None:
    """Make a module a part of another under a dotted name."""
    *above, own = name.split(".")
    for part in above:
        if part not in network._modules:
            network.add_module(part, nn.Module())
        network = network.get_submodule(part)
    network.add_module(own, layer)
