"""Following the axes of a network's input through the operations of its run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import torch

from striate.inspection.receptive.layout import Factor, Layout, along, everything, merged, plain
from striate.inspection.receptive.relation import embedded
from striate.inspection.tracing.record import Operation, Trace, Value

Result: TypeAlias = Layout | Sequence[Layout | None] | None
Rule: TypeAlias = Callable[["Propagation", Operation], Result]
RULES: dict[str, Rule] = {}
"""By the name of the operation; registered in `field_rules`, `field_windows` and `field_products`."""

_CONVOLUTIONS = {"aten.convolution", "aten._convolution", *(f"striate.conv{axes}d()" for axes in (1, 2, 3, 4))}
# Parts of a value that depends on nothing may be written to later.
_PARTS = {"aten.slice", "aten.select"}
_UNREAD = ("_like", "aten.new_", "aten.empty", "aten.zeros", "aten.ones", "aten.full", "aten.arange", "aten.rand")
_DRAWN = {"aten.bernoulli_", "aten.uniform_", "aten.normal_", "aten.fill_", "aten.zero_", "aten.exponential_"}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register how the axes of the input go through some operations."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


@lru_cache(512)
def _names(function: Any) -> tuple[tuple[str, Any], ...]:
    """The arguments of an operator, in order, with their defaults."""
    if hasattr(function, "_schema"):
        return tuple((item.name, item.default_value) for item in function._schema.arguments)
    return tuple((item.name, item.default) for item in inspect.signature(function).parameters.values())


@lru_cache(512)
def _is_by_unit(function: Any) -> bool:
    """Whether PyTorch says of an operator that it works unit by unit."""
    return torch.Tag.pointwise in getattr(function, "tags", ())


def settings(operation: Operation) -> dict[str, Any]:
    """The arguments of an operation by name, defaults included."""
    names = _names(operation.function)
    found = dict(names)
    found.update(zip((name for name, _ in names), operation.args, strict=False))
    found.update(operation.kwargs)
    return found


def spatial_axes(trace: Trace) -> tuple[int, ...]:
    """The dimensions of the input that its places lie along.

    They are all from the third on; from the second on where the first convolution takes maps without a batch; the last
    two of frames that are convolved one by one; and of a table of integers, such as words by their numbers, the second.
    """
    rank = len(trace.inputs[0].shape)
    axes = next(filter(None, map(_convolved, trace.operations)), 0)
    if axes == rank - 1 or (rank == 5 and axes == 2):
        return tuple(range(rank - axes, rank))
    if rank == 2 and not trace.inputs[0].dtype.is_floating_point:
        return (1,)
    return tuple(range(2, rank))


def _convolved(operation: Operation) -> int:
    """The number of axes of a convolution; 0 for other operations."""
    if operation.name not in _CONVOLUTIONS:
        return 0
    weight = settings(operation)["weight"]
    return len(weight.shape) - 2


class Propagation:
    """The layouts of all values of a run.

    Args:
        trace: the run.
        axes: dimensions of the first input to follow.
        seed: makes what the inputs along an axis see from their number.
    """

    def __init__(self, trace: Trace, axes: Sequence[int], seed: Callable[[int], Any]) -> None:
        self.trace = trace
        self._layouts: dict[int, Layout] = {}
        self._newest: dict[tuple[int, tuple[int, ...]], Layout] = {}
        self._cut: dict[int, tuple[Value, int, int, int]] = {}
        if trace.inputs:
            first = trace.inputs[0]
            seeds = {n: seed(n) for n in {first.shape[axis] for axis in axes}}
            dims = [plain(size) for size in first.shape]
            for number, axis in enumerate(axes):
                dims[axis] = (Factor(first.shape[axis], ((number, seeds[first.shape[axis]]),)),)
            self._set(first, Layout(tuple(dims)))

    def run(self, begin: Callable[[int], None] = lambda place: None) -> None:
        """Go through the operations; `begin` is told the place of each before."""
        for place, operation in enumerate(self.trace.operations):
            if operation.within is None:
                begin(place)
                self._step(operation)

    def layout(self, value: Value) -> Layout | None:
        """The axes of the input in a value; None if it depends on none."""
        found = self._layouts.get(id(value))
        if found is None and value.stale:
            found = self._newest.get((id(value.memory), value.shape))
        return found

    def layouts(self, operation: Operation) -> list[Layout]:
        """Those of the inputs of an operation that have one."""
        return [found for value in operation.inputs if (found := self.layout(value)) is not None]

    def _set(self, value: Value, layout: Layout) -> None:
        self._layouts[id(value)] = layout
        self._newest[id(value.memory), value.shape] = layout

    def _step(self, operation: Operation) -> None:
        name = operation.name
        written = name.endswith("_") and not name.endswith("__")
        known = RULES.get(name) or (RULES.get(name[:-1]) if written else None)
        if known is None and (name in _DRAWN or name.startswith(_UNREAD) or name.endswith(_UNREAD[0])):
            return
        if name not in _PARTS and not any(self.layout(value) is not None for value in operation.inputs):
            return
        result = known(self, operation) if known else self._unnamed(operation)
        if result is None:
            return
        results = [result] * len(operation.outputs) if isinstance(result, Layout) else result
        for value, layout in zip(operation.outputs, results, strict=False):
            if layout is not None:
                self._set(value, layout)
        if written and operation.args and isinstance(operation.args[0], Value) and operation.outputs:
            self._written(operation.args[0], operation.outputs[0])

    def _unnamed(self, operation: Operation) -> Result:
        """An operation without a rule: by the unit, if PyTorch says so; otherwise anything may read everything."""
        if _is_by_unit(operation.function):
            return by_unit(self, operation)
        held = merged([everything(layout, ()) for layout in self.layouts(operation)], ())
        return [everything(held, value.shape) for value in operation.outputs]

    def cut(self, output: Value, whole: Value, dim: int, begin: int, step: int) -> None:
        """Note that a value is a part of another: what is written to it is written to the other. Step 0 selects."""
        self._cut[id(output)] = (whole, dim, begin, step)

    def _written(self, target: Value, output: Value) -> None:
        """Something was written to a part of another value."""
        layout = self.layout(output)
        if id(target) in self._cut:
            self._cut[id(output)] = self._cut[id(target)]
        part = target
        while layout is not None and id(part) in self._cut:
            part, dim, begin, step = self._cut[id(part)]
            key = (id(part.memory), part.shape)
            layout = _patched(self._newest.get(key), layout, part.shape, dim, begin, step)
            self._newest[key] = layout


def _patched(base: Layout | None, layout: Layout, shape: tuple[int, ...], dim: int, begin: int, step: int) -> Layout:
    """A layout with a part of one of its dimensions replaced."""
    if step == 0:
        dims = (*layout.dims[:dim], plain(shape[dim]), *layout.dims[dim:])
        return merged([Layout(dims, layout.gone), *([base] if base else [])], shape)
    relation = embedded(begin, step, shape[dim])
    placed = along(layout, {dim: relation})
    if base is None:
        return placed
    old = {axis: seen for factor in base.dims[dim] for axis, seen in factor.carried}
    new = {axis: seen for factor in layout.dims[dim] for axis, seen in factor.carried}
    if len(placed.dims[dim]) == 1 and len(base.dims[dim]) == 1 and old.keys() >= new.keys() and new:
        carried = tuple(
            (axis, seen.patched(new[axis], relation) if axis in new else seen) for axis, seen in old.items()
        )
        renewed = list(placed.dims)
        renewed[dim] = (Factor(shape[dim], carried),)
        placed = Layout(tuple(renewed), placed.gone)
        kept = list(base.dims)
        kept[dim] = plain(shape[dim])
        base = Layout(tuple(kept), base.gone)
    return merged([placed, base], shape)


def by_unit(run: Propagation, operation: Operation) -> Result:
    """Every output unit reads one unit of each input."""
    layouts = run.layouts(operation)
    shapes = {value.shape for value in operation.outputs}
    found: Mapping[tuple[int, ...], Layout] = {shape: merged(layouts, shape) for shape in shapes}
    return [found[value.shape] for value in operation.outputs]
