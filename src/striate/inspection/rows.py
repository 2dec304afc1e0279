"""The layers of a traced network: calls of modules, and what their forwards compute besides."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from striate.inspection.tracing.trace import Call, Operation, Trace, Value

# Modules of these packages are layers; those of others are looked into.
_LAYERS = ("torch.nn.", "striate.nn.", "striate.inspection.onnx_graph.", "torchvision.ops.")
# What moves no numbers, makes numbers of nothing or belongs to the operation before it.
_QUIET = frozenset(
    f"aten.{name}"
    for name in (
        "_to_copy alias arange as_strided bernoulli_ clone contiguous copy_ detach empty empty_like expand fill_ full "
        "full_like index_put lift_fresh new_empty new_zeros ones permute rand randn scalar_tensor select slice "
        "split split_with_sizes squeeze t transpose unbind unsqueeze view view_as zeros zeros_like zero_ _unsafe_view "
        "unsafe_split reshape _reshape_alias unfold chunk to sym_size"
    ).split()
)


@dataclass(slots=True, eq=False)
class Row:
    """One layer at one call.

    Args:
        name: dotted; that of the module, with the operator behind it for what a forward computes by itself.
        operator: the module's class, or the operation.
        parent: the row it stands in, by its place; None for the network.
        depth: how many rows it stands in.
        call: the call of the module, or that which the operation ran in, by its place in `Trace.calls`; None for a
            module that was not called.
        inputs: the values it takes.
        outputs: the values it gives; none if it failed or was not called.
        first: its first operation, by its place in `Trace.operations`.
        last: the one behind its last.
        repeat: 1 at the first call of a name, 2 at the second.
        whole: whether it is one call of a module.
        leaf: whether no row stands in it.
        parameters: names of the parameters that it uses first.
    """

    name: str
    operator: str
    parent: int | None
    depth: int
    call: int | None
    inputs: tuple[Value, ...] = ()
    outputs: tuple[Value, ...] = ()
    first: int = 0
    last: int = 0
    repeat: int = 1
    whole: bool = True
    leaf: bool = True
    parameters: list[str] = field(default_factory=list)


def rows(trace: Trace) -> list[Row]:
    """The layers of a run, those that stand in others after them.

    Args:
        trace: of a network.

    Returns:
        One a call of a module, one an operation that a module outside of `torch.nn` and `striate.nn` computes by
        itself, and at the end one for each module with parameters that was not called. Every parameter is in one row.
    """
    found = _Rows(trace)
    if trace.calls:
        found.add_call(0, None, 0)
    found.add_uncalled()
    return found.rows


class _Rows:
    def __init__(self, trace: Trace) -> None:
        self.rows: list[Row] = []
        self._trace = trace
        self._children: dict[int, list[int]] = {}
        for place, call in enumerate(trace.calls):
            # What works out a weight is part of the layer whose weight it is.
            if call.parent is not None and ".parametrizations." not in f".{call.name}.":
                self._children.setdefault(call.parent, []).append(place)
        self._repeats: dict[str, int] = {}
        self._claimed: set[int] = set()
        self._owned: dict[str, list[str]] = {}
        named = trace.calls[0].module.named_parameters(remove_duplicate=False) if trace.calls else ()
        for name, _ in named:
            self._owned.setdefault(name.rpartition(".")[0], []).append(name)

    def add_call(self, place: int, parent: int | None, depth: int) -> None:
        """The row of a call, and those in it."""
        call = self._trace.calls[place]
        last = call.last if call.outputs is not None else len(self._trace.operations)
        row = Row(
            name=call.name,
            operator=call.kind,
            parent=parent,
            depth=depth,
            call=place,
            inputs=call.inputs,
            outputs=call.outputs or (),
            first=call.first,
            last=last,
            repeat=self._repeat(call.name),
        )
        at = len(self.rows)
        self.rows.append(row)
        children = self._children.get(place, [])
        if children or not self._is_layer(call):
            self._add_inside(place, children, row, at)
        row.leaf = len(self.rows) == at + 1
        self._claim(row, self._owned.get(call.name, []))
        if row.leaf:
            # Parts that a layer reads and does not call, as the output projection of an attention.
            for owner, _ in call.module.named_modules(prefix=call.name, remove_duplicate=False):
                self._claim(row, self._owned.get(owner, []))

    def _add_inside(self, place: int, children: list[int], row: Row, at: int) -> None:
        """Calls and operations in the order in which they ran."""
        waiting = list(children)
        operations = self._trace.operations
        step = row.first
        while step < row.last or waiting:
            if waiting and self._trace.calls[waiting[0]].first <= step:
                child = waiting.pop(0)
                self.add_call(child, at, row.depth + 1)
                call = self._trace.calls[child]
                step = max(step, call.last if call.outputs is not None else row.last)
                continue
            operation = operations[step]
            if operation.within is None and operation.call == place and self._is_shown(operation):
                self._add_operation(step, operation, row, at)
            step += 1

    def _add_operation(self, step: int, operation: Operation, row: Row, at: int) -> None:
        operator = spoken(operation)
        name = f"{row.name}.{operator}" if row.name else operator
        self.rows.append(
            Row(
                name=name,
                operator=operator,
                parent=at,
                depth=row.depth + 1,
                call=row.call,
                inputs=tuple(value for value in operation.inputs if not value.parameter),
                outputs=operation.outputs,
                first=step,
                last=step + 1,
                repeat=self._repeat(name),
                whole=False,
            )
        )
        self._claim(self.rows[-1], [value.parameter for value in operation.inputs if value.parameter])

    def add_uncalled(self) -> None:
        """A row for each module whose parameters no row has."""
        if not self._trace.calls:
            return
        modules = dict(self._trace.calls[0].module.named_modules(remove_duplicate=False))
        for name, owned in self._owned.items():
            row = Row(name=name, operator=type(modules[name]).__name__, parent=0, depth=1, call=None)
            self._claim(row, owned)
            if row.parameters:
                self.rows.append(row)

    def _claim(self, row: Row, names: list[str]) -> None:
        """Put parameters that are in no row yet into this one, each by its memory."""
        for name in names:
            value = self._trace.parameters.get(name)
            # Of a module that stands in two places, the second has no values of its own.
            if (
                value is not None
                and id(value) not in self._claimed
                and name in self._owned.get(name.rpartition(".")[0], ())
            ):
                self._claimed.add(id(value))
                row.parameters.append(name)

    def _repeat(self, name: str) -> int:
        self._repeats[name] = self._repeats.get(name, 0) + 1
        return self._repeats[name]

    def _is_layer(self, call: Call) -> bool:
        return f"{type(call.module).__module__}.".startswith(_LAYERS)

    def _is_shown(self, operation: Operation) -> bool:
        if operation.name in ("aten.view", "aten._unsafe_view", "aten.reshape"):
            # Maps that become a list of features.
            source = operation.inputs[0].shape if operation.inputs else ()
            return len(operation.outputs[0].shape) == 2 < len(source) and source[0] == operation.outputs[0].shape[0]
        return bool(operation.outputs) and operation.name not in _QUIET


def spoken(operation: Operation) -> str:
    """The name of an operation as people say it: "conv2d" for "striate.conv2d()", "relu" for "aten.relu_"."""
    name = operation.name.rpartition(".")[2].removesuffix("()").strip("_")
    if name in ("view", "unsafe_view", "reshape"):
        return "flatten"
    return {"max_pool2d_with_indices": "max_pool2d", "max_pool3d_with_indices": "max_pool3d", "addmm": "linear"}.get(
        name, name.removeprefix("native_")
    )


def leaves(found: list[Row]) -> Iterator[Row]:
    """The rows that no row stands in."""
    return (row for row in found if row.leaf)
