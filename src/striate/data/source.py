"""What the reader of a source hands over: samples with names and labels, nothing decoded."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")

PART_WORDS: dict[str, Part] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""The words, in lower case, that folders and tables may use for the parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Every sample of a source, in a fixed order.

    Args:
        names: One name a sample, unique.
        targets: The class of each sample.
        order: Every class, in the order of its label.
        given: The part of each sample where the source says so, else None.
        pictures: All pictures, `(N, C, H, W)`, where the source is an array; else None.
        paths: One path a sample where the source is made of files; else empty.
        peak: The value of full white in `pictures`.
        notes: Sentences for the user.
    """

    names: tuple[str, ...]
    targets: tuple[str, ...]
    order: tuple[str, ...]
    given: tuple[Part, ...] | None = None
    pictures: Tensor | None = None
    paths: tuple[str, ...] = ()
    peak: float = 255.0
    notes: tuple[str, ...] = ()


def class_order(targets: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct classes: integers as numbers (2 before 10), everything else by name."""
    distinct = set(targets)
    try:
        return tuple(sorted(distinct, key=lambda target: (int(target), target)))
    except ValueError:
        return tuple(sorted(distinct))
