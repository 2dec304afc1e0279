"""Dotted names for the nodes of a graph, as near to those of the network that was exported as can be told."""

import itertools
import re

from torch import nn

from striate.inspection.onnx_graph.operators import OPERATORS, Node
from striate.inspection.onnx_graph.reader import Graph

_ROLES = ("weight", "bias", "running_mean", "running_var", "gamma", "beta")


def names_of(graph: Graph, layers: list[Node]) -> dict[str, str]:
    """Name the nodes that become modules.

    Args:
        graph: the graph they are of.
        layers: the nodes.

    Returns:
        A dotted name for each label; none is the beginning of another's, part by part.
    """
    wishes = [_wishes(graph, node, place) for place, node in enumerate(layers)]
    holders = set().union(*(_above(name) for names in wishes for name in names[:1]))
    taken: set[str] = set()
    found = {}
    for node, wished in zip(layers, wishes, strict=True):
        more = (f"{name}_{count}" for count in itertools.count(2) for name in wished)
        for name in itertools.chain(wished, more):
            if name not in taken and name not in holders and not _above(name) & taken:
                break
        found[node.label] = name
        taken.add(name)
        holders |= _above(name)
    return found


def _above(name: str) -> set[str]:
    """The names of what a module of that name lies in."""
    parts = name.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts))}


def _wishes(graph: Graph, node: Node, place: int) -> list[str]:
    """Names that would fit, the best first."""
    wished = []
    roles = OPERATORS[node.key].roles if node.key in OPERATORS else ()
    for role, name in zip(roles, node.inputs, strict=False):
        stem, _, last = name.rpartition(".")
        if role and stem and last in _ROLES and name in graph.tensors:
            wished.append(stem)
    scope = graph.scopes.get(node.label, "")
    if scope:
        wished += [scope, f"{scope}.{node.op.lower()}"]
    elif "/" in node.label:
        wished += _from_path(node)
    legal = [_legal(name) for name in (*wished, node.label, f"{node.op}_{place}")]
    return [name for name in legal if name] or [f"node_{place}"]


def _from_path(node: Node) -> list[str]:
    """Names out of `/layer1/layer1.0/conv1/Conv`, as PyTorch's older exporter has them."""
    parts: list[str] = []
    for step in node.label.strip("/").split("/"):
        own = step.split(".")
        if parts and own[0] == parts[-1] and len(own) > 1:
            own = own[1:]
        parts += own
    return [".".join(parts[:-1]), ".".join(parts)]


def _legal(name: str) -> str:
    parts = [re.sub(r"[^A-Za-z0-9_-]", "_", part).lstrip("_") for part in name[:200].split(".")]
    return ".".join(f"{part}_" if part in _ATTRIBUTES else part for part in parts if part)


# Names that a module has already, and those that `OnnxNetwork` adds.
_ATTRIBUTES = {*dir(nn.Module()), "inputs", "outputs", "file", "blank_inputs"}
