"""What every file of weights offers, and the limits that hold for all of them."""

import math
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as brief
from types import MappingProxyType
from typing import Any, BinaryIO, ClassVar, Self

import torch
from torch import Tensor

# Above the tensors of any convolutional network, below what would fill the memory by names alone.
MAX_TENSORS = 65_536
MAX_AXES = 8
MAX_NAME = 1024
# No file is so large, and products of sizes stay in 64 bits.
_MAX_NUMBERS = 2**48


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor of a file, known before it is read.

    Args:
        shape: its sizes.
        dtype: its type.

    Example:
        >>> Entry((2, 3), torch.float32).nbytes
        24
    """

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Bytes that the tensor takes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


class WeightFile(ABC):
    """A file of weights: names, sizes and types at once, tensors one at a time.

    Args:
        path: the file.
        opened: the same file, opened; it stays open until `close`.

    Example:
        >>> WeightFile.kind
        'weights'
    """

    kind: ClassVar[str] = "weights"

    def __init__(self, path: Path, opened: BinaryIO) -> None:
        self.path = path
        self._opened = opened
        self._stamp = _stamp(os.fstat(opened.fileno()))
        self._entries: dict[str, Entry] = {}
        self._metadata: dict[str, Any] = {}

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every tensor by its name, in the order of the file."""
        return MappingProxyType(self._entries)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What else the file says: a safetensors file's text, a checkpoint's plain values, a Caffe network's layers."""
        return MappingProxyType(self._metadata)

    def read(self, name: str) -> Tensor:
        """Read one tensor.

        Args:
            name: one of `entries`.

        Returns:
            The tensor, on the CPU. It may be a view of the file: copy what is to outlive the file.

        Raises:
            ValueError: if there is no such tensor, the file is closed, was changed since it was opened, or cannot be
                read.
        """
        if name not in self._entries:
            raise ValueError(f"{self.path}: there is no tensor named {name!r}")
        if self._opened.closed:
            raise ValueError(f"{self.path}: the file is closed")
        entry = self._entries[name]
        try:
            if _stamp(os.stat(self.path)) != self._stamp:
                raise ValueError("the file was changed since it was opened")
            tensor = self._read(name)
            found = Entry(tuple(tensor.shape), tensor.dtype)
            if found != entry:
                raise ValueError(f"{entry} was announced, {found} came")
        except (ValueError, OSError) as error:
            raise ValueError(f"{self.path}: {name} cannot be read: {shortened(error)}") from error
        return tensor

    def close(self) -> None:
        """Close the file; tensors that were read stay."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _read(self, name: str) -> Tensor:
        """A tensor that there is."""

    def _announce(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """Take up a tensor, within the limits.

        Raises:
            ValueError: if the name came before, is too long or no text, the shape is none, or there are too many.
        """
        name.encode()
        if not 0 < len(name) <= MAX_NAME:
            raise ValueError(f"a name of a tensor has {len(name)} letters: expected 1 to {MAX_NAME}")
        if name in self._entries:
            raise ValueError(f"the name {name!r} comes twice")
        if len(self._entries) >= MAX_TENSORS:
            raise ValueError(f"more than {MAX_TENSORS:,} tensors")
        checked_shape(shape, name)
        self._entries[name] = Entry(shape, dtype)


def checked_shape(shape: tuple[int, ...], name: str) -> None:
    """Refuse what is no shape of a tensor of weights.

    Raises:
        ValueError: if there are too many axes, or a size is no integer from 0 on or past any file.
    """
    if len(shape) > MAX_AXES:
        raise ValueError(f"{name} has {len(shape)} axes: expected at most {MAX_AXES}")
    # `True` is an int to Python.
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"{name} has the shape {brief(list(shape))}: expected integers from 0 on")
    if math.prod(max(size, 1) for size in shape) >= _MAX_NUMBERS:
        raise ValueError(f"{name} has the shape {brief(list(shape))}, which no file can hold")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, or a link to one.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is a folder, a pipe, a socket or a device.
        OSError: if it may not be read.
    """
    try:
        # A pipe without a writer would block for ever.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {path}") from error
    except OSError as error:
        if os.path.lexists(path) and not path.is_file():
            raise ValueError("not a regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise ValueError("not a regular file")
    return os.fdopen(number, "rb")


def shortened(error: Exception) -> str:
    """What an error says, which may quote the file, in a few lines at most."""
    text = str(error)
    return text if len(text) <= 600 else f"{text[:600]}..."


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is written or replaced."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
