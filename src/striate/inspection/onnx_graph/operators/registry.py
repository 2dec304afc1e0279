"""How an operator of ONNX runs in PyTorch: a table from names to functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

Run = Callable[..., Tensor | tuple[Tensor | None, ...]]
_Run = TypeVar("_Run", bound=Run)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """One node of a graph.

    Args:
        op: the operator.
        domain: who defined it; empty for ONNX itself.
        version: of the operator set.
        label: the name that messages give it.
        inputs: names of the values that it reads, empty where an optional one is left out.
        outputs: names of those that it makes, likewise.
        attributes: its settings.
    """

    op: str
    domain: str = ""
    version: int = 0
    label: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name that the table has it under."""
        return f"{self.domain}::{self.op}" if self.domain else self.op

    def get(self, name: str, otherwise: Any = None) -> Any:
        """Return a setting, or what it is where it is left out."""
        return self.attributes.get(name, otherwise)

    def gives(self, place: int) -> bool:
        """Whether the output of that place is wanted."""
        return place < len(self.outputs) and bool(self.outputs[place])


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """What is known of an operator.

    Args:
        run: given the node and its inputs, returns its output, or several.
        numbers: the inputs whose numbers decide sizes or settings, by place; they come as NumPy arrays.
        roles: what inputs that a file holds are called, by place.
        buffers: those of the roles that are no parameters.
        layer: whether it is a module of its own even without numbers of its own.
        makes: whether what it gives may be far larger than what it is given.
        hints: the inputs that come as NumPy arrays if their numbers are known, and else as tensors.
        scalars: whether a known second number comes as a number of Python.
    """

    run: Run
    numbers: tuple[int, ...] = ()
    roles: tuple[str, ...] = ()
    buffers: tuple[str, ...] = ()
    layer: bool = False
    makes: bool = False
    hints: tuple[int, ...] = ()
    scalars: bool = False


OPERATORS: dict[str, Operator] = {}
"""By name. Operators of other domains than ONNX's own stand as "domain::name"."""


def operator(
    *names: str,
    numbers: tuple[int, ...] = (),
    roles: tuple[str, ...] = (),
    buffers: tuple[str, ...] = (),
    layer: bool = False,
    makes: bool = False,
    hints: tuple[int, ...] = (),
    scalars: bool = False,
) -> Callable[[_Run], _Run]:
    """Enter a function in the table; see `Operator`."""

    def enter(run: _Run) -> _Run:
        entry = Operator(
            run=run, numbers=numbers, roles=roles, buffers=buffers, layer=layer, makes=makes, hints=hints,
            scalars=scalars,
        )  # fmt: skip
        OPERATORS.update(dict.fromkeys(names, entry))
        return run

    return enter


def integers(value: Any) -> list[int]:
    """The numbers of an input or setting as a list of Python's."""
    return [int(item) for item in getattr(value, "reshape", lambda _: value)(-1)]


def within_rank(axis: int, rank: int, node: Node) -> int:
    """An axis counted from the first.

    Raises:
        ValueError: if there is no such axis.
    """
    if not -rank <= axis < max(rank, 1):
        raise ValueError(f"{node.label} ({node.op}): axis {axis} of a tensor with {rank} axes")
    return axis % rank if rank else 0
