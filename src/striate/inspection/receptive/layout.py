"""Where the axes of a network's input lie in a tensor, through reshaping and reordering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from striate.geometry import Window
from striate.inspection.receptive.relation import Relation, repeated, slid, tied

Carried = tuple[tuple[int, Any], ...]
"""Axes of the input, each with what the units along it see (`striate.inspection.receptive.span.Seen`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A dimension, or a part of one that a view has made of several.

    Args:
        size: of the part.
        carried: the axes of the input that run along it.
        whole: the factor that it was split from, and which of its two parts it is.
    """

    size: int
    carried: Carried = ()
    whole: tuple[Factor, int] | None = None


Dim = tuple[Factor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The axes of the input in a tensor. Each runs along one factor at most.

    Args:
        dims: the factors of each dimension, the slowest first; a dimension of one unit may have none.
        gone: what all units see of the axes that no dimension is left of.
    """

    dims: tuple[Dim, ...]
    gone: Mapping[int, Any] = field(default_factory=dict)

    def carried(self) -> dict[int, Any]:
        """What the units along each axis see."""
        found = dict(self.gone)
        for dim in self.dims:
            for factor in dim:
                found.update(factor.carried)
        return found


def plain(size: int) -> Dim:
    """A dimension that no axis runs along."""
    return () if size == 1 else (Factor(size),)


def size_of(dim: Dim) -> int:
    """Units of a dimension."""
    return prod(factor.size for factor in dim)


def collapse(dim: Sequence[Factor]) -> Factor:
    """A dimension as one factor."""
    dim = fused(dim)
    if len(dim) == 1:
        return dim[0]
    total = size_of(dim)
    carried: list[tuple[int, Any]] = []
    times = total
    for factor in dim:
        times //= factor.size
        carried += [(axis, seen.moved(repeated(factor.size, times, total))) for axis, seen in factor.carried]
    return Factor(total, tuple(carried))


def fused(factors: Iterable[Factor]) -> Dim:
    """Factors with both parts of what was split put together again."""
    found: list[Factor] = []
    for factor in factors:
        while factor.whole is not None and factor.whole[1] == 1 and found:
            before = found[-1]
            if before.whole is None or before.whole != (factor.whole[0], 0):
                break
            found.pop()
            factor = factor.whole[0]
        if not factor.carried and factor.whole is None and found and not found[-1].carried and not found[-1].whole:
            found[-1] = Factor(found[-1].size * factor.size)
        elif factor.size > 1 or factor.carried or factor.whole:
            found.append(factor)
    return tuple(found)


def split(factor: Factor, slow: int) -> tuple[Factor, Factor]:
    """A factor as two, of which the first has so many units."""
    fast = factor.size // slow
    if not factor.carried:
        if factor.whole is None:
            return Factor(slow), Factor(fast)
        return Factor(slow, (), (factor, 0)), Factor(fast, (), (factor, 1))
    window = slid(Window(fast, fast), factor.size)
    carried = tuple((axis, seen.moved(window)) for axis, seen in factor.carried)
    return Factor(slow, carried, (factor, 0)), Factor(fast, (), (factor, 1))


def viewed(layout: Layout, shape: Sequence[int]) -> Layout:
    """The same units in the same order under another shape."""
    left = [factor for dim in layout.dims for factor in dim][::-1]
    dims: list[Dim] = []
    for place, size in enumerate(shape):
        taken: list[Factor] = []
        held = 1
        while held < size or (left and left[-1].size == 1 and (size > 1 or not taken)):
            factor = left[-1] if left else Factor(0)
            if held == size and size > 1 and 1 in shape[place + 1 : place + 2]:
                break
            if size % (held * factor.size or size + 1) == 0:
                held *= factor.size
                taken.append(left.pop())
            elif factor.size and size % held == 0 and factor.size % (size // held) == 0:
                first, second = split(left.pop(), size // held)
                left.append(second)
                taken.append(first)
                held = size
            else:
                # The boundaries lie across one another.
                left = [collapse([*taken, *left[::-1]])]
                taken, held = [], 1
        dims.append(fused(taken))
    if left:
        dims[-1:] = [fused([*(dims[-1] if dims else ()), *left[::-1]])] if dims else []
    gone = dict(layout.gone)
    if not dims:
        gone.update({axis: seen for factor in left for axis, seen in factor.carried})
    return Layout(tuple(dims), gone)


def without(layout: Layout, dims: Iterable[int], keep: bool) -> Layout:
    """A layout whose dimensions have been reduced: all units along them are read."""
    reduced = {dim % max(len(layout.dims), 1) for dim in dims}
    layout = _parted(layout, reduced)
    gone = dict(layout.gone)
    kept: list[Dim] = []
    for place, dim in enumerate(layout.dims):
        if place not in reduced:
            kept.append(dim)
            continue
        if keep:
            seen = tuple(_whole(dim).items())
            kept.append((Factor(1, seen),) if seen else ())
        else:
            gone.update(_whole(dim))
    return Layout(tuple(kept), gone)


def mixed(layout: Layout, dims: Iterable[int], axes: Iterable[int] = ()) -> Layout:
    """A layout in which every unit along some dimensions, or axes, has read all of them."""
    places = {dim % max(len(layout.dims), 1) for dim in dims}
    layout = _parted(layout, places)
    named = set(axes)
    gone = dict(layout.gone)
    found: list[Dim] = []
    for place, dim in enumerate(layout.dims):
        if place in places:
            gone.update(_whole(dim))
            found.append(plain(size_of(dim)))
        elif any(axis in named for factor in dim for axis, _ in factor.carried):
            gone.update({axis: seen for axis, seen in _whole(dim).items() if axis in named})
            found.append(tuple(Factor(f.size, tuple(c for c in f.carried if c[0] not in named)) for f in dim))
        else:
            found.append(dim)
    return Layout(tuple(found), gone)


def _parted(layout: Layout, dims: Iterable[int]) -> Layout:
    """A layout before some dimensions are mixed: what was split along them is not put together again."""
    if not any(factor.whole for dim in dims if dim < len(layout.dims) for factor in layout.dims[dim]):
        return layout
    return Layout(tuple(tuple(Factor(f.size, f.carried) for f in dim) for dim in layout.dims), layout.gone)


def everything(layout: Layout, shape: Sequence[int], exact: bool = False) -> Layout:
    """A tensor of which every unit has read all there is."""
    gone = {axis: seen.whole() for axis, seen in layout.carried().items()}
    if not exact:
        gone = {axis: seen.loosened() for axis, seen in gone.items()}
    return Layout(tuple(map(plain, shape)), gone)


def _whole(dim: Dim) -> dict[int, Any]:
    return {axis: seen.whole() for factor in dim for axis, seen in factor.carried}


def along(layout: Layout, relations: Mapping[int, Relation]) -> Layout:
    """A layout after an operator that reads places along some dimensions."""
    dims = list(layout.dims)
    for place, relation in relations.items():
        factor = collapse(dims[place]) if dims[place] else Factor(1)
        carried = tuple((axis, seen.moved(relation)) for axis, seen in factor.carried)
        dims[place] = (Factor(relation.count, carried),) if carried else plain(relation.count)
    return Layout(tuple(dims), layout.gone)


def merged(layouts: Sequence[Layout], shape: Sequence[int]) -> Layout:
    """What units see that read one unit of each, broadcast to a shape."""
    if len(layouts) == 1 and len(layouts[0].dims) == len(shape):
        layout = layouts[0]
        if all(size == 1 or size_of(dim) == size for dim, size in zip(layout.dims, shape, strict=True)):
            return layout
    # What lies in padding along one axis is nothing along the others, either.
    layouts = [layout for layout in layouts if not any(s.blank for s in layout.carried().values())] or layouts[:1]
    gone: dict[int, list[Any]] = {}
    for layout in layouts:
        for axis, seen in layout.gone.items():
            gone.setdefault(axis, []).append(seen)
    dims: list[Dim] = []
    held: dict[int, tuple[int, int]] = {}
    for place, size in enumerate(shape):
        met: list[Dim] = []
        for layout in layouts:
            back = len(shape) - place
            dim = layout.dims[-back] if back <= len(layout.dims) else ()
            if size_of(dim) == size:
                met.append(dim)
            else:
                for axis, seen in _whole(dim).items():
                    gone.setdefault(axis, []).append(seen)
        dims.append(_met(met, size, held, gone, place))
    return _settled(dims, held, gone)


def _met(
    met: Sequence[Dim], size: int, held: dict[int, tuple[int, int]], gone: dict[int, list[Any]], place: int
) -> Dim:
    """One dimension of several layouts that are merged; notes where each axis runs."""
    met = [dim for dim in met if any(factor.carried or factor.whole for factor in dim)]
    if not met:
        return plain(size)
    if len({tuple(factor.size for factor in dim) for dim in met}) > 1:
        met = [(collapse(dim),) for dim in met]
    factors: list[Factor] = []
    for position, group in enumerate(zip(*met, strict=True)):
        seen: dict[int, list[Any]] = {}
        for factor in group:
            for axis, one in factor.carried:
                seen.setdefault(axis, []).append(one)
        carried: list[tuple[int, Any]] = []
        for axis, several in seen.items():
            if axis in held:
                gone.setdefault(axis, []).extend(one.whole() for one in several)
                continue
            held[axis] = (place, position)
            different = list(dict.fromkeys(several))
            carried.append((axis, different[0].united(different[1:]) if len(different) > 1 else different[0]))
        first = group[0]
        same = all(factor.carried == first.carried and factor.whole == first.whole for factor in group)
        unchanged = same and tuple(carried) == first.carried
        factors.append(first if unchanged else Factor(first.size, tuple(carried)))
    return tuple(factors)


def _settled(dims: list[Dim], held: Mapping[int, tuple[int, int]], gone: Mapping[int, list[Any]]) -> Layout:
    """What is read of an axis everywhere joins what is read of it along its dimension."""
    left: dict[int, Any] = {}
    for axis, several in gone.items():
        different = list(dict.fromkeys(several))
        if axis not in held:
            first, *others = different
            left[axis] = first.united(others) if others else first
            continue
        place, position = held[axis]
        factor = dims[place][position]
        fixed = [one.moved(tied(factor.size)) for one in different]
        carried = tuple((a, seen.united(fixed) if a == axis else seen) for a, seen in factor.carried)
        changed = list(dims[place])
        changed[position] = Factor(factor.size, carried)
        dims[place] = tuple(changed)
    return Layout(tuple(dims), left)
