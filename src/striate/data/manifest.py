"""What identifies a data set, and what changed between two."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from striate.data.source import PARTS
from striate.data.wording import counted, listed

if TYPE_CHECKING:
    from striate.data.dataset import Dataset

# Up to this many samples each has a digest of its own, so that a change can be told by name.
_MOST_DIGESTS = 100_000

_SETTINGS = {
    "channels": "The number of channels",
    "size": "The size",
    "peak": "The value of white",
    "known_by": "What identifies the pictures",
}


def describe(dataset: "Dataset") -> dict[str, object]:
    """Return the manifest of a data set."""
    whole = hashlib.sha256()
    digests = []
    for name, label, fingerprint in zip(
        dataset.names, dataset.labels.tolist(), dataset.store.fingerprints(), strict=True
    ):
        digest = hashlib.sha256(os.fsencode(dataset.classes[label]) + b"\0" + fingerprint)
        whole.update(os.fsencode(name) + b"\0" + digest.digest())
        digests.append(digest.hexdigest()[:16])
    manifest: dict[str, object] = {
        "source": dataset.source,
        "classes": list(dataset.classes),
        "channels": dataset.channels,
        "size": list(dataset.size),
        "peak": dataset.peak,
        "samples": len(dataset.names),
        "known_by": "contents" if dataset.in_memory else "sizes of files",
        "sha256": whole.hexdigest(),
        "parts": {part: [dataset.names[index] for index in dataset.parts[part].tolist()] for part in PARTS},
    }
    if len(digests) <= _MOST_DIGESTS:
        manifest["digests"] = {part: [digests[index] for index in dataset.parts[part].tolist()] for part in PARTS}
    return manifest


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say what changed between two manifests.

    Where the data lie does not count: a folder may be moved.

    Args:
        old: A `Dataset.manifest()`.
        new: Another; either may have been through JSON.

    Returns:
        Sentences, empty if the data are the same.

    Example:
        >>> from striate.data import load
        >>> manifest = load("digits").manifest()
        >>> changes(manifest, manifest | {"channels": 3})
        ['The number of channels was 1, is 3.']
    """
    return [*_settings(old, new), *_samples(old, new)]


def _settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    gone = [target for target in old["classes"] if target not in new["classes"]]
    added = [target for target in new["classes"] if target not in old["classes"]]
    for targets, what in ((gone, "missing"), (added, "new")):
        if targets:
            yield f"{counted(len(targets), 'class is', 'classes are')} {what}: {listed(targets)}."
    if old["classes"] != new["classes"] and not (gone or added):
        yield "The classes are in another order."
    for key, words in _SETTINGS.items():
        if old[key] != new[key]:
            yield f"{words} was {old[key]}, is {new[key]}."


def _samples(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    was_in, is_in = _parts(old), _parts(new)
    common = [name for name in was_in if name in is_in]
    gone = [name for name in was_in if name not in is_in]
    added = [name for name in is_in if name not in was_in]
    moved = [f"{name} from {was_in[name]} to {is_in[name]}" for name in common if was_in[name] != is_in[name]]
    # Other settings change every digest, which says nothing of the pictures.
    comparable = all(old[key] == new[key] for key in _SETTINGS)
    altered = []
    if comparable and "digests" in old and "digests" in new:
        was, now = _digests(old), _digests(new)
        altered = [name for name in common if was[name] != now[name]]
    for names, what in ((gone, "missing"), (added, "new"), (moved, "in another part"), (altered, "changed")):
        if names:
            yield f"{counted(len(names), 'picture is', 'pictures are')} {what}: {listed(names)}."
    if gone or added or moved or altered:
        return
    if old["parts"] != new["parts"]:
        yield "The samples are in another order."
    elif comparable and old["sha256"] != new["sha256"]:
        yield "The contents or the classes of the pictures changed."


def _parts(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {name: part for part, names in manifest["parts"].items() for name in names}


def _digests(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: digest
        for part, names in manifest["parts"].items()
        for name, digest in zip(names, manifest["digests"][part], strict=True)
    }
