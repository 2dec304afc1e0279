"""What the outputs of an operator read, along one axis: a pattern of places that repeats."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, gcd

from striate.geometry import Window, adaptive_windows


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """The input places that every output place reads along one axis.

    Output ``u`` reads ``reads[u % period] + u // period * shift`` for ``period = len(reads)``; places outside of the
    input are padding.

    Args:
        count: the number of outputs.
        shift: places from what one period reads to what the next one does.
        reads: the places that the outputs of the first period read, each in order.
        centre: the place that the first output lies at, on the even grid of all outputs.
        inside: what each output reads where the borders are mirrored or wrapped; None where they are not.
        exact: whether the outputs read these places and no others.
    """

    count: int
    shift: int
    reads: tuple[Sequence[int], ...]
    centre: Fraction = Fraction(0)
    inside: tuple[Sequence[int], ...] | None = None
    exact: bool = True

    def places(self, unit: int) -> Sequence[int]:
        """The places that an output reads, those beyond the borders included."""
        turn, phase = divmod(unit, len(self.reads))
        return [place + turn * self.shift for place in self.reads[phase]] if turn else self.reads[phase]


@lru_cache(1024)
def slid(window: Window, n: int) -> Relation:
    """That of a window that slides over its input."""
    low, _ = window.pads(n)
    reads = range(-low, window.extent - low, window.dilation)
    return Relation(window.output_size(n), window.stride, (reads,), Fraction(window.extent - 1, 2) - low)


@lru_cache(1024)
def spread(window: Window, count: int) -> Relation:
    """That of a transposed layer, which spreads every input over several outputs."""
    low, _ = window.crops()
    stride = window.stride
    taps = range(0, window.extent, window.dilation)
    reads = tuple(
        sorted((unit + low - tap) // stride for tap in taps if (unit + low - tap) % stride == 0)
        for unit in range(stride)
    )
    return Relation(count, 1, reads, (low - Fraction(window.extent - 1, 2)) / stride)


@lru_cache(1024)
def adaptive(n: int, count: int, exact: bool = True) -> Relation:
    """That of adaptive pooling."""
    shared = gcd(n, count)
    reads = adaptive_windows(n, count)[: count // shared]
    return Relation(count, n // shared, reads, (Fraction(n, count) - 1) / 2, exact=exact)


@lru_cache(1024)
def resized(n: int, count: int, taps: int, corners: bool, scale: float | None, smooth: bool = False) -> Relation:
    """That of a picture that is resized.

    Args:
        n: the input size.
        count: the output size.
        taps: 1 for the nearest input, 2 for linear and 4 for cubic interpolation; 0 for the nearest with PyTorch's
            older rule, which rounds down.
        corners: whether the centres of the outermost outputs lie at those of the outermost inputs.
        scale: the factor that was asked for, if one was.
        smooth: whether the taps lie further apart where the picture shrinks.
    """
    if corners:
        step = Fraction(n - 1, count - 1) if count > 1 else Fraction(0)
        centre = Fraction(0)
    else:
        # The factor is a binary number: 1 / 1.5 rounded is not what was meant.
        step = Fraction(n, count) if scale is None else 1 / Fraction(scale).limit_denominator(1 << 20)
        centre = (step - 1) / 2
    # Linear interpolation repeats the outermost input beyond the border, and cubic reads it there several times.
    period = min(step.denominator, count)
    reads = tuple(_taps(centre + unit * step, step, taps, smooth) for unit in range(period))
    if taps == 0:
        reads = tuple((floor(unit * step),) for unit in range(period))
    shift = step.numerator if period == step.denominator else round(step * period)
    inside = None
    if taps:
        every = (_taps(centre + unit * step, step, taps, smooth) for unit in range(count))
        inside = tuple(sorted({min(max(place, 0), n - 1) for place in places}) for places in every)
    return Relation(count, shift, reads, centre, inside)


def _taps(centre: Fraction, step: Fraction, taps: int, smooth: bool) -> Sequence[int]:
    """The places near a point that interpolation gives a weight other than 0."""
    if taps == 1:
        return (floor(centre + Fraction(1, 2)),)
    reach = Fraction(taps, 2) * (max(step, Fraction(1)) if smooth else 1)
    if centre.denominator == 1 and (not smooth or step <= 1):
        return (int(centre),)
    return range(floor(centre - reach) + 1, ceil(centre + reach))


@lru_cache(1024)
def shifted(offset: int, count: int, step: int = 1, backward: bool = False) -> Relation:
    """That of padding, cropping and slicing: output ``u`` reads place ``offset + u * step``, or ``- u * step``."""
    return Relation(count, -step if backward else step, ((offset,),), Fraction(offset))


@lru_cache(1024)
def embedded(begin: int, step: int, count: int) -> Relation:
    """That of units written into a longer row, from a place on and so many apart."""
    reads = tuple(((unit - begin) // step,) if (unit - begin) % step == 0 else () for unit in range(step))
    return Relation(count, 1, reads, -Fraction(begin, step))


@lru_cache(1024)
def bordered(low: int, n: int, count: int, kind: str) -> Relation:
    """That of padding by the input: mirrored ("reflection"), repeated ("replication") or wrapped ("circular")."""
    places = range(-low, count - low)
    if kind == "circular":
        inside = tuple((place % n,) for place in places)
    elif kind == "replication":
        inside = tuple((min(max(place, 0), n - 1),) for place in places)
    else:
        inside = tuple((_mirrored(place, n),) for place in places)
    return Relation(count, 1, ((-low,),), Fraction(-low), inside)


def _mirrored(place: int, n: int) -> int:
    return -place if place < 0 else min(place, 2 * (n - 1) - place)


@lru_cache(1024)
def repeated(n: int, times: int, count: int) -> Relation:
    """That of units repeated `times` one after another, and then all of them again until there are `count`."""
    if count == n * times:
        return Relation(count, 1, ((0,),) * times, -Fraction(times - 1, 2 * times))
    return Relation(count, 0, tuple((unit // times % n,) for unit in range(n * times)))


@lru_cache(256)
def tied(count: int) -> Relation:
    """That of one unit that all outputs read."""
    return Relation(count, 0, ((0,),))


def wrapped(relation: Relation, n: int, kind: str) -> Relation:
    """The same windows on an input whose padding is mirrored, repeated or wrapped."""
    inside = []
    for unit in range(relation.count):
        places = relation.places(unit)
        if kind == "circular":
            kept = {place % n for place in places}
        elif kind == "replication":
            kept = {min(max(place, 0), n - 1) for place in places}
        else:
            kept = {_mirrored(place, n) for place in places}
        inside.append(sorted(kept))
    return Relation(relation.count, relation.shift, relation.reads, relation.centre, tuple(inside), relation.exact)
