"""Tensors that a file holds: their sizes first, their numbers only when they are asked for."""

import math
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch
from torch import Tensor

from striate.inspection.onnx_graph.operators.pointwise import DTYPES

_AXES = 64
# Two to a byte in the file; here each is a byte.
_HALVES = {21: torch.uint8, 22: torch.int8}
_FIELDS = {
    "float_data": {1: 1, 14: 2}, "double_data": {11: 1, 15: 2}, "int64_data": {7: 1}, "uint64_data": {12: 1, 13: 1},
    "int32_data": dict.fromkeys((2, 3, 4, 5, 6, 9, 10, 16, 17, 18, 19, 20, 21, 22), 1),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file.

    Args:
        name: of the tensor.
        shape: its sizes.
        dtype: of its numbers.
        proto: as it stands in the file.
        beside: the file that its numbers lie in, where that is another one, and from which byte on.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    proto: Any
    beside: tuple[Path, int] | None = None

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    def empty(self) -> Tensor:
        """Return a tensor of its form without numbers."""
        return torch.empty(self.shape, dtype=self.dtype, device="meta")

    def read(self) -> Tensor:
        """Return it with its numbers.

        Raises:
            ValueError: if the file that holds them is not there or too short.
        """
        import onnx

        if not self.size:
            return torch.empty(self.shape, dtype=self.dtype)
        raw = self.proto.raw_data
        if self.beside is not None:
            raw = self._raw(*self.beside)
        half = self.proto.data_type in _HALVES
        if raw and not half:
            return torch.frombuffer(bytearray(raw), dtype=self.dtype).reshape(self.shape)
        proto = onnx.TensorProto(dims=self.shape, data_type=self.proto.data_type, raw_data=raw) if raw else self.proto
        array = onnx.numpy_helper.to_array(proto)
        if half:
            array = array.astype("int8" if self.dtype == torch.int8 else "uint8")
        elif self.dtype == torch.bfloat16 or self.dtype.itemsize == 1 and self.dtype.is_floating_point:
            whole = torch.from_numpy(array.view("int16" if self.dtype == torch.bfloat16 else "uint8").copy())
            return whole.view(self.dtype).reshape(self.shape)
        return torch.from_numpy(array.copy())

    def _raw(self, file: Path, offset: int) -> bytes:
        length = _nbytes(self.size, self.proto.data_type, self.dtype)
        try:
            with file.open("rb") as opened:
                opened.seek(offset)
                raw = opened.read(length)
        except OSError as error:
            raise ValueError(f"the numbers of {self.name!r} cannot be read: {file}: {error.strerror}") from error
        if len(raw) != length:
            raise ValueError(f"the numbers of {self.name!r} end early: {file} holds {len(raw)} of {length} bytes")
        return raw


def _nbytes(size: int, number: int, dtype: torch.dtype) -> int:
    return -(-size // 2) if number in _HALVES else size * dtype.itemsize


def stored(proto: Any, name: str, folder: Path, largest: int) -> Stored:
    """Check a tensor of a file.

    Args:
        proto: the tensor.
        name: what it is called.
        folder: the file's, the only one that its numbers may lie in.
        largest: how many numbers it may have.

    Returns:
        The tensor; none of its numbers is read.

    Raises:
        ValueError: if its sizes, its dtype or the place of its numbers are refused.
    """
    shape = tuple(proto.dims)
    dtype = DTYPES.get(proto.data_type, _HALVES.get(proto.data_type))
    if dtype is None:
        raise ValueError(f"the tensor {name!r} has the data type {proto.data_type} of ONNX, which PyTorch has not")
    if len(shape) > _AXES:
        raise ValueError(f"the tensor {name!r} is declared with {len(shape)} axes: at most {_AXES} are allowed")
    if any(n < 0 for n in shape) or math.prod(shape) > largest:
        raise ValueError(f"the tensor {name!r} is declared with sizes {shape}: at most {largest} numbers are allowed")
    size = math.prod(shape)
    length = _nbytes(size, proto.data_type, dtype)
    if proto.data_location == 1:
        return Stored(name, shape, dtype, proto, _beside(proto, name, folder, length))
    if proto.HasField("raw_data"):
        held, wished, unit = len(proto.raw_data), length, "bytes"
    else:
        held, each = _listed(proto)
        wished, unit = size * each, "numbers"
    if held != wished and not (proto.data_type in _HALVES and unit == "numbers" and held == length):
        raise ValueError(f"the tensor {name!r} is declared with sizes {shape}, {wished} {unit}, and holds {held}")
    return Stored(name, shape, dtype, proto)


def _listed(proto: Any) -> tuple[int, int]:
    """How many numbers a tensor lists, and how many make one of its own."""
    for field, kinds in _FIELDS.items():
        if proto.data_type in kinds:
            return len(getattr(proto, field)), kinds[proto.data_type]
    return 0, 1


def _beside(proto: Any, name: str, folder: Path, length: int) -> tuple[Path, int]:
    """The file with a tensor's numbers, and where in it they begin.

    Raises:
        ValueError: if it lies outside of the folder, or does not hold them.
    """
    entries = {entry.key: entry.value for entry in proto.external_data}
    location = entries.get("location", "")
    parts: Sequence[str] = PurePosixPath(location.replace("\\", "/")).parts
    strange = "\0" in location or PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive
    if not parts or strange or parts[0] in ("/", "\\") or ".." in parts:
        raise ValueError(f"the numbers of {name!r} lie in {location!r}: only files in the folder are read")
    try:
        offset, given = int(entries.get("offset", 0)), int(entries.get("length", length))
    except ValueError:
        raise ValueError(f"the numbers of {name!r}: offset and length must be numbers") from None
    if offset < 0 or given != length:
        raise ValueError(f"the numbers of {name!r}: {given} bytes from {offset} on, {length} are needed")
    file = folder / location
    try:
        inside = file.resolve().is_relative_to(folder.resolve())
        status = file.stat() if inside and file.exists() else None
    except (OSError, RuntimeError) as error:
        raise ValueError(f"the numbers of {name!r} lie in {location[:100]!r}, which cannot be found") from error
    if not inside:
        raise ValueError(f"the numbers of {name!r} lie in {location!r}, a link that leaves the folder")
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise ValueError(f"the numbers of {name!r} lie in {location!r}, which is no file")
    if status is not None and status.st_size < offset + length:
        raise ValueError(f"the numbers of {name!r} end after the end of {location!r}")
    return file, offset
