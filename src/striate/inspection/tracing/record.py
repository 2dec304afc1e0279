"""What is written down of a run: operations, calls of modules, and memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(slots=True, eq=False)
class Memory:
    """What tensors lie in: one stretch of memory.

    Args:
        nbytes: its size.
        parameter: the name of the parameter or buffer that it holds; empty for others.
        given: whether it holds an input of the network.
        born: the operation that made it, by its place in `Trace.operations`; -1 for parameters and inputs.
        dead: the number of operations that had run when the last tensor in it was gone; None while it lives.
    """

    nbytes: int
    parameter: str = ""
    given: bool = False
    born: int = -1
    dead: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor at one moment: written in place, it becomes another value in the same memory.

    Args:
        shape: its sizes.
        dtype: of its numbers.
        memory: where it lies.
        parameter: the dotted name of the parameter or buffer that it is; empty for others.
        stale: whether a view of the same memory was written since this tensor was.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    memory: Memory
    parameter: str = ""
    stale: bool = False


@dataclass(slots=True, eq=False)
class Operation:
    """One operation of a run.

    Args:
        name: "aten.convolution", "striate.deform_conv" (an operator of PyTorch or a custom one), or
            "striate.conv2d()" with brackets: a public function of Striate, whose own operations lie `within` it.
        args: its arguments in order, values in place of tensors.
        kwargs: likewise.
        outputs: what it gave; values in the place of other outputs than tensors are left out.
        call: the innermost call it ran in, by its place in `Trace.calls`.
        within: the operation of Striate that it is a part of, by its place in `Trace.operations`; None for most. A part
            stands before its whole.
        function: the operator, or the public function.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[Value, ...]
    call: int
    within: int | None = None
    function: Any = None

    @property
    def inputs(self) -> list[Value]:
        """The values among the arguments, in order."""
        return list(_values((self.args, tuple(self.kwargs.values()))))


@dataclass(slots=True, eq=False)
class Call:
    """One call of a module.

    Args:
        name: the module's dotted name; empty for the network itself.
        module: the module, a copy without numbers.
        parent: the call it was made from, by its place in `Trace.calls`; None for the first.
        inputs: the values given.
        outputs: the values returned; None if the call failed.
        first: how many operations had run before it.
        last: how many when it returned.
    """

    name: str
    module: nn.Module
    parent: int | None
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...] | None = None
    first: int = 0
    last: int = 0

    @property
    def kind(self) -> str:
        """The class of the module."""
        return type(self.module).__name__


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """What was kept for the backward pass.

    Args:
        memory: where it lies; all of it stays.
        shape: sizes of the tensor kept.
        dtype: likewise.
        call: the call that kept it, by its place in `Trace.calls`.
        operation: how many operations had run when it was kept: inputs are kept before one runs, outputs after.
    """

    memory: Memory
    shape: tuple[int, ...]
    dtype: torch.dtype
    call: int
    operation: int


@dataclass(slots=True, eq=False)
class Trace:
    """A run of a network on tensors without numbers.

    Args:
        inputs: the network's.
        parameters: values of the parameters and buffers by dotted name; one tensor of two names is one value.
        operations: in order.
        calls: in order of their beginning.
        saved: what the operations keep for the backward pass.
        live: bytes of all memory other than parameters, buffers and inputs while each operation ran, in their order.
        hooks_left_out: modules with hooks that did not run.
        given: the inputs as tensors without numbers.
        settings: further arguments of the network's forward by name.
        unhooked: custom functions of autograd that keep tensors as attributes, where `saved` does not see them.
        held: bytes that live still when the outputs are gone: what a graph keeps out of sight, or a module for itself.
        backward: the first operation of the backward pass, by its place in `operations`; None without one.
        failure: what the network ended with, if it did; then `calls` without outputs are those that it ended in.
    """

    inputs: tuple[Value, ...] = ()
    parameters: dict[str, Value] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    saved: list[Saved] = field(default_factory=list)
    live: list[int] = field(default_factory=list)
    hooks_left_out: Sequence[str] = ()
    given: tuple[Tensor, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    unhooked: tuple[str, ...] = ()
    held: int = 0
    backward: int | None = None
    failure: BaseException | None = None

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The network's; empty if it failed."""
        return self.calls[0].outputs or () if self.calls else ()


def _values(item: Any) -> Iterator[Value]:
    if isinstance(item, Value):
        yield item
    elif isinstance(item, (tuple, list)):
        for part in item:
            yield from _values(part)
