"""Which inputs every unit reads, to the last one: gaps and borders included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.inspection.receptive.fields import fields
from striate.inspection.receptive.propagate import Propagation, spatial_axes
from striate.inspection.receptive.relation import Relation
from striate.inspection.receptive.span import NONE, Places, hull, union
from striate.inspection.tracing.record import Trace, Value


@dataclass(frozen=True, eq=False)
class Rows:
    """The inputs that each unit along an axis reads, of those that there are."""

    sets: tuple[Places, ...]
    known: dict[tuple[object, ...], Rows]
    exact: bool = True

    @property
    def count(self) -> int:
        """The number of units."""
        return len(self.sets)

    @cached_property
    def blank(self) -> bool:
        """Whether no unit reads anything."""
        return not any(bits for _, bits in self.sets)

    def moved(self, relation: Relation) -> Rows:
        """What the outputs read of an operator that reads these units."""
        key = (self, relation)
        found = self.known.get(key)
        if found is None:
            n, sets = len(self.sets), self.sets
            rows = relation.inside or (relation.places(unit) for unit in range(relation.count))
            read = tuple(union([sets[place] for place in places if 0 <= place < n]) for places in rows)
            found = self.known[key] = replace(self, sets=read, exact=self.exact and relation.exact)
        return found

    def whole(self) -> Rows:
        """What one unit reads that reads all of these."""
        return replace(self, sets=(self._all,))

    @cached_property
    def _all(self) -> Places:
        return union(self.sets)

    def united(self, others: Sequence[Rows]) -> Rows:
        """What units read that read these and as many others, one of each."""
        every = [self, *others]
        sets = tuple(union(group) for group in zip(*(rows.sets for rows in every), strict=True))
        return replace(self, sets=sets, exact=all(rows.exact for rows in every))

    def joined(self, parts: Sequence[tuple[Rows | None, int]]) -> Rows:
        """Units one after another; None for those that read nothing, with their number."""
        sets: list[Places] = []
        for rows, number in parts:
            sets += rows.sets if rows else [NONE] * number
        return replace(self, sets=tuple(sets), exact=all(rows.exact for rows, _ in parts if rows))

    def patched(self, part: Rows, relation: Relation) -> Rows:
        """Units of which some are replaced by others."""
        rows = [[place for place in relation.places(unit) if 0 <= place < part.count] for unit in range(self.count)]
        sets = tuple(part.sets[new[0]] if new else old for new, old in zip(rows, self.sets, strict=True))
        return replace(self, sets=sets, exact=self.exact and part.exact)

    def loosened(self) -> Rows:
        """The same, but known to be no more than likely."""
        return replace(self, exact=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The inputs that one unit sees.

    Args:
        unit: its place along each axis that the layer's output has left.
        first: the first input along each axis.
        last: the last one; below the first where nothing is read.
        covered: how many from the first to the last are read; fewer where there are gaps.
        hull: the first and the last along each axis as if the input went on for ever.
        exact: False where an operation reads at places that depend on numbers, or has no rule.

    Example:
        >>> Box(unit=(0,), first=(0,), last=(1,), covered=(2,), hull=((-1, 1),), exact=True).last
        (1,)
    """

    unit: tuple[int, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]
    covered: tuple[int, ...]
    hull: tuple[tuple[int, int], ...]
    exact: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Inputs from the first to the last along each axis.

        Returns:
            One number an axis; 0 where nothing is read.

        Example:
            >>> Box(unit=(0,), first=(0,), last=(1,), covered=(2,), hull=((-1, 1),), exact=True).shape
            (2,)
        """
        return tuple(last - first + 1 for first, last in zip(self.first, self.last, strict=True))


class Reach:
    """The inputs that the units of every value read, along each axis by itself.

    It is worked out when it is asked for first. Of a unit with branches that read different rectangles, it is the union
    along every axis.

    Args:
        trace: the run of a network.
        axes: dimensions of the first input; by default those that windows slide over.

    Example:
        >>> import torch
        >>> from striate.inspection.tracing.trace import trace
        >>> run = trace(torch.nn.Conv1d(1, 1, 2, dilation=2), [torch.empty(1, 1, 4)])
        >>> Reach(run).of(run.outputs[0])[0].astype(int)
        array([[1, 0, 1, 0],
               [0, 1, 0, 1]])
    """

    def __init__(self, trace: Trace, axes: Sequence[int] | None = None) -> None:
        self._trace = trace
        self.axes = tuple(spatial_axes(trace) if axes is None else axes)
        """The dimensions of the input that the reach is along."""

    @cached_property
    def _propagation(self) -> Propagation:
        known: dict[tuple[object, ...], Rows] = {}
        found = Propagation(self._trace, self.axes, lambda n: Rows(tuple((place, 1) for place in range(n)), known))
        found.run()
        return found

    def rows(self, value: Value) -> tuple[Rows, ...] | None:
        """What the units of a value read, as sets; None for a value that does not depend on every axis."""
        layout = self._propagation.layout(value)
        if layout is None:
            return None
        seen: dict[int, Any] = layout.carried()
        if any(axis not in seen for axis in range(len(self.axes))):
            return None
        every: list[Rows] = [seen[axis] for axis in range(len(self.axes))]
        if any(rows.blank for rows in every):
            every = [replace(rows, sets=(NONE,) * rows.count) for rows in every]
        return tuple(every)

    def of(self, value: Value) -> tuple[npt.NDArray[np.bool_], ...] | None:
        """Which inputs the units of a value read.

        Args:
            value: any value of the run.

        Returns:
            For each axis a matrix `(units, inputs)`; one row where the value has no such axis left, and all of its
            units read the same. None for a value that does not depend on the input along all axes.
        """
        every = self.rows(value)
        if every is None:
            return None
        sizes = [self._trace.inputs[0].shape[axis] for axis in self.axes]
        return tuple(_matrix(rows, n) for rows, n in zip(every, sizes, strict=True))


def _matrix(rows: Rows, n: int) -> npt.NDArray[np.bool_]:
    found = np.zeros((rows.count, n), dtype=np.bool_)
    for row, (first, bits) in zip(found, rows.sets, strict=True):
        packed = np.frombuffer(bits.to_bytes((bits.bit_length() + 7) // 8, "little"), dtype=np.uint8)
        row[first : first + hull((first, bits))] = np.unpackbits(packed, bitorder="little")[: bits.bit_length()]
    return found


def field_of(trace: Trace, layer: str, unit: int | Sequence[int] | None = None) -> Box:
    """The box of inputs that one unit of a layer sees.

    Args:
        trace: the run of a network.
        layer: the dotted name of a module; of its calls the last is taken.
        unit: its place along each axis, from 0; None for the one in the middle. An axis that the layer's output has
            not left takes 0.

    Returns:
        The first and the last input along each axis, and those as if the input went on for ever.

    Raises:
        ValueError: if there is no such layer, its output depends on no axis, or the unit lies outside of it.
        TypeError: if the unit is not of integers.

    Example:
        >>> import torch
        >>> from striate.inspection.tracing.trace import trace
        >>> run = trace(torch.nn.Sequential(torch.nn.Conv1d(1, 1, 3, padding=1)), [torch.empty(1, 1, 8)])
        >>> box = field_of(run, "0", 0)
        >>> box.first, box.last, box.hull
        ((0,), (1,), ((-1, 1),))
    """
    value = layer_value(trace, layer)
    reach = Reach(trace)
    every, spans = reach.rows(value), fields(trace).spans(value)
    if every is None or spans is None or not every:
        raise ValueError(f"layer {layer!r} depends on no axis of the input that windows slide over")
    counts = tuple(rows.count for rows in every)
    units = _unit(layer, unit, counts)
    seen = [rows.sets[place] for rows, place in zip(every, units, strict=True)]
    hulls = tuple(span.hull(place) for span, place in zip(spans, units, strict=True))
    return Box(
        unit=units,
        first=tuple(first for first, _ in seen),
        last=tuple(first + bits.bit_length() - 1 for first, bits in seen),
        covered=tuple(bits.bit_count() for _, bits in seen),
        hull=hulls,
        exact=all(rows.exact for rows in every),
    )


def layer_value(trace: Trace, layer: str) -> Value:
    """What a module returned when it was called last.

    Raises:
        ValueError: if no module of the name was called, or it returned no tensor.
    """
    calls = [call for call in trace.calls if call.name == layer]
    if not calls:
        names = dict.fromkeys(call.name for call in trace.calls)
        near = " or ".join(repr(name) for name in get_close_matches(layer, names))
        raise ValueError(
            f"no layer {layer!r} was called"
            + (f"; did you mean {near}?" if near else f"; there are {', '.join(map(repr, list(names)[:8]))}")
        )
    if not calls[-1].outputs:
        raise ValueError(f"layer {layer!r} returned no tensor")
    return calls[-1].outputs[0]


def _unit(layer: str, unit: int | Sequence[int] | None, counts: tuple[int, ...]) -> tuple[int, ...]:
    if unit is None:
        return tuple(count // 2 for count in counts)
    given = (unit,) * len(counts) if isinstance(unit, int) else tuple(unit)
    if len(given) != len(counts):
        raise ValueError(f"unit must have one place for each of {len(counts)} axes, got {unit!r}")
    try:
        places = tuple(map(index, given))
    except TypeError:
        raise TypeError(f"unit must be of integers, got {unit!r}") from None
    if any(not 0 <= place < count for place, count in zip(places, counts, strict=True)):
        sizes = " x ".join(map(str, counts))
        raise ValueError(f"unit {unit!r} lies outside of layer {layer!r}, which has {sizes} units")
    return places
