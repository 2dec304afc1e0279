"""One step of a graph: what is known is computed at once, the rest by the tensors that are given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes

from striate.inspection.onnx_graph.opaque import opaque
from striate.inspection.onnx_graph.operators import OPERATORS, Node

# Of tensors whose numbers are followed through the graph: sizes, places, masks.
KNOWN = 1 << 16
_QUICK, _GIVEN = 64, 4096


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A tensor whose numbers are known, whatever the network runs on.

    Args:
        tensor: on the CPU.
        array: the same as an array.
    """

    tensor: Tensor
    array: NDArray[Any]


Given = Tensor | Known | None


def known(tensor: Tensor) -> Known:
    """Keep the numbers of a small tensor."""
    plain = tensor.detach()
    return Known(plain, (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())


def run(node: Node, proto: Any, shapes: Any, given: Sequence[Given]) -> tuple[Given, ...]:
    """Run a node.

    Args:
        node: the node.
        proto: as it stands in the file, for operators that are not in the table.
        shapes: the sizes that the file notes for its outputs.
        given: its inputs in order, None where one is left out.

    Returns:
        Its outputs; those with known numbers as such.

    Raises:
        ValueError: if sizes depend on numbers that are not known, or nothing is known of the operator.
    """
    if proto is not None:
        return opaque(node, proto, shapes, [each.tensor if isinstance(each, Known) else each for each in given])
    operator = OPERATORS[node.key]
    if node.op in ("Shape", "Size") and isinstance(given[0], Tensor):
        with _disable_current_modes():
            return _kept(operator.run(node, given[0]))
    if not any(isinstance(each, Tensor) for each in given):
        found = _at_once(node, given)
        if found is not None:
            return found
    first = next((each for each in given if isinstance(each, Tensor)), None)
    return _several(operator.run(node, *_arguments(node, given, first)))


def _several(found: Any) -> tuple[Given, ...]:
    return found if isinstance(found, tuple) else (found,)


def _kept(found: Any) -> tuple[Given, ...]:
    return tuple(known(each) if isinstance(each, Tensor) else each for each in _several(found))


def _at_once(node: Node, given: Sequence[Given]) -> tuple[Given, ...] | None:
    """The outputs of a node with known inputs; None if they would be large."""
    operator = OPERATORS[node.key]
    numbers = sum(each.tensor.numel() for each in given if isinstance(each, Known))
    if numbers > _GIVEN:
        return None
    with _disable_current_modes(), torch.no_grad():
        arguments = _arguments(node, given, None)
        if numbers > _QUICK or operator.makes:
            dry = [each.to("meta") if isinstance(each, Tensor) else each for each in arguments]
            try:
                with torch.device("meta"):
                    tried = _several(operator.run(node, *dry))
            except NotImplementedError:
                # Its sizes depend on numbers, as those of NonZero: never many more than it is given.
                tried = ()
            if any(isinstance(each, Tensor) and each.numel() > KNOWN for each in tried):
                return None
        return _kept(operator.run(node, *arguments))


def _arguments(node: Node, given: Sequence[Given], first: Tensor | None) -> list[Any]:
    """The inputs in the form that an operator takes them in."""
    operator = OPERATORS[node.key]
    found: list[Any] = []
    for place, each in enumerate(given):
        if place in operator.numbers and each is not None:
            found.append(each.array if isinstance(each, Known) else _read(node, place, each))
        elif not isinstance(each, Known):
            found.append(each)
        elif place in operator.hints:
            found.append(each.array)
        elif operator.scalars and place == 1 and first is given[0] and _single(each, first):
            found.append(each.array.item())
        else:
            found.append(each.tensor if first is None or first.is_meta else each.tensor.to(first.device))
    return found


def _single(value: Known, first: Tensor | None) -> bool:
    return first is not None and value.tensor.numel() == 1 and value.tensor.dim() <= first.dim()


def _read(node: Node, place: int, value: Tensor) -> NDArray[Any]:
    """The numbers of a tensor that decide sizes.

    Raises:
        ValueError: if it has none.
    """
    if isinstance(value, FakeTensor) or value.is_meta:
        raise ValueError(
            f"{node.label} ({node.op}): input {place}, {node.inputs[place]!r}, decides sizes, and its numbers depend "
            "on those of the network's inputs"
        )
    return np.asarray(value.detach().cpu().numpy())
