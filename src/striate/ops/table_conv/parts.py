"""The maps of a table that read the same sources, as parts of a layer that are ordinary convolutions."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A layer whose maps are put in the order of its parts.

    Args:
        sources: the maps below that each part reads; the first of all where it has no link.
        sizes: how many maps each part has.
        order: the maps of the layer in the new order.
        places: where each map of the layer lies in it.
        rows: where the map of each link lies in it.
        columns: where the source of each link lies among those of the part.
    """

    sources: tuple[Places, ...]
    sizes: tuple[int, ...]
    order: Places
    places: Places
    rows: Places
    columns: Places

    @classmethod
    def of(cls, links: list[list[int]], outputs: int) -> Self:
        """The parts of a table, in the order of their first maps."""
        read: list[set[int]] = [set() for _ in range(outputs)]
        for source, to in links:
            read[to].add(source)
        parts: dict[tuple[int, ...], list[int]] = {}
        for to, sources in enumerate(read):
            parts.setdefault(tuple(sorted(sources)) or (0,), []).append(to)
        order = np.array([to for maps in parts.values() for to in maps], dtype=np.int64)
        places = np.argsort(order)
        among = [{source: place for place, source in enumerate(sorted(sources))} for sources in read]
        return cls(
            sources=tuple(np.array(sources, dtype=np.int64) for sources in parts),
            sizes=tuple(map(len, parts.values())),
            order=order,
            places=places,
            rows=places[[to for _, to in links]],
            columns=np.array([among[to][source] for source, to in links], dtype=np.int64),
        )
