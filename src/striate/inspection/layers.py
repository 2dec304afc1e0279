"""Rows, costs, fields and memory put together: the layers of a report."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from striate.geometry import Window
from striate.inspection.counting.counts import Counts, ParameterCounts, count_parameters
from striate.inspection.faults.unread import Unread, unread_inputs
from striate.inspection.memory.kept import Keeping
from striate.inspection.receptive.fields import Fields
from striate.inspection.report import Kept, Layer, Part, UnreadInputs
from striate.inspection.rows import Row
from striate.inspection.tracing.placed import placed
from striate.inspection.tracing.trace import Operation, Trace
from striate.inspection.views.quantities import product


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTotal:
    """All layers of one operator.

    Args:
        operator: class of the modules, or the operation.
        calls: how often it runs.
        parameters: numbers in its weights.
        macs: multiply-accumulates; None if one of its layers could not be counted.

    Example:
        >>> OperatorTotal(operator="Conv2d", calls=13, parameters=14714688, macs=15346630656).calls
        13
    """

    operator: str
    calls: int
    parameters: int
    macs: int | None


def by_operator(layers: Sequence[Layer]) -> tuple[OperatorTotal, ...]:
    """Layers added up by operator, that with most MACs first, then that with most parameters."""
    found: dict[str, list[Layer]] = defaultdict(list)
    for layer in layers:
        if layer.called or layer.parameters:
            found[layer.operator].append(layer)
    totals = [
        OperatorTotal(
            operator=operator,
            calls=sum(layer.called for layer in same),
            parameters=sum(layer.parameters for layer in same),
            macs=_sum([layer.macs for layer in same]),
        )
        for operator, same in found.items()
    ]
    return tuple(sorted(totals, key=lambda total: (-(total.macs or 0), -total.parameters)))


def _sum(macs: Sequence[int | None]) -> int | None:
    """The sum, if all of them are known."""
    known = [value for value in macs if value is not None]
    return sum(known) if len(known) == len(macs) else None


def assemble(
    rows: Sequence[Row], trace: Trace, counts: Counts, fields: Fields, kept: Sequence[Keeping]
) -> tuple[Layer, ...]:
    """The layers of a run.

    Args:
        rows: its rows, each behind that which it stands in.
        trace: the run.
        counts: what its operations and calls cost.
        fields: what its values see.
        kept: what its operations keep for the backward pass.

    Returns:
        A layer a row.
    """
    return _Layers(rows, trace, counts, fields, kept).all()


class _Layers:
    def __init__(
        self, rows: Sequence[Row], trace: Trace, counts: Counts, fields: Fields, kept: Sequence[Keeping]
    ) -> None:
        self._rows, self._trace, self._counts, self._fields = rows, trace, counts, fields
        self._numbers: ParameterCounts = count_parameters(trace)
        self._unread: Mapping[int, tuple[Unread, ...]] = unread_inputs(trace)
        self._kept: dict[int | None, list[Keeping]] = defaultdict(list)
        for keeping in kept:
            self._kept[keeping.operation].append(keeping)
        self._inside: list[list[int]] = [[] for _ in rows]
        for place, row in enumerate(rows):
            if row.parent is not None:
                self._inside[row.parent].append(place)
        self._missing = frozenset(counts.missing)

    def all(self) -> tuple[Layer, ...]:
        """Layers in the order of their rows."""
        found: dict[int, Layer] = {}
        # What stands in a layer comes behind it.
        for place in reversed(range(len(self._rows))):
            found[place] = self._layer(self._rows[place], [found[inner] for inner in self._inside[place]])
        return tuple(found[place] for place in range(len(self._rows)))

    def _layer(self, row: Row, inner: Sequence[Layer]) -> Layer:
        parameters, trainable = self._parameters(row)
        macs, parts = self._macs(row)
        kept = tuple(Kept(nbytes=keeping.nbytes, reason=keeping.reason) for keeping in self._keepings(row))
        axes = self._fields.of(row.outputs[0]) if row.outputs else None
        return Layer(
            name=row.name,
            operator=row.operator,
            parent=row.parent,
            depth=row.depth,
            repeat=row.repeat,
            called=row.call is not None,
            leaf=row.leaf,
            input_size=row.inputs[0].shape if row.inputs else None,
            output_size=row.outputs[0].shape if row.outputs else None,
            window=self._window(row),
            parameters=parameters + sum(layer.parameters for layer in inner),
            trainable_parameters=trainable + sum(layer.trainable_parameters for layer in inner),
            shares=self._shares(row),
            macs=macs,
            flops=None if macs is None else 2 * macs,
            parts=parts,
            receptive_field=None if axes is None else tuple(axis.size for axis in axes),
            shortest_field=None if axes is None else tuple(axis.shortest for axis in axes),
            clipped_field=None if axes is None else tuple(axis.clipped for axis in axes),
            jump=None if axes is None else tuple(axis.jump for axis in axes),
            start=None if axes is None else tuple(axis.start for axis in axes),
            exact=axes is None or all(axis.exact for axis in axes),
            saved_bytes=sum(keeping.nbytes for keeping in kept),
            kept=kept if row.leaf else (),
            unread=tuple(self._left(row)) if row.leaf else (),
        )

    def _parameters(self, row: Row) -> tuple[int, int]:
        """Numbers of the parameters that are this row's own, and how many of them are trained."""
        counted = [self._numbers.named[name] for name in row.parameters]
        return sum(numbers for numbers, _ in counted), sum(trained for _, trained in counted)

    def _shares(self, row: Row) -> str:
        if not row.whole:
            return ""
        prefix = f"{row.name}." if row.name else ""
        for name, first in self._numbers.shared.items():
            if name.startswith(prefix) and "." not in name.removeprefix(prefix):
                return first
        return ""

    def _macs(self, row: Row) -> tuple[int | None, tuple[Part, ...]]:
        """Multiply-accumulates of the operations and calls in a row, by parts."""
        if row.call is None:
            return 0, ()
        costs = [cost for call, cost in self._counts.calls.items() if self._stands_in(call, row)]
        covered = [(self._trace.calls[call].first, self._trace.calls[call].last) for call in self._counts.calls]
        unknown = False
        for place in range(row.first, row.last):
            cost = self._counts.operations.get(place)
            if cost is not None:
                costs.append(cost)
            elif self._trace.operations[place].name in self._missing:
                unknown |= not any(first <= place < last for first, last in covered)
        lines: dict[str, int] = defaultdict(int)
        for cost in costs:
            for line in cost.lines:
                lines[line.what] += line.macs
        parts = tuple(Part(what=what, macs=macs) for what, macs in lines.items())
        return None if unknown and row.leaf else sum(cost.macs for cost in costs), parts

    def _stands_in(self, place: int, row: Row) -> bool:
        """Whether a call is that of a row or was made from it."""
        if not row.whole:
            return False
        above: int | None = place
        while above is not None and above != row.call:
            above = self._trace.calls[above].parent
        return above is not None

    def _keepings(self, row: Row) -> Iterator[Keeping]:
        if row.call is None:
            return
        for place in range(row.first, row.last):
            yield from self._kept.get(place, ())
        for keeping in self._kept.get(None, ()):
            if self._stands_in(keeping.call, row):
                yield keeping

    def _left(self, row: Row) -> Iterator[UnreadInputs]:
        for place in range(row.first, row.last):
            for unread in self._unread.get(place, ()):
                if unread.indices:
                    yield UnreadInputs(axis=unread.axis, low=unread.low, high=unread.high, gaps=unread.gaps)

    def _window(self, row: Row) -> str:
        """The window of the first operation of its own that has one; of a layer, those of its parts are its own."""
        for place in range(row.first, row.last):
            operation = self._trace.operations[place]
            if operation.within is None and (row.leaf or operation.call == row.call):
                words = _words(operation, len(row.inputs[0].shape) if row.inputs else None)
                if words:
                    return words
        return ""


def _words(operation: Operation, ndim: int | None) -> str:
    """A window as people write it: "3×3, stride 2, padding 1, groups 4"; `ndim` is of the layer's input."""
    found = placed(operation)
    if found is None:
        return ""
    # PyTorch pools a series as a picture of one row.
    added = 0 if ndim is None else max(0, len(found.input.shape) - ndim)
    words = _settings(found.windows[added:] or found.windows)
    groups = _groups(operation)
    return f"{words}, groups {groups}" if groups > 1 else words


def _groups(operation: Operation) -> int:
    """How many groups a convolution has."""
    if operation.name == "aten.convolution":
        return int(operation.args[8])
    given = operation.kwargs.get("groups", operation.args[6] if len(operation.args) > 6 else 1)
    is_conv = operation.name.startswith(("striate.conv", "striate.local_conv"))
    return given if is_conv and type(given) is int else 1


def _settings(along: Sequence[Window]) -> str:
    words = [product([window.kernel for window in along])]
    for name, usual, values in (
        ("stride", 1, [window.stride for window in along]),
        ("padding", 0, [window.padding for window in along]),
        ("dilation", 1, [window.dilation for window in along]),
    ):
        if any(value != usual for value in values):
            same = len(set(values)) == 1
            words.append(f"{name} {values[0] if same else '×'.join(map(str, values))}")
    return ", ".join(words)
