"""Where pictures are kept: all in one tensor, or in files that are decoded when they are read."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from striate.data.decode import Header, decode, read_header
from striate.data.resample import conform, resample

_T = TypeVar("_T")
_CHUNK = 64


class Store(Protocol):
    """Pictures by index."""

    def read(self, samples: Tensor) -> Tensor:
        """Return the pictures, `(B, C, H, W)`."""

    def fingerprints(self) -> Iterator[bytes]:
        """Yield bytes that tell whether a picture changed, for each in turn."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Memory:
    """Pictures in one tensor; those held at a size of their own are resampled when they are read."""

    pictures: Tensor
    size: tuple[int, int]

    def read(self, samples: Tensor) -> Tensor:
        """Return the pictures, `(B, C, H, W)`."""
        return resample(self.pictures.index_select(0, samples), self.size)

    def fingerprints(self) -> Iterator[bytes]:
        """Yield a digest of the values of each picture."""
        for picture in self.pictures.numpy():
            yield hashlib.sha256(picture).digest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Files:
    """Pictures in files.

    Args:
        paths: One path a sample.
        channels: 1 or 3.
        peak: 255, or 65535 if one of the files has 16 bits: then all are on that scale.
        size: (height, width) to resample to.
    """

    paths: tuple[str, ...]
    channels: int
    peak: float
    size: tuple[int, int]

    def read(self, samples: Tensor) -> Tensor:
        """Return the pictures, `(B, C, H, W)`."""
        return torch.stack([self._picture(index) for index in samples.tolist()])

    def held(self) -> Memory:
        """Return all pictures in memory."""
        dtype = torch.uint8 if self.peak == 255 else torch.int32
        pictures = torch.empty((len(self.paths), self.channels, *self.size), dtype=dtype)

        def fill(index: int) -> None:
            pictures[index] = self._picture(index)

        _threaded(fill, len(self.paths))
        return Memory(pictures=pictures, size=self.size)

    def fingerprints(self) -> Iterator[bytes]:
        """Yield the size of each file in bytes."""
        for path in self.paths:
            yield b"%d" % os.stat(path).st_size

    def _picture(self, index: int) -> Tensor:
        picture = decode(self.paths[index])
        return conform(picture, channels=self.channels, peak=self.peak, size=self.size)


def read_headers(paths: tuple[str, ...]) -> list[Header]:
    """Return the header of each file."""
    return _threaded(lambda index: read_header(paths[index]), len(paths))


def _threaded(work: Callable[[int], _T], count: int) -> list[_T]:
    """Return the results of `work` for each index, computed by a few threads (Pillow lets go of Python's lock)."""

    def chunk(start: int) -> list[_T]:
        return [work(index) for index in range(start, min(start + _CHUNK, count))]

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return [result for results in pool.map(chunk, range(0, count, _CHUNK)) for result in results]
