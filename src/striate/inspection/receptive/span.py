"""What the units along one axis see, in inputs: sets of places that repeat from unit to unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm
from typing import Protocol, TypeVar

from striate.inspection.receptive.relation import Relation, shifted

Places = tuple[int, int]
"""A set of places: the first one, and a binary number whose bit ``i`` says whether ``first + i`` is among them."""

NONE: Places = (0, 0)
_Kind = TypeVar("_Kind", bound="Seen")


class Seen(Protocol):
    """What the units along an axis see, in one of two ways: `Span` and `striate.inspection.receptive.reach.Rows`."""

    @property
    def count(self) -> int:
        """The number of units."""

    @property
    def blank(self) -> bool:
        """Whether no unit sees anything."""

    def moved(self: _Kind, relation: Relation) -> _Kind:
        """What the outputs see of an operator that reads these units."""

    def whole(self: _Kind) -> _Kind:
        """What one unit sees that reads all of these."""

    def united(self: _Kind, others: Sequence[_Kind]) -> _Kind:
        """What units see that read these and as many others, one of each."""

    def joined(self: _Kind, parts: Sequence[tuple[_Kind | None, int]]) -> _Kind:
        """Units one after another; None for those that see nothing, with their number."""

    def patched(self: _Kind, part: _Kind, relation: Relation) -> _Kind:
        """Units of which some are replaced by others."""

    def loosened(self: _Kind) -> _Kind:
        """The same, but known to be no more than likely."""


def union(sets: Sequence[Places]) -> Places:
    """All places that are in one of the sets."""
    held = [places for places in sets if places[1]]
    if len(held) < 2:
        return held[0] if held else NONE
    first = min(held)[0]
    bits = 0
    for low, more in held:
        bits |= more << (low - first)
    return first, bits


def clipped(places: Places, n: int) -> Places:
    """The places from 0 up to ``n``."""
    first, bits = places
    if first < 0:
        first, bits = 0, bits >> -first
    bits &= (1 << max(n - first, 0)) - 1
    skipped = (bits & -bits).bit_length() - 1
    return (first + skipped, bits >> skipped) if bits else NONE


def hull(places: Places) -> int:
    """How many places there are from the first to the last."""
    return places[1].bit_length()


@dataclass(frozen=True, slots=True)
class Pattern:
    """Sets of places that repeat: unit ``u`` has ``sets[u % period]``, moved by ``u // period * shift``."""

    shift: int
    sets: tuple[Places, ...]

    def at(self, unit: int) -> Places:
        """The set of a unit, of those beyond the borders, too."""
        turn, phase = divmod(unit, len(self.sets))
        first, bits = self.sets[phase]
        return first + turn * self.shift, bits

    @property
    def rate(self) -> Fraction:
        """Places from one unit to the next."""
        return Fraction(self.shift, len(self.sets))

    @property
    def widest(self) -> int:
        """From the first to the last place of the set that is widest."""
        return max(map(hull, self.sets))

    def all(self, count: int) -> Places:
        """The union of the sets of the first units."""
        first, bits = self.sets[0]
        if len(self.sets) == 1 and 0 < self.shift <= bits.bit_count() == bits.bit_length():
            return first, (1 << bits.bit_length() + (count - 1) * self.shift) - 1
        return union([self.at(unit) for unit in range(count)])

    def moved(self, relation: Relation) -> Pattern:
        """The sets of the outputs of an operator that reads these units."""
        period = len(self.sets)
        if period == 1 and len(relation.reads) == 1 and self.shift >= 0:
            return Pattern(self.shift * relation.shift, (self._row(relation.reads[0]),))
        turns = period // gcd(period, relation.shift)
        length = len(relation.reads) * turns
        shift = self.shift * relation.shift * turns // period
        if length > relation.count:
            count = max(relation.count, 1)
            shift, length = round(Fraction(shift * count, length)), count
        return Pattern(shift, tuple(union([self.at(p) for p in relation.places(u)]) for u in range(length)))

    def _row(self, reads: Sequence[int]) -> Places:
        """The union at evenly moving units."""
        first, bits = self.sets[0]
        if not reads or not bits:
            return NONE
        start, held = reads[0], 0
        for place in reads:
            held |= bits << (place - start) * self.shift
        return first + start * self.shift, held

    def united(self, others: Sequence[Pattern], count: int) -> Pattern:
        """The union with the sets of as many other units."""
        every = [self, *others]
        if all(other.rate == self.rate for other in others):
            period = lcm(*(len(pattern.sets) for pattern in every))
            if period <= count:
                shift = self.shift * period // len(self.sets)
                return Pattern(shift, tuple(union([p.at(u) for p in every]) for u in range(period)))
        count = max(count, 1)
        return Pattern(round(self.rate * count), tuple(union([p.at(u) for p in every]) for u in range(count)))


class Notes:
    """What is found on the way: where fields met that do not lie on one another, and which have gaps."""

    def __init__(self) -> None:
        self.operation = -1
        """The operation under way."""
        self.known: dict[tuple[object, ...], Span] = {}
        """Spans that were worked out before, by what they were made of."""
        self.met: dict[int, list[Span]] = {}
        """Spans that differ in jump or centre, by the operation that they met in."""
        self.gaps: dict[Span, int] = {}
        """Spans with gaps that no further window has read, and the operations that made them."""


@dataclass(frozen=True, eq=False)
class Span:
    """What the units along one axis see, as if the input went on for ever.

    Args:
        inputs: the number of inputs along the axis.
        count: the number of units.
        pattern: what moves from unit to unit, by the widest path; None if nothing does.
        short: the same by the narrowest path.
        fixed: what all units see.
        jump: inputs from one unit's centre to the next.
        start: the centre of the first unit's field.
        exact: False where an operator's reach is not known.
        notes: what is found on the way.
    """

    inputs: int
    count: int
    pattern: Pattern | None
    short: Pattern | None
    fixed: Places
    jump: Fraction
    start: Fraction
    exact: bool = True
    notes: Notes = field(default_factory=Notes)

    @classmethod
    def of_inputs(cls, n: int, notes: Notes) -> Span:
        """The inputs themselves."""
        one = Pattern(1, ((0, 1),))
        return cls(n, n, one, one, NONE, Fraction(1), Fraction(0), notes=notes)

    @property
    def blank(self) -> bool:
        """Never: what lies in padding is taken as if the input went on."""
        return False

    @cached_property
    def size(self) -> int:
        """Inputs from the first to the last that a unit sees, by the widest path."""
        return max(self.pattern.widest if self.pattern else 0, hull(self.fixed))

    @cached_property
    def shortest(self) -> int:
        """The same by the narrowest path."""
        return self.short.widest if self.short else hull(self.fixed)

    @cached_property
    def covered(self) -> int:
        """How many of the inputs between the first and the last the unit sees that sees furthest."""
        if self.pattern is None or hull(self.fixed) >= self.pattern.widest:
            return self.fixed[1].bit_count()
        return max(self.pattern.sets, key=hull)[1].bit_count()

    @cached_property
    def clipped(self) -> int:
        """The most inputs of the picture from the first to the last that a unit sees."""
        if self.pattern is None:
            return hull(self.fixed)
        pattern, units = self.pattern, range(self.count)
        if len(pattern.sets) == 1 and pattern.shift and not self.fixed[1]:
            (first, bits) = pattern.sets[0]
            if bits.bit_count() == bits.bit_length():
                # Of fields without gaps, the one nearest the middle keeps most.
                best = ((self.inputs - bits.bit_length()) // 2 - first) // pattern.shift
                units = range(min(max(best, 0), self.count - 1), min(max(best + 1, 0), self.count - 1) + 1)
        seen = (union([clipped(pattern.at(unit), self.inputs), self.fixed]) for unit in units)
        return max(map(hull, seen), default=0)

    def hull(self, unit: int) -> tuple[int, int]:
        """The first and the last place that a unit sees."""
        first, bits = _at(self, unit)
        return first, first + bits.bit_length() - 1

    def moved(self, relation: Relation) -> Span:
        """What the outputs see of an operator that reads these units."""
        key = (self, relation)
        found = self.notes.known.get(key)
        if found is None:
            found = self.notes.known[key] = self._moved(relation)
            if not found.fixed[1] and found.covered < found.size:
                self.notes.gaps.pop(self, None)
                self.notes.gaps[found] = self.notes.operation
        return found

    def _moved(self, relation: Relation) -> Span:
        exact = self.exact and relation.exact
        if self.pattern is None or (relation.shift == 0 and len(relation.reads) == 1):
            sets = [self.pattern.at(place) for place in relation.reads[0]] if self.pattern else []
            return self._fixed(union([clipped(union(sets), self.inputs), self.fixed]), relation.count, exact)
        pattern = self.pattern.moved(relation)
        short = pattern if self.short is self.pattern else self.short and self.short.moved(relation)
        return replace(
            self,
            count=relation.count,
            pattern=pattern,
            short=short,
            jump=self.jump * Fraction(relation.shift, len(relation.reads)),
            start=self.start + self.jump * relation.centre,
            exact=exact,
        )

    def _fixed(self, fixed: Places, count: int, exact: bool) -> Span:
        """Units that all see the same."""
        start = fixed[0] + Fraction(max(hull(fixed) - 1, 0), 2)
        return Span(self.inputs, count, None, None, fixed, Fraction(0), start, exact, self.notes)

    def whole(self) -> Span:
        """What one unit sees that reads all of these."""
        seen = clipped(self.pattern.all(self.count), self.inputs) if self.pattern else NONE
        return self._fixed(union([self.fixed, seen]), 1, self.exact)

    def united(self, others: Sequence[Span]) -> Span:
        """What units see that read these and as many others, one of each."""
        key = (self, *others)
        found = self.notes.known.get(key)
        if found is None:
            found = self.notes.known[key] = self._united([self, *others])
        return found

    def _united(self, every: Sequence[Span]) -> Span:
        moving = [span for span in every if span.pattern is not None]
        fixed = union([span.fixed for span in every])
        exact = all(span.exact for span in every)
        if not moving:
            return self._fixed(fixed, self.count, exact)
        places = {(span.jump, span.start) for span in moving if span.jump}
        if len(places) > 1:
            self.notes.met.setdefault(self.notes.operation, []).extend(moving)
        widest = max(moving, key=lambda span: span.size)
        narrowest = min(moving, key=lambda span: span.shortest)
        pattern, short = _united(widest, moving), narrowest.short
        if (pattern, short, fixed, exact) == (widest.pattern, widest.short, widest.fixed, widest.exact):
            return widest
        found = replace(widest, pattern=pattern, short=short, fixed=fixed, exact=exact)
        with_gaps = [span for span in moving if self.notes.gaps.pop(span, None) is not None]
        if with_gaps and not fixed[1] and found.covered < found.size:
            self.notes.gaps[found] = self.notes.operation
        return found

    def joined(self, parts: Sequence[tuple[Span | None, int]]) -> Span:
        """Units one after another; None for those that see nothing, with their number.

        Where one part is more than half of them, the others are taken for its borders, as in circular padding.
        """
        total = sum(number for _, number in parts)
        begin, sets, placed = 0, list[Places](), list[tuple[int, Span]]()
        for span, number in parts:
            if span is not None:
                placed.append((begin, span))
            sets += [union([_at(span, unit)]) if span else NONE for unit in range(number)]
            begin += number
        begin, main = max(placed, key=lambda part: part[1].count)
        moved = main.moved(shifted(-begin, total))
        if 2 * main.count > total and main.pattern is not None:
            return moved
        pattern = Pattern(round(main.jump * total), tuple(sets) or (NONE,))
        exact = all(span.exact for _, span in placed)
        return Span(self.inputs, total, pattern, pattern, NONE, main.jump, moved.start, exact, self.notes)

    def patched(self, part: Span, relation: Relation) -> Span:
        """Units of which some are replaced by others; borders are left out, as in circular padding."""
        return self if 2 * part.count < self.count else self.united([part.moved(relation)])

    def loosened(self) -> Span:
        """The same, but known to be no more than likely."""
        return replace(self, exact=False)


def _at(span: Span, unit: int) -> Places:
    """What one unit sees."""
    return union([span.pattern.at(unit), span.fixed]) if span.pattern else span.fixed


def _united(widest: Span, moving: Sequence[Span]) -> Pattern | None:
    """The union of what moves, with the widest first."""
    patterns = list(dict.fromkeys(span.pattern for span in moving if span.pattern and span is not widest))
    if widest.pattern is None or patterns in ([], [widest.pattern]):
        return widest.pattern
    united = widest.pattern.united(patterns, widest.count)
    return widest.pattern if united == widest.pattern else united
