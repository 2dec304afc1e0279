"""Which sample belongs to which part."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from striate.data.order import SPLIT, hashed
from striate.data.source import PARTS, Part, Source
from striate.data.wording import counted, listed


def gather(source: Source, *, otherwise: Part) -> dict[Part, list[int]]:
    """Return the samples of the parts that the source gives; all of them in `otherwise` where it gives none."""
    given = source.given or (otherwise,) * len(source.names)
    return {part: [i for i, word in enumerate(given) if word == part] for part in PARTS}


def divide(source: Source, *, seed: int) -> tuple[dict[Part, list[int]], list[str]]:
    """Return the samples of each part and sentences for the user.

    Parts that the source gives are kept. Where it gives none, or train alone, 10 % of each class goes to val and 10 %
    to test; where it gives train and test, 10 % of each class of train goes to val. Each is rounded to the nearest, but
    is at least one sample where the class has enough for every part; a smaller class stays in train.

    Args:
        source: The samples.
        seed: Chooses the samples.

    Returns:
        Indices by part, ascending, always with the three keys, and the notes.
    """
    parts = gather(source, otherwise="train")
    if parts["val"]:
        return parts, []
    carved: tuple[Part, ...] = ("val",) if parts["test"] else ("val", "test")
    rank = hashed(SPLIT, seed, np.arange(len(source.names))).tolist()
    classes: dict[str, list[int]] = {}
    for index in parts["train"]:
        classes.setdefault(source.targets[index], []).append(index)
    parts["train"] = []
    small = []
    for target, members in classes.items():
        members.sort(key=rank.__getitem__)
        if len(members) <= len(carved):
            small.append(target)
            parts["train"] += members
            continue
        tenth = max(1, (len(members) + 5) // 10)
        for part in carved:
            parts[part] += members[:tenth]
            members = members[tenth:]
        parts["train"] += members
    notes = []
    if small:
        few = counted(len(carved) + 1, "picture")
        notes.append(
            f"Fewer than {few}, so in train only: {counted(len(small), 'class', 'classes')} ({listed(small)})."
        )
    return {part: sorted(indices) for part, indices in parts.items()}, notes


def recall(source: Source, stored: Mapping[Part, Sequence[str]]) -> dict[Part, list[int]]:
    """Return the samples of each part as they were stored by name.

    Args:
        source: The samples.
        stored: Names by part.

    Returns:
        Indices by part in the stored order, always with the three keys.

    Raises:
        ValueError: If a part is unknown, a stored name is missing from the source or appears twice, the source has a
            new one, or puts one in another part itself.
    """
    unknown = [part for part in stored if part not in PARTS]
    if unknown:
        raise ValueError(f"parts must be among {', '.join(PARTS)}, got {listed(unknown)}")
    position = {name: index for index, name in enumerate(source.names)}
    names = [name for part in PARTS for name in stored.get(part, ())]
    missing = [name for name in names if name not in position]
    new = sorted(position.keys() - set(names), key=position.__getitem__)
    twice = [name for name, times in Counter(names).items() if times > 1]
    found = ((missing, "missing"), (new, "new"), (twice, "stored twice"), (_moved(source, stored), "in another part"))
    if any(some for some, _ in found):
        raise ValueError(
            "the data do not match the stored parts: "
            + "; ".join(f"{counted(len(some), 'sample')} {what} ({listed(some)})" for some, what in found if some)
        )
    return {part: [position[name] for name in stored.get(part, ())] for part in PARTS}


def _moved(source: Source, stored: Mapping[Part, Sequence[str]]) -> list[str]:
    """Return the samples that the source itself puts elsewhere; a part that it lacks was carved from train."""
    if source.given is None:
        return []
    given = dict(zip(source.names, source.given, strict=True))
    kept = set(source.given)
    return [
        name
        for part in PARTS
        for name in stored.get(part, ())
        if given.get(name, part) != part and (given[name] != "train" or part in kept)
    ]
