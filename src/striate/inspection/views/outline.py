"""What a picture shows of a network: boxes in order of running, and which reads which."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from striate.inspection.report import Layer
from striate.inspection.rows import Row, rows
from striate.inspection.tracing.trace import Trace
from striate.inspection.views.quantities import plain_words

if TYPE_CHECKING:
    from striate.inspection.inspection import Inspection

Kind = Literal["input", "convolution", "transposed", "pooling", "connected", "block", "merge", "other"]

# More boxes than this are put together where they repeat, or where they have one size.
_FEW, _MANY = 24, 60
_LONGEST_PERIOD = 3
_GIVEN = -1
_PLAIN_CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A box of the picture: a layer and what changes no size behind it, a block of layers, or several alike.

    Args:
        kind: which colour it has.
        name: dotted name of its first layer.
        operator: what stands below it.
        window: of its layer; empty for blocks.
        size: of its last output, without the batch.
        enters: of its first input; None if it takes no tensor.
        sources: the stations it reads, by their places.
        places: the layers it stands for, by their places in `Inspection.tree`.
        times: how many alike it stands for.
        group: which group it is in, by the number of that; None for most.
        rounds: how often the group runs.
    """

    kind: Kind
    name: str
    operator: str
    window: str = ""
    size: tuple[int, ...]
    enters: tuple[int, ...] | None = None
    sources: frozenset[int] = frozenset()
    places: tuple[int, ...] = ()
    times: int = 1
    group: int | None = None
    rounds: int = 1

    @property
    def alike(self) -> tuple[str, str, tuple[int, ...]]:
        """What two stations have in common that are drawn as one."""
        return (self.operator, self.window, self.size)


def outline(inspection: "Inspection") -> list[Station]:
    """The boxes of a network's picture.

    A module whose layers run one after another is shown by them, another (a residual block, an Inception module) as one
    box. Activations, normalisations and dropout belong to the layer before them.

    Args:
        inspection: of the network.

    Returns:
        The input first, then in order of running.
    """
    tree = inspection.tree
    reads = _Reads(inspection.trace, tree)
    units = _units(reads, tree)
    stations = _stations(inspection, reads, units)
    if len(stations) > _FEW:
        stations = _repeated(stations)
    if len(stations) > _MANY:
        stations = _by_size(stations)
    return stations


class _Reads:
    """Which layers read which."""

    def __init__(self, trace: Trace, tree: Sequence[Layer]) -> None:
        found = rows(trace)
        if len(found) != len(tree):
            raise ValueError(f"the trace has {len(found)} layers, the inspection {len(tree)}")
        self.children: dict[int, list[int]] = {}
        for place, layer in enumerate(tree):
            if layer.parent is not None and layer.called:
                self.children.setdefault(layer.parent, []).append(place)
        self._leaves = _reads(trace, found)
        self._within: dict[int, tuple[int, ...]] = {}

    def leaves(self, place: int) -> tuple[int, ...]:
        """The layers of a layer that no other stands in."""
        if place not in self._within:
            inside = self.children.get(place, ())
            self._within[place] = tuple(leaf for child in inside for leaf in self.leaves(child)) or (place,)
        return self._within[place]

    def of(self, place: int) -> set[int]:
        """The leaves outside of a layer that it reads; -1 for the input."""
        own = self.leaves(place)
        return {source for leaf in own for source in self._leaves.get(leaf, ())} - set(own)


def _reads(trace: Trace, found: Sequence[Row]) -> dict[int, set[int]]:
    """Of each leaf the leaves whose outputs it reads; what lies in no layer hands on what it read."""
    layer_at: dict[int, int] = {}
    for place, row in enumerate(found):
        if row.leaf and row.call is not None:
            layer_at.update(dict.fromkeys(range(row.first, row.last), place))
    made = {id(value): frozenset((_GIVEN,)) for value in trace.inputs}
    written = {id(value.memory): frozenset((_GIVEN,)) for value in trace.inputs}
    reads: dict[int, set[int]] = {}
    nothing: frozenset[int] = frozenset()
    for step, operation in enumerate(trace.operations):
        sources = nothing.union(
            *(
                made.get(id(value)) or written.get(id(value.memory), nothing)
                for value in operation.inputs
                if not value.parameter
            )
        )
        layer = layer_at.get(step)
        if layer is not None:
            reads.setdefault(layer, set()).update(sources - {layer})
            sources = frozenset((layer,))
        for value in operation.outputs:
            made[id(value)] = written[id(value.memory)] = sources
    return reads


def _units(reads: _Reads, tree: Sequence[Layer]) -> list[int]:
    """The layers to show, each a leaf or a block."""
    top = reads.children.get(0, [0])
    closed: set[str] = set()
    units = [unit for child in top for unit in _opened(child, reads, tree, closed)]
    # Blocks of one class are shown alike, even those of them that are chains.
    units = [unit for child in top for unit in _opened(child, reads, tree, closed)]
    # A network wrapped into another, or in two or three parts, is looked into.
    while len(units) < 5 and not all(tree[unit].leaf for unit in units):
        units = [inner for unit in units for inner in reads.children.get(unit, [unit])]
        units = [inner for unit in units for inner in _opened(unit, reads, tree, closed)]
    return units


def _opened(place: int, reads: _Reads, tree: Sequence[Layer], closed: set[str]) -> list[int]:
    """A layer, or the layers in it if they run one after another; the classes of others are closed from then on."""
    if tree[place].operator in closed:
        return [place]
    inside = [unit for child in reads.children.get(place, ()) for unit in _opened(child, reads, tree, closed)]
    before: set[int] | None = None
    for unit in inside:
        read = reads.of(unit)
        if before is not None and not read <= before:
            if tree[place].operator not in _PLAIN_CONTAINERS:
                closed.add(tree[place].operator)
            return [place]
        # What does nothing, as dropout in evaluation, hands on what lies before it.
        if read:
            before = set(reads.leaves(unit))
    return inside or [place]


def _stations(inspection: "Inspection", reads: _Reads, units: Sequence[int]) -> list[Station]:
    """One for each unit that is not part of the one before it."""
    sizes = inspection.input_sizes
    shape = sizes[0][1:] if sizes else ()
    stations = [Station(kind="input", name="", operator="input", size=shape)]
    station_of = {_GIVEN: 0}
    for unit in units:
        layer = inspection.tree[unit]
        sources = frozenset(station_of[leaf] for leaf in reads.of(unit) if leaf in station_of)
        kind = kind_of(layer)
        if kind == "other" and len(sources) > 1:
            kind = "merge"
        if layer.output_size is None or (_belongs(layer, kind) and sources <= {len(stations) - 1}):
            stations[-1] = replace(stations[-1], places=(*stations[-1].places, unit))
        else:
            stations.append(
                Station(
                    kind=kind,
                    name=layer.name,
                    operator=layer.operator.lstrip("_"),
                    window=layer.window,
                    size=layer.output_size[1:],
                    enters=layer.input_size[1:] if layer.input_size else None,
                    sources=sources,
                    places=(unit,),
                )
            )
        for leaf in reads.leaves(unit):
            station_of[leaf] = len(stations) - 1
    return stations


def kind_of(layer: Layer) -> Kind:
    """What a layer is, by the words of its operator.

    Args:
        layer: any.

    Returns:
        Its kind; "block" for one with others in it.
    """
    if not layer.leaf:
        return "block"
    words = plain_words(layer.operator)
    if "transpose" in words or "transposed" in words or "upsample" in words or "unpool" in words:
        return "transposed"
    if any(word.startswith("conv") for word in words):
        return "convolution"
    if "pool" in words or ("mean" in words and layer.input_size != layer.output_size):
        return "pooling"
    if "linear" in words or "bilinear" in words:
        return "connected"
    return "other"


def _belongs(layer: Layer, kind: Kind) -> bool:
    """Whether a layer changes no size, and so belongs to the one before it."""
    if kind != "other" or layer.macs:
        return False
    if layer.operator in ("flatten", "Flatten"):
        return True
    return layer.input_size == layer.output_size and not layer.window


def _repeated(stations: list[Station]) -> list[Station]:
    """Stations that come again and again, once."""
    kept: list[Station] = []
    moved: dict[int, int] = {}
    at = groups = 0
    while at < len(stations):
        period, rounds = _run(stations, at)
        many = rounds > 1 and period > 1
        for step in range(period):
            station = stations[at + step]
            same = [stations[at + step + turn * period] for turn in range(rounds)]
            sources = frozenset(moved[source] for source in station.sources)
            kept.append(
                replace(
                    station,
                    sources=sources,
                    places=tuple(place for each in same for place in each.places),
                    times=1 if many else rounds,
                    group=groups if many else None,
                    rounds=rounds if many else 1,
                )
            )
            moved.update({at + step + turn * period: len(kept) - 1 for turn in range(rounds)})
        groups += many
        at += period * rounds
    return kept


def _run(stations: Sequence[Station], at: int) -> tuple[int, int]:
    """How many stations from here on come again, and how often they run; the shortest period first."""
    for period in range(1, _LONGEST_PERIOD + 1):
        first = [station.alike for station in stations[at : at + period]]
        rounds = 1
        while True:
            start = at + rounds * period
            following = stations[start : start + period]
            chained = all(station.sources == {start + step - 1} for step, station in enumerate(following))
            if [station.alike for station in following] != first or not chained:
                break
            rounds += 1
        if rounds > (1 if period == 1 else 2):
            return period, rounds
    return 1, 1


def _by_size(stations: Sequence[Station]) -> list[Station]:
    """One station for all that follow one another with one size along the axes."""
    kept: list[Station] = []
    moved: dict[int, int] = {}
    for at, station in enumerate(stations):
        layers = len(station.places)
        if at > 1 and kept[-1].size[1:] == station.size[1:]:
            last = kept[-1]
            places = (*last.places, *station.places)
            kept[-1] = replace(
                last, kind="block", operator=f"{len(places)} layers", window="", size=station.size, places=places
            )
        else:
            sources = frozenset(moved[source] for source in station.sources)
            kept.append(replace(station, sources=sources, times=1, group=None, rounds=1))
            if station.times > 1 or station.rounds > 1:
                kept[-1] = replace(kept[-1], kind="block", operator=f"{layers} layers", window="")
        moved[at] = len(kept) - 1
    return kept
