"""What of a file goes where in a network: decided from names and sizes, before a tensor is read."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from striate.models.loading.caffe import caffe_names
from striate.models.loading.convention import Change, Convention
from striate.models.loading.mmcv import mmcv_names
from striate.models.loading.preprocessing import Preprocessing
from striate.models.loading.report import LoadReport
from striate.models.loading.timm import timm_names
from striate.models.loading.wrappers import parts_of, preferred, prefixes, unwrapped
from striate.models.network import Network

# A counter of batches, which older files lack and nothing depends on but a momentum of None.
_COUNTER = "num_batches_tracked"


class Sized(Protocol):
    """What is known of a tensor before it is read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Its type."""
        ...


@dataclass(slots=True)
class Place:
    """Where a tensor of the network comes from.

    Args:
        source: its name in the file.
        dtype: its type there.
        read_as: its sizes there, without what the network's has not.
        shape: its sizes after the changes.
        changes: what is done to it, in order.
    """

    source: str
    dtype: torch.dtype
    read_as: tuple[int, ...]
    shape: tuple[int, ...]
    changes: list[Change] = field(default_factory=list)

    def read(self, read: Callable[[str], Tensor]) -> Tensor:
        """The tensor as the network wants it."""
        tensor = read(self.source).reshape(self.read_as)
        for change in self.changes:
            tensor = change(tensor)
        return tensor


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes where.

    Args:
        places: by the names in the network, those that fit.
        report: what becomes of the others.
    """

    places: Mapping[str, Place]
    report: LoadReport

    def fill(self, network: Network, read: Callable[[str], Tensor]) -> None:
        """Put the tensors in their places, one at a time.

        Args:
            network: like the one that was planned for.
            read: gives a tensor of the file by its name there.
        """
        wished = network.state_dict()
        with torch.no_grad():
            for name, place in self.places.items():
                wished[name].copy_(place.read(read))


def plan(
    network: Network,
    entries: Mapping[str, Sized],
    file: str,
    *,
    caffe: Mapping[str, Any] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Plan:
    """What of a file goes where, with the first layer and the classifier changed to fit.

    Args:
        network: that takes the weights; its own are not looked at, and it may be on "meta".
        entries: the tensors of the file by their names.
        file: where they are from, for the report.
        caffe: the layers of a network of Caffe, None for any other file.
        preprocessing: what pictures the weights want; None to go by whose they are.
    """
    wished = network.state_dict()
    found = _names(network, entries, wished, caffe)
    convention, changed = found.convention, [*found.said, *found.convention.said]
    places = {}
    for ours, name in found.names.items():
        entry, shape = entries[name], tuple(entries[name].shape)
        if convention.whose and ours in wished:
            shape = _without_ones(shape, wished[ours].ndim)
        places[ours] = Place(name, entry.dtype, shape, shape)
    for name, change in convention.changes.items():
        if name in places:
            places[name].changes.append(change)
    changed += _without_heads(network, places)
    anew = _begun_anew(network, places, wished, changed)
    _share_out(network, places, wished, changed)
    known = {name: place for name, place in places.items() if name in wished and name not in anew}
    sized = {name: place for name, place in known.items() if place.shape != tuple(wished[name].shape)}
    typed = {n: p for n, p in known.items() if n not in sized and not _same_kind(p.dtype, wished[n].dtype)}
    fitting = {name: place for name, place in known.items() if name not in sized and name not in typed}
    preprocessing = preprocessing or convention.preprocessing
    report = LoadReport(
        file=file,
        loaded=tuple(fitting),
        changed=tuple(changed),
        missing=tuple(n for n in wished if n not in places and n not in anew and not n.endswith(_COUNTER)),
        unexpected=(*(place.source for name, place in places.items() if name not in wished), *found.twice),
        wrongly_sized=tuple((name, place.shape, tuple(wished[name].shape)) for name, place in sized.items()),
        wrongly_typed=tuple((name, _word(place.dtype), _word(wished[name].dtype)) for name, place in typed.items()),
        preprocessing=preprocessing and preprocessing.for_channels(network.config.in_channels),
    )
    return Plan(fitting, report)


class _Names(NamedTuple):
    """Whose names a file has, and which tensors of the network they are."""

    convention: Convention
    names: dict[str, str]
    twice: list[str]
    said: list[str]


def _names(
    network: Network, entries: Iterable[str], wished: Mapping[str, Tensor], caffe: Mapping[str, Any] | None
) -> _Names:
    """Whose names these are, and the names in the file by those in the network."""
    short = [(unwrapped(name), name) for name in entries]
    of_caffe = caffe_names(network, caffe) if caffe is not None else None
    conventions = [each for each in (of_caffe, Convention(), timm_names(network)) if each is not None]
    best, prefix, landed = conventions[0], "", 0
    for convention in conventions:
        longest = max(map(len, (*wished, *convention.layers))) + len(".num_batches_tracked")
        count = Counter(
            before
            for name, _ in short
            for before in prefixes(name)
            if len(name) - len(before) <= longest and convention.renamed(name[len(before) :]) in wished
        )
        for candidate in sorted(count, key=preferred):
            if count[candidate] > landed:
                best, prefix, landed = convention, candidate, count[candidate]
    if not best.whose:
        best = mmcv_names(network, prefix, {name.removeprefix(prefix) for name, _ in short}) or best
    names: dict[str, str] = {}
    twice: list[str] = []
    # Names with the prefix come first, so that one without it takes no place of theirs.
    for name, source in sorted(short, key=lambda pair: not pair[0].startswith(prefix)):
        ours = best.renamed(name.removeprefix(prefix))
        if ours not in wished:
            ours = source
        if ours in names:
            twice.append(source)
        else:
            names[ours] = source
    parts = dict.fromkeys(part for ours, name in names.items() if ours in wished for part in parts_of(name, ours))
    said = [f"names without {', '.join(parts)}"] if parts else []
    return _Names(best, names, twice, said + ([f"names of {best.whose}'s layers"] if best.whose else []))


def _without_ones(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    """Sizes of the same numbers along so many axes: convolutions for linear layers, and four axes for a bias."""
    while len(shape) > axes and shape[0] == 1:
        shape = shape[1:]
    return (*shape[: axes - 1], math.prod(shape[axes - 1 :])) if 0 < axes < len(shape) else shape


def _without_heads(network: Network, places: dict[str, Place]) -> list[str]:
    """Leave out the auxiliary heads that the network was built without."""
    heads = dict.fromkeys(name.partition(".")[0] for name in network.LAST[1:])
    absent = [head for head in heads if getattr(network, head, None) is None]
    left = [name for name in places if name.partition(".")[0] in absent]
    for name in left:
        del places[name]
    found = dict.fromkeys(name.partition(".")[0] for name in left)
    return [f"{', '.join(found)} left out: the network was built without auxiliary heads"] if left else []


def _begun_anew(
    network: Network, places: Mapping[str, Place], wished: Mapping[str, Tensor], changed: list[str]
) -> set[str]:
    """The tensors of a classifier for other classes than the file's."""
    anew = set[str]()
    for name in network.LAST:
        theirs, ours = places.get(f"{name}.weight"), wished.get(f"{name}.weight")
        if theirs is None or ours is None or not theirs.shape or theirs.shape[1:] != tuple(ours.shape[1:]):
            continue
        if theirs.shape[0] != len(ours):
            changed.append(f"{name} begins anew: {theirs.shape[0]} classes in the file, {len(ours)} wanted")
            anew |= {f"{name}.weight", f"{name}.bias"}
    return anew


def _share_out(network: Network, places: Mapping[str, Place], wished: Mapping[str, Tensor], changed: list[str]) -> None:
    """Have the first layer's filters summed over the file's channels, where the network has others."""
    name = f"{network.FIRST}.weight"
    theirs, ours = places.get(name), wished.get(name)
    if theirs is None or ours is None or len(theirs.shape) <= 2 or len(theirs.shape) != ours.ndim:
        return
    others = [(*shape[:1], *shape[2:]) for shape in (theirs.shape, tuple(ours.shape))]
    if others[0] == others[1] and 0 < theirs.shape[1] != ours.shape[1]:
        changed.append(
            f"{network.FIRST} has its filters summed over {theirs.shape[1]} channels and shared out among "
            f"{ours.shape[1]}"
        )
        theirs.changes.append(partial(_shared, channels=ours.shape[1]))
        theirs.shape = tuple(ours.shape)


def _shared(weight: Tensor, *, channels: int) -> Tensor:
    """Filters for others channels, which together do what they did."""
    return (weight.sum(1, keepdim=True) / channels).expand(-1, channels, *weight.shape[2:])


def _same_kind(theirs: torch.dtype, ours: torch.dtype) -> bool:
    """Whether numbers of one type may be put in the place of another's."""
    whole = {torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8}
    return theirs.is_floating_point and ours.is_floating_point or theirs in whole and ours in whole or theirs == ours


def _word(dtype: torch.dtype) -> str:
    """The name of a type."""
    return str(dtype).removeprefix("torch.")
