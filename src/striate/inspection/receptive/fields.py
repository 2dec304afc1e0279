"""Receptive fields by the arithmetic of places: what one unit of every value can see of the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from striate.inspection.finding import Finding
from striate.inspection.receptive import field_products, field_rules, field_windows
from striate.inspection.receptive.propagate import Propagation, spatial_axes
from striate.inspection.receptive.span import Notes, Span
from striate.inspection.tracing.record import Trace, Value

# Their rules are registered when they are imported.
_RULES = (field_products, field_rules, field_windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisField:
    """What the units of a value see along one axis of the input; input ``i`` is centred at coordinate ``i``.

    Args:
        size: inputs from the first to the last that one unit sees, by the path that sees furthest; as if the input went
            on for ever. Where units differ, it is that of the one that sees furthest.
        shortest: the same by the path that sees least.
        jump: inputs from the centre of one unit's field to the next; 0 for a value that has no such axis left, such as
            what a linear layer gives, whose units all see the same.
        start: the centre of the first unit's field.
        clipped: the most inputs from the first to the last that one unit sees of the picture.
        covered: how many of the `size` inputs the unit does see; fewer where dilations leave gaps.
        exact: False where an operation reads at places that depend on numbers, or has no rule.
    """

    size: int
    shortest: int
    jump: Fraction
    start: Fraction
    clipped: int
    covered: int
    exact: bool


class Fields:
    """The receptive fields of all values of a run; see `fields`."""

    def __init__(self, propagation: Propagation, axes: Sequence[int], findings: tuple[Finding, ...]) -> None:
        self._propagation = propagation
        self._known: dict[Span, AxisField] = {}
        self.axes = tuple(axes)
        """The dimensions of the input that the fields are along."""
        self.findings = findings
        """Branches that meet with other jumps or centres, and fields with gaps."""

    def of(self, value: Value) -> tuple[AxisField, ...] | None:
        """The field of a value's units.

        Args:
            value: any value of the run.

        Returns:
            One field for each of `axes`; None for a value that does not depend on all of them, such as a parameter.
        """
        spans, layout = self.spans(value), self._propagation.layout(value)
        if spans is None or layout is None:
            return None
        found = map(self._field, spans)
        return tuple(replace(one, jump=Fraction(0)) if axis in layout.gone else one for axis, one in enumerate(found))

    def spans(self, value: Value) -> tuple[Span, ...] | None:
        """What `of` is read from: the places that every unit sees."""
        layout = self._propagation.layout(value)
        if layout is None:
            return None
        seen = layout.carried()
        if any(axis not in seen for axis in range(len(self.axes))):
            return None
        return tuple(seen[axis] for axis in range(len(self.axes)))

    def _field(self, span: Span) -> AxisField:
        if span not in self._known:
            self._known[span] = AxisField(
                size=span.size,
                shortest=span.shortest,
                jump=span.jump,
                start=span.start,
                clipped=span.clipped,
                covered=span.covered,
                exact=span.exact,
            )
        return self._known[span]


def fields(trace: Trace, axes: Sequence[int] | None = None) -> Fields:
    """The receptive fields of all values of a run.

    A window adds ``(extent - 1) * jump`` to the field and multiplies the jump by its stride. Where branches meet, a
    unit sees what it sees through any of them. Batch normalisation is taken as it is after training: it reads nothing
    but the unit itself. Group, instance and layer normalisation read whole dimensions: the longest path goes through
    their statistics, and the shortest does not.

    Args:
        trace: the run of a network.
        axes: dimensions of the first input; by default those that windows slide over.

    Returns:
        The fields, with what is wrong with them.

    Example:
        >>> import torch
        >>> from striate.inspection.tracing.trace import trace
        >>> run = trace(torch.nn.Conv2d(1, 1, 3, stride=2), [torch.empty(1, 1, 9, 9)])
        >>> [(field.size, field.jump) for field in fields(run).of(run.outputs[0])]
        [(3, Fraction(2, 1)), (3, Fraction(2, 1))]
    """
    along = tuple(spatial_axes(trace) if trace.inputs and axes is None else axes or ())
    notes = Notes()

    def begin(place: int) -> None:
        notes.operation = place

    propagation = Propagation(trace, along, lambda n: Span.of_inputs(n, notes))
    propagation.run(begin)
    return Fields(propagation, along, tuple([*_merges(trace, notes), *_gridding(trace, notes)]))


def _layer(trace: Trace, operation: int) -> str:
    """The dotted name of the innermost module that an operation ran in."""
    return trace.calls[trace.operations[operation].call].name


def _merges(trace: Trace, notes: Notes) -> list[Finding]:
    """Branches that meet with other jumps or centres."""
    found = []
    for operation, spans in notes.met.items():
        places = list(dict.fromkeys((span.jump, span.start) for span in spans if span.jump))
        jumps, starts = [jump for jump, _ in places], [start for _, start in places]
        layer = _layer(trace, operation)
        where = f"In {layer}" if layer else "In the network itself"
        if len(set(jumps)) > 1:
            text = (
                f"{where}, branches meet whose units lie {_listed(jumps)} inputs apart: the same place in both stands "
                "for different places of the input."
            )
        else:
            text = (
                f"{where}, branches meet whose fields have their first centres at {_listed(starts)}: the same place in "
                f"both stands for places {max(starts) - min(starts)} inputs apart."
            )
        details = {"jumps": [float(jump) for jump in jumps], "centres": [float(start) for start in starts]}
        found.append(Finding(kind="merge", layer=layer, text=text, details=details))
    return found


def _gridding(trace: Trace, notes: Notes) -> list[Finding]:
    """Fields that have gaps, each at the last layer that widens it."""
    found: dict[int, Finding] = {}
    for span, operation in notes.gaps.items():
        if operation in found or operation < 0:
            continue
        layer = _layer(trace, operation)
        text = (
            f"A unit of {layer or 'the network'} reads {span.covered} of the {span.size} positions an axis between the "
            "first and the last that it sees: dilations or strides leave gaps."
        )
        details = {"hull": span.size, "covered": span.covered, "coverage": span.covered / span.size}
        found[operation] = Finding(kind="gridding", layer=layer, text=text, details=details)
    return list(found.values())


def _listed(numbers: Sequence[Fraction]) -> str:
    words = [str(number) for number in dict.fromkeys(numbers)]
    return f"{', '.join(words[:-1])} and {words[-1]}"
