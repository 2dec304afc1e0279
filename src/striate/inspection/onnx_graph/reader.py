"""An ONNX file as a checked graph. Nothing of it is executed, and no numbers are read."""

import importlib
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from striate.inspection.onnx_graph.operators import OPERATORS, Node
from striate.inspection.onnx_graph.operators.pointwise import DTYPES
from striate.inspection.onnx_graph.stored import Stored, stored

_BRANCHING = ("If", "Loop", "Scan", "SequenceMap")
_TENSOR, _TENSORS = 4, 9
_GRAPHS = (5, 10, 11, 12, 13, 14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may ask for.

    Args:
        size: bytes of the file itself.
        nodes: how many, functions counted as often as they are used.
        elements: numbers in one of its tensors.
    """

    size: int = 2 * 1024**3
    nodes: int = 100_000
    elements: int = 2**32


@dataclass(frozen=True, slots=True)
class GraphInput:
    """An input of a graph.

    Args:
        name: as in the file.
        shape: sizes; a name, or None, where any will do. None if not even their number is known.
        dtype: of its numbers.
    """

    name: str
    shape: tuple[int | str | None, ...] | None
    dtype: torch.dtype


@dataclass(slots=True, kw_only=True)
class Graph:
    """A file's network.

    Args:
        file: where it was read from.
        inputs: those that are given.
        outputs: names of the values returned.
        nodes: in an order in which they can run.
        protos: the nodes whose operator is not in the table, as they stand in the file, by label.
        scopes: where a node stood in the module that was exported, by label.
        tensors: what the file holds, by name.
        shapes: sizes that the file notes for other values, by name.
        versions: of the operator sets, by domain.
    """

    file: Path
    inputs: tuple[GraphInput, ...] = ()
    outputs: tuple[str, ...] = ()
    nodes: list[Node] = field(default_factory=list)
    protos: dict[str, Any] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, Stored] = field(default_factory=dict)
    shapes: dict[str, GraphInput] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)


def read_graph(file: Path, limits: Limits) -> Graph:
    """Read and check a file.

    Args:
        file: an ONNX file.
        limits: what it may ask for.

    Returns:
        The graph; no tensor's numbers are read.

    Raises:
        ImportError: if the package onnx is not installed.
        ValueError: if the file is refused; the message names it.
    """
    model = _parsed(file, limits)
    try:
        return _checked(model, file, limits)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _parsed(file: Path, limits: Limits) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ImportError("ONNX files need the package onnx: pip install 'striate[export]'") from error
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{file} is no file")
        if status.st_size > limits.size:
            raise ValueError(f"{file} has {status.st_size} bytes: at most {limits.size} are allowed")
        with file.open("rb") as opened:
            data = opened.read(limits.size + 1)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except importlib.import_module("google.protobuf.message").DecodeError as error:
        raise ValueError(f"{file} is no ONNX file, or is damaged") from error
    if not (model.HasField("graph") and model.ir_version > 0 and model.opset_import):
        raise ValueError(f"{file} is no ONNX file: it has no graph or no operator set")
    return model


def _checked(model: Any, file: Path, limits: Limits) -> Graph:
    model = _without_functions(model, limits)
    graph = model.graph
    if len(graph.node) > limits.nodes:
        raise ValueError(f"it has {len(graph.node)} nodes: at most {limits.nodes} are allowed")
    found = Graph(file=file, versions={_domain(each.domain): each.version for each in model.opset_import})
    if graph.sparse_initializer:
        raise ValueError("sparse tensors are not known here")
    for proto in graph.initializer:
        name = text_of(proto.name)
        if name in found.tensors:
            raise ValueError(f"two tensors are called {_shown(name)!r}")
        found.tensors[name] = stored(proto, name, file.parent, limits.elements)
    found.inputs = tuple(_described(each) for each in graph.input if text_of(each.name) not in found.tensors)
    found.outputs = tuple(text_of(each.name) for each in graph.output)
    if not found.outputs:
        raise ValueError("the graph has no outputs")
    labels: dict[str, int] = {}
    for place, proto in enumerate(graph.node):
        if proto.op_type == "Constant" and not _domain(proto.domain):
            label = _shown(proto.name) or f"Constant_{place}"
            tensor = _constant(proto, label, file.parent, limits)
            if tensor.name in found.tensors:
                raise ValueError(f"two tensors are called {_shown(tensor.name)!r}")
            found.tensors[tensor.name] = tensor
            continue
        node = _node(proto, place, found.versions, labels, file.parent, limits)
        if node.key not in OPERATORS:
            found.protos[node.label] = proto
        scope = _scope(proto)
        if scope:
            found.scopes[node.label] = scope
        found.nodes.append(node)
    for each in (*graph.value_info, *graph.output):
        if each.type.HasField("tensor_type") and each.type.tensor_type.elem_type in DTYPES:
            found.shapes[text_of(each.name)] = _described(each)
    _without_copies(found)
    found.nodes = _ordered(found)
    return found


def _domain(name: str | bytes) -> str:
    return "" if name == "ai.onnx" else text_of(name)


def text_of(name: str | bytes) -> str:
    """Return a name of the file, which Protocol Buffers give as bytes where they are no text."""
    return name if isinstance(name, str) else name.decode(errors="backslashreplace")


def _shown(name: str | bytes) -> str:
    """A name as messages may print it."""
    text = text_of(name)
    return "".join(letter if letter.isprintable() else "?" for letter in text[:200])


def _without_functions(model: Any, limits: Limits) -> Any:
    """The model with its own functions written out where they are used.

    Raises:
        ValueError: if one uses itself, or they make too many nodes.
    """
    if not model.functions:
        return model
    bodies = {(_domain(each.domain), each.name): each for each in model.functions}
    sizes: dict[tuple[str, str], tuple[int, int]] = {}

    def size(nodes: Any, open_ones: tuple[tuple[str, str], ...]) -> tuple[int, int]:
        count, length = 0, 0
        for node in nodes:
            key = (_domain(node.domain), node.op_type)
            if key in open_ones or len(open_ones) > 50:
                raise ValueError(f"its function {_shown(key[1])!r} uses itself, or stands too deep in others")
            if any(each.type in _GRAPHS for each in node.attribute):
                raise ValueError(f"its node {_shown(node.name)!r} branches or repeats, which is not known here")
            if key in bodies and key not in sizes:
                sizes[key] = size(bodies[key].node, (*open_ones, key))
            more, longer = sizes.get(key, (1, node.ByteSize()))
            count, length = count + more, length + longer
        return count, length

    count, length = size(model.graph.node, ())
    if count > limits.nodes or length > limits.size:
        raise ValueError(
            f"it has {count} nodes in its functions and {length} bytes: at most {limits.nodes} and {limits.size} are "
            "allowed"
        )
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except Exception as error:
        # ONNX tells by several kinds of errors that functions are not as they should be.
        raise ValueError(f"its functions cannot be written out: {str(error)[:300]}") from error


def _described(value: Any) -> GraphInput:
    """Name, sizes and dtype of an input or another value.

    Raises:
        ValueError: if it is no tensor, or of a dtype that PyTorch has not.
    """
    if not value.type.HasField("tensor_type"):
        raise ValueError(f"the input {_shown(value.name)!r} is no tensor")
    kind = value.type.tensor_type
    if kind.elem_type not in DTYPES:
        raise ValueError(f"{_shown(value.name)!r} has the data type {kind.elem_type} of ONNX, which PyTorch has not")
    if not kind.HasField("shape"):
        return GraphInput(text_of(value.name), None, DTYPES[kind.elem_type])
    sizes: list[int | str | None] = []
    for axis in kind.shape.dim:
        known = axis.HasField("dim_value") and axis.dim_value > 0
        sizes.append(axis.dim_value if known else _shown(axis.dim_param) or None)
    return GraphInput(text_of(value.name), tuple(sizes), DTYPES[kind.elem_type])


def _node(
    proto: Any, place: int, versions: Mapping[str, int], labels: dict[str, int], folder: Path, limits: Limits
) -> Node:
    """A node of the table's form.

    Raises:
        ValueError: if it branches, or is of an operator set that is not imported.
    """
    op, domain = _shown(proto.op_type), _domain(proto.domain)
    label = _shown(proto.name) or f"{op}_{place}"
    labels[label] = labels.get(label, 0) + 1
    if labels[label] > 1:
        label = f"{label}#{place}"
    if domain == "" and op in _BRANCHING:
        raise ValueError(
            f"the node {label!r} is an {op}: graphs that branch or repeat by their numbers are not known here"
        )
    if domain not in versions:
        raise ValueError(
            f"the node {label!r} is of the operator set {_shown(domain)!r}, which the file does not import"
        )
    attributes = {text_of(each.name): _setting(each, label, folder, limits) for each in proto.attribute}
    return Node(
        op=op,
        domain=_shown(domain),
        version=versions[domain],
        label=label,
        inputs=tuple(map(text_of, proto.input)),
        outputs=tuple(map(text_of, proto.output)),
        attributes=attributes,
    )


def _setting(attribute: Any, label: str, folder: Path, limits: Limits) -> Any:
    """A setting's value; of a tensor its first number and its dtype.

    Raises:
        ValueError: if it has no type, or is a tensor that is refused.
    """
    import onnx

    if attribute.type == _TENSOR:
        tensor = stored(attribute.t, label, folder, limits.elements).read()
        return tensor.reshape(-1)[:1].tolist(), tensor.dtype
    if attribute.type in (_TENSORS, *_GRAPHS):
        # Of operators that are not in the table.
        return None
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if value is None:
        raise ValueError(f"the node {label!r} has a setting of no type: {_shown(attribute.name)!r}")
    if isinstance(value, str | int | float):
        return value
    return [item.decode(errors="replace") if isinstance(item, bytes) else item for item in value]


def _scope(proto: Any) -> str:
    """The dotted name of the module that PyTorch's exporter saw a node in."""
    for entry in proto.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes" and len(entry.value) < 4000:
            names = [part.strip().strip("'\"") for part in entry.value.strip("[]").split(",")]
            return names[-2] if len(names) > 1 else ""
    return ""


def _constant(proto: Any, label: str, folder: Path, limits: Limits) -> Stored:
    """What a constant node gives, as a tensor of the file.

    Raises:
        ValueError: if it has no value, or one of a form not known here.
    """
    from onnx import numpy_helper

    if len(proto.attribute) != 1 or len(proto.output) != 1:
        raise ValueError(f"the node {label!r} is a constant with {len(proto.attribute)} values")
    (attribute,) = proto.attribute
    if attribute.name == "value":
        tensor = attribute.t
    elif attribute.name in _LISTED:
        field, dtype = _LISTED[attribute.name]
        values = getattr(attribute, field)
        tensor = numpy_helper.from_array(np.array(list(values) if field.endswith("s") else values, dtype))
    else:
        raise ValueError(f"the node {label!r} is a constant of a form not known here: {_shown(attribute.name)}")
    return stored(tensor, text_of(proto.output[0]), folder, limits.elements)


_LISTED = {
    "value_float": ("f", np.float32), "value_floats": ("floats", np.float32), "value_int": ("i", np.int64),
    "value_ints": ("ints", np.int64),
}  # fmt: skip


def _without_copies(graph: Graph) -> None:
    """Take out the nodes that give a tensor of the file another name."""
    names: dict[str, str] = {}
    kept = []
    for node in graph.nodes:
        first = names.get(node.inputs[0], node.inputs[0]) if node.inputs else ""
        if node.op == "Identity" and not node.domain and first in graph.tensors and node.outputs:
            names[node.outputs[0]] = first
        else:
            kept.append(node)
    graph.nodes = [replace(node, inputs=tuple(names.get(name, name) for name in node.inputs)) for node in kept]
    graph.outputs = tuple(names.get(name, name) for name in graph.outputs)


def _ordered(graph: Graph) -> list[Node]:
    """The nodes in an order in which each reads only what is made.

    Raises:
        ValueError: if there is none, or a value is made twice or by nothing.
    """
    made = {name for name in graph.tensors} | {each.name for each in graph.inputs}
    maker: dict[str, int] = {}
    for place, node in enumerate(graph.nodes):
        for name in filter(None, node.outputs):
            if name in maker or name in made:
                raise ValueError(f"the value {_shown(name)!r} is made twice, at last by the node {node.label!r}")
            maker[name] = place
    for reader, names in _readers(graph):
        for name in names:
            if name not in made and name not in maker:
                raise ValueError(f"{reader} reads {_shown(name)!r}, which nothing makes")
    waits = [{maker[name] for name in node.inputs if name in maker} for node in graph.nodes]
    if all(place > max(before, default=-1) for place, before in enumerate(waits)):
        return graph.nodes
    after: dict[int, list[int]] = {}
    for place, before in enumerate(waits):
        for earlier in before:
            after.setdefault(earlier, []).append(place)
    ready = [place for place, before in enumerate(waits) if not before][::-1]
    order = []
    while ready:
        place = ready.pop()
        order.append(place)
        for later in after.get(place, ()):
            waits[later].discard(place)
            if not waits[later]:
                ready.append(later)
    if len(order) < len(graph.nodes):
        stuck = graph.nodes[min(set(range(len(graph.nodes))) - set(order))]
        raise ValueError(f"the node {stuck.label!r} reads, by way of others, what it makes: the graph has a cycle")
    return [graph.nodes[place] for place in order]


def _readers(graph: Graph) -> Iterator[tuple[str, tuple[str, ...]]]:
    for node in graph.nodes:
        yield f"the node {node.label!r} ({node.op})", tuple(filter(None, node.inputs))
    yield "the list of outputs", graph.outputs
