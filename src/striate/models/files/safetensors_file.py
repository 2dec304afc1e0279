"""safetensors: one file, or an index of shards."""

import json
import math
import os
from collections import Counter
from pathlib import Path
from reprlib import repr as brief
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from typing_extensions import override

from striate.models.files.weight_file import MAX_TENSORS, Entry, WeightFile, checked_shape, open_regular

_MAX_HEADER = 16 * 2**20
# Brackets and commas: each is at most one more object in memory.
_MAX_PARTS = 2**20
_MAX_SHARDS = 256

_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "U16": torch.uint16,
    "I16": torch.int16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "C64": torch.complex64,
}


class SafetensorsFile(WeightFile):
    """One file: eight bytes of the header's length, the header as JSON, the tensors without a gap."""

    kind = "safetensors"

    def __init__(self, path: Path, opened: BinaryIO) -> None:
        super().__init__(path, opened)
        self._library: Any = None
        size = os.fstat(opened.fileno()).st_size
        if size < 8:
            raise ValueError(f"{size} bytes are no safetensors file")
        length = int.from_bytes(opened.read(8), "little")
        if length > _MAX_HEADER:
            raise ValueError(f"its header claims {length:,} bytes: expected at most {_MAX_HEADER:,}")
        if length > size - 8:
            raise ValueError(
                f"its header claims {length:,} bytes, and {size - 8:,} follow: it is truncated, or not one"
            )
        text = opened.read(length)
        if not text.startswith(b"{"):
            raise ValueError("its header is no JSON object: it is damaged, or no safetensors file")
        header = _object(text, "the header")
        texts = header.pop("__metadata__", {})
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise ValueError("__metadata__ must hold text by name")
        self._metadata = texts
        if len(header) > MAX_TENSORS:
            raise ValueError(f"{len(header):,} tensors: expected at most {MAX_TENSORS:,}")
        places = []
        for name, about in header.items():
            shape, dtype, begin, end = _tensor(name, about)
            self._announce(name, shape, dtype)
            places.append((begin, end, name))
        _check_places(places, size - 8 - length)

    @override
    def _read(self, name: str) -> Tensor:
        try:
            if self._library is None:
                self._library = safe_open(self.path, framework="pt")
            tensor: Tensor = self._library.get_tensor(name)
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        return tensor

    @override
    def close(self) -> None:
        self._library = None
        super().close()


class ShardedFile(WeightFile):
    """An index of safetensors files in its own folder: `weight_map` says which of them holds a tensor."""

    kind = "safetensors"

    def __init__(self, path: Path, opened: BinaryIO) -> None:
        super().__init__(path, opened)
        self._shards: dict[str, SafetensorsFile] = {}
        if os.fstat(opened.fileno()).st_size > _MAX_HEADER:
            raise ValueError(f"the index is larger than {_MAX_HEADER:,} bytes")
        index = _object(opened.read(_MAX_HEADER), "the index")
        placed = index.get("weight_map")
        if not isinstance(placed, dict) or not all(isinstance(shard, str) for shard in placed.values()):
            raise ValueError("the index must have a weight_map of names of tensors to names of files")
        self._placed = placed
        if isinstance(index.get("metadata"), dict):
            self._metadata = index["metadata"]
        names = sorted(set(placed.values()))
        if len(names) > _MAX_SHARDS:
            raise ValueError(f"{len(names):,} shards: expected at most {_MAX_SHARDS}")
        try:
            for shard in names:
                self._open_shard(shard)
            self._check_index()
        except BaseException:
            self.close()
            raise

    def _open_shard(self, name: str) -> None:
        """Open a shard and take up its tensors.

        Raises:
            ValueError: if it does not lie beside the index, or cannot be read.
        """
        if not name.endswith(".safetensors") or any(letter in name for letter in "/\\\0:"):
            raise ValueError(f"the shard {name!r} is no name of a safetensors file in the same folder")
        file = self.path.parent / name
        try:
            opened = open_regular(file)
            try:
                self._shards[name] = SafetensorsFile(file, opened)
            except BaseException:
                opened.close()
                raise
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f"the shard {name!r}: {error}") from error
        for tensor, entry in self._shards[name].entries.items():
            if self._placed.get(tensor) != name:
                raise ValueError(f"the shard {name!r} holds {tensor!r}, which the index does not place there")
            self._announce(tensor, entry.shape, entry.dtype)

    def _check_index(self) -> None:
        """Refuse an index that places tensors where they are not.

        Raises:
            ValueError: if it does.
        """
        lost = next((name for name in self._placed if name not in self._entries), None)
        if lost is not None:
            raise ValueError(f"the index places {lost!r} in {self._placed[lost]!r}, which lacks it")

    @override
    def _read(self, name: str) -> Tensor:
        return self._shards[self._placed[name]].read(name)

    @override
    def close(self) -> None:
        for shard in self._shards.values():
            shard.close()
        super().close()


def _object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object whose parts can be counted.

    Raises:
        ValueError: if it is none, has a name twice, or too many parts.
    """
    parts = sum(map(data.count, (b"{", b"[", b",")))
    if parts > _MAX_PARTS:
        raise ValueError(f"{what} has {parts:,} parts: expected at most {_MAX_PARTS:,}, of {MAX_TENSORS:,} tensors")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError(f"{what} is nested without end") from error
    except ValueError as error:
        raise ValueError(f"{what} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON.

    Raises:
        ValueError: if a name comes twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        [(name, times)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {name!r} comes {times} times")
    return found


def _no_number(text: str) -> None:
    """Refuse what JSON does not know.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{text} is no number")


def _tensor(name: str, about: Any) -> tuple[tuple[int, ...], torch.dtype, int, int]:
    """Shape, type and place of a tensor.

    Raises:
        ValueError: if they do not fit one another.
    """
    if not isinstance(about, dict) or about.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name} must have dtype, shape and data_offsets")
    word, sizes, offsets = about["dtype"], about["shape"], about["data_offsets"]
    if not isinstance(word, str) or word not in _DTYPES:
        raise ValueError(f"{name} has the dtype {brief(word)}: expected one of {', '.join(_DTYPES)}")
    if not isinstance(sizes, list):
        raise ValueError(f"{name} has the shape {brief(sizes)}: expected a list")
    checked_shape(tuple(sizes), name)
    if not isinstance(offsets, list) or len(offsets) != 2 or any(type(n) is not int or n < 0 for n in offsets):
        raise ValueError(f"{name} has the data_offsets {brief(offsets)}: expected two integers from 0 on")
    entry, (begin, end) = Entry(tuple(sizes), _DTYPES[word]), offsets
    if end - begin != entry.nbytes:
        raise ValueError(
            f"{name} lies in {end - begin:,} bytes: {word} of the shape {sizes} takes {math.prod(sizes):,} numbers, "
            f"{entry.nbytes:,} bytes"
        )
    return entry.shape, entry.dtype, begin, end


def _check_places(places: list[tuple[int, int, str]], size: int) -> None:
    """Refuse tensors that overlap, leave a gap, or do not end with the file.

    Raises:
        ValueError: if they do.
    """
    place, before = 0, "the header"
    for begin, end, name in sorted(places):
        if begin != place:
            fault = "overlaps" if begin < place else "leaves a gap after"
            raise ValueError(f"{name} begins at {begin:,} and {fault} {before}, which ends at {place:,}")
        place, before = end, name
    if place != size:
        raise ValueError(f"its tensors end at {place:,} and the file at {size:,}: it is truncated, or more follows")
