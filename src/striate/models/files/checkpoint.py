"""PyTorch checkpoints: the archive that `torch.save` writes, and the row of pickles that it wrote before 1.6."""

import io
import os
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor
from typing_extensions import override

from striate.models.files.archive import MAX_PICKLE, read_archive
from striate.models.files.pickled import PickleReader, Storage, StoredTensor
from striate.models.files.weight_file import WeightFile

# Where training scripts put the weights, the outermost first.
_PLACES = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params")
_MAX_DEPTH = 4
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


class CheckpointFile(WeightFile):
    """A checkpoint: its pickle is checked word by word, then torch reads it with `weights_only=True`.

    An archive is mapped, and a tensor takes memory when its numbers are looked at; the older row is read whole at the
    first `read`.
    """

    kind = "checkpoint"

    def __init__(self, path: Path, opened: BinaryIO) -> None:
        super().__init__(path, opened)
        start = opened.read(4)
        opened.seek(0)
        self._is_archive = start == b"PK\x03\x04"
        if not self._is_archive and start[:2] != b"\x80\x02":
            raise ValueError("it is no PyTorch checkpoint, or one of before 2017, in a tar archive")
        root = _read_archive(opened) if self._is_archive else _read_row(opened)
        self._place, tensors, self._metadata = _find_tensors(root)
        for name, tensor in tensors.items():
            self._announce(name, tensor.entry.shape, tensor.entry.dtype)
        self._tensors: dict[str, Tensor] | None = None

    @override
    def _read(self, name: str) -> Tensor:
        if self._tensors is None:
            try:
                root: Any = torch.load(self.path, map_location="cpu", weights_only=True, mmap=self._is_archive)
                for step in self._place:
                    root = root[step]
                self._tensors = {name: root[name] for name in self._entries}
            except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, EOFError) as error:
                raise ValueError(str(error)) from error
        return self._tensors[name].detach()

    @override
    def close(self) -> None:
        self._tensors = None
        super().close()


def _read_archive(opened: BinaryIO) -> Any:
    """What an archive's pickle holds.

    Raises:
        ValueError: if it does not fit the storages.
    """
    archive, reader = read_archive(opened), PickleReader()
    root = reader.read(io.BytesIO(archive.pickle))
    for key, storage in reader.storages.items():
        size = archive.storages.get(key)
        if size != _bytes(storage):
            there = "is not there" if size is None else f"has {size:,} bytes"
            raise ValueError(f"the storage {key!r} {there}: its tensors need {_bytes(storage):,}")
    return root


def _read_row(opened: BinaryIO) -> Any:
    """What the fourth of five pickles holds: magic number, version, system, content, and the order of the storages.

    Raises:
        ValueError: if they do not fit the storages behind them.
    """
    size = os.fstat(opened.fileno()).st_size
    head, reader = io.BytesIO(opened.read(MAX_PICKLE)), PickleReader()
    if (reader.read(head), reader.read(head)) != (_MAGIC, _VERSION):
        raise ValueError("it is a pickle and no PyTorch checkpoint")
    system = reader.read(head)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("it was written on a big-endian machine: save it anew")
    root, order = reader.read(head), reader.read(head)
    if not isinstance(order, list) or sorted(map(str, order)) != sorted(reader.storages):
        raise ValueError("the storages that follow are not those that the tensors need")
    place = head.tell()
    for key in order:
        storage = reader.storages[str(key)]
        opened.seek(place)
        if int.from_bytes(opened.read(8), "little") != storage.numbers:
            raise ValueError(f"the storage {key!r} does not hold the {storage.numbers:,} numbers that its tensors need")
        place += 8 + _bytes(storage)
    if place != size:
        raise ValueError(f"its storages end at {place:,} and the file at {size:,}: it is truncated, or more follows")
    return root


def _bytes(storage: Storage) -> int:
    """Bytes of a storage in the file."""
    return storage.numbers * storage.dtype.itemsize


def _find_tensors(root: Any) -> tuple[list[str], dict[str, StoredTensor], dict[str, Any]]:
    """Where the tensors are, the tensors, and the plain values met on the way.

    Raises:
        ValueError: if there are none, or not under names.
    """
    place: list[str] = []
    plain: dict[str, Any] = {}
    while isinstance(root, dict) and len(place) < _MAX_DEPTH:
        plain |= {name: value for name, value in root.items() if isinstance(name, str) and _is_plain(value)}
        inner = next((name for name in _PLACES if isinstance(root.get(name), dict)), None)
        if inner is None:
            break
        place.append(inner)
        root = root[inner]
    if not isinstance(root, dict):
        raise ValueError(f"the checkpoint holds a {type(root).__name__}: expected tensors by name")
    tensors = {name: value for name, value in root.items() if isinstance(value, StoredTensor)}
    if not tensors:
        found = ", ".join(repr(name) for name in list(root)[:8]) or "nothing"
        raise ValueError(f"there are no tensors by name; the checkpoint holds {found}")
    if any(not isinstance(name, str) for name in tensors):
        raise ValueError("there are tensors under numbers: expected names")
    return place, tensors, plain


def _is_plain(value: Any) -> bool:
    """Whether a value is text or a number."""
    return isinstance(value, str | int | float | bool)
