"""A folder with one sub-folder a class, or train, val and test folders of such."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from striate.data.decode import ENDINGS
from striate.data.source import PART_WORDS, PARTS, Part, Source
from striate.data.wording import counted, listed


@dataclass(slots=True)
class _Found:
    """What a walk over the folders collects, as paths relative to the root."""

    names: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    given: list[Part] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def read_folder(root: Path) -> Source:
    """Return the pictures below a folder, each of the class whose folder it is in.

    Pictures are told by their endings, at any depth below the folder of their class, links followed (a link back to a
    folder above is not). Names that begin with a dot are hidden and skipped. Where a folder `train` with sub-folders
    stands alone or beside `val` (`valid`, `validation`) or `test`, in any case of letters, these are the parts.

    Args:
        root: The folder.

    Returns:
        The samples, sorted by part, class and name; names are paths relative to `root` with forward slashes.

    Raises:
        ValueError: If there are no pictures in folders of classes, or two folders for the same part.
    """
    folders, pictures, hidden, others = _entries(root)
    parts = _part_folders(root, folders)
    found = _Found(hidden=hidden, others=others, unlabelled=pictures)
    for part, folder in parts.items():
        below, pictures, hidden, others = _entries(root / folder)
        for kept, more in ((found.unlabelled, pictures), (found.hidden, hidden), (found.others, others)):
            kept.extend(f"{folder}/{name}" for name in more)
        for name in below:
            _read_class(root, f"{folder}/{name}", name, part, found)
    if not parts:
        for name in folders:
            _read_class(root, name, name, None, found)
    if not found.names:
        if found.unlabelled:
            raise ValueError(
                f"{root} holds pictures ({listed(found.unlabelled, limit=1)}) but no folders of classes: expected one "
                f"sub-folder a class, as in {root}/cats/1.png"
            )
        raise ValueError(f"{root} holds no pictures: expected one sub-folder a class, with files such as cats/1.png")
    ignored = [name for name in folders if parts and name not in parts.values()]
    return Source(
        names=tuple(found.names),
        targets=tuple(found.targets),
        order=tuple(sorted(set(found.targets))),
        given=tuple(found.given) or None,
        paths=tuple(os.path.join(root, name) for name in found.names),
        notes=tuple(_notes(found, ignored)),
    )


def _entries(folder: Path) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the names of sub-folders, pictures, hidden entries and other files, each sorted."""
    folders: list[str] = []
    pictures: list[str] = []
    hidden: list[str] = []
    others: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                hidden.append(entry.name)
            # Unlike `entry.is_dir()`, this takes a link that leads to itself.
            elif os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                folders.append(entry.name)
            elif os.path.splitext(entry.name)[1].lower() in ENDINGS:
                pictures.append(entry.name)
            else:
                others.append(entry.name)
    return sorted(folders), sorted(pictures), sorted(hidden), sorted(others)


# The folder of each part; none where the folders are classes.
def _part_folders(root: Path, folders: list[str]) -> dict[Part, str]:
    words: dict[Part, list[str]] = {}
    for folder in folders:
        if folder.lower() in PART_WORDS:
            words.setdefault(PART_WORDS[folder.lower()], []).append(folder)
    # A class may be called train: it has pictures, not folders, or other classes and no other part beside it.
    alone = len(folders) == 1 or len(words) > 1
    if "train" not in words or not alone or not _entries(root / words["train"][0])[0]:
        return {}
    for part, names in words.items():
        if len(names) > 1:
            raise ValueError(f"{root} has {len(names)} folders for the part {part}: {listed(names)}")
    return {part: words[part][0] for part in PARTS if part in words}


def _read_class(root: Path, folder: str, target: str, part: Part | None, found: _Found) -> None:
    """Add the pictures of one class folder."""
    above = {os.path.realpath(parent) for parent in (root / folder).absolute().parents}
    names = sorted(_walk(root, folder, above, found))
    if not names:
        found.empty.append(folder)
    found.names += names
    found.targets += [target] * len(names)
    if part is not None:
        found.given += [part] * len(names)


def _walk(root: Path, folder: str, seen: set[str], found: _Found) -> Iterator[str]:
    """Yield the pictures at any depth, each folder once whatever the links."""
    real = os.path.realpath(root / folder)
    if real in seen:
        return
    seen.add(real)
    folders, pictures, hidden, others = _entries(root / folder)
    found.hidden.extend(f"{folder}/{name}" for name in hidden)
    found.others.extend(f"{folder}/{name}" for name in others)
    yield from (f"{folder}/{name}" for name in pictures)
    for name in folders:
        yield from _walk(root, f"{folder}/{name}", seen, found)


def _notes(found: _Found, ignored: list[str]) -> Iterator[str]:
    for names, why in (
        (found.hidden, "hidden"),
        (found.empty, "folders of classes without a picture"),
        (found.unlabelled, "pictures in no folder of a class"),
        (found.others, "no pictures, by their endings"),
        (ignored, "folders that are neither train, val nor test"),
    ):
        if names:
            yield f"{counted(len(names), 'entry', 'entries')} skipped ({why}): {listed(names)}."
