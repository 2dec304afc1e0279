"""The wire format of protocol buffers: fields by number, one after another, walked without a schema's code.

A message is looked into only where the reader asks for it, so that nesting costs nothing: what is unknown is stepped
over by its length.

Source: Protocol Buffers documentation, "Encoding".
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_MAX_FIELDS = 2**18
_CHUNK = 2**20
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTH = {FIXED64: 8, FIXED32: 4}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message.

    Args:
        number: of the field.
        wire: how it is written: `VARINT`, `FIXED64`, `BYTES` or `FIXED32`.
        value: of a varint.
        begin: where its content begins in the file.
        end: where it ends.
    """

    number: int
    wire: int
    value: int
    begin: int
    end: int

    @property
    def signed(self) -> int:
        """The value of a varint as an int64."""
        return self.value - 2**64 if self.value >= 2**63 else self.value


@dataclass(frozen=True, slots=True)
class Run:
    """Numbers of a fixed width in the file, each behind a tag of one byte if they are not packed.

    Args:
        begin: where the first begins, its tag included.
        count: how many.
        tagged: whether each has its tag.
    """

    begin: int
    count: int
    tagged: bool


class Wire:
    """Walks the fields of a file.

    Args:
        opened: the file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryFile() as file:
        ...     _ = file.write(bytes([8, 5]))
        ...     [field] = Wire(file).fields()
        >>> field.number, field.value
        (1, 5)
    """

    def __init__(self, opened: BinaryIO) -> None:
        opened.seek(0, os.SEEK_END)
        self.size = opened.tell()
        self._opened = opened
        self._fields = 0

    def fields(self, message: Field | None = None) -> Iterator[Field]:
        """The fields of a message, or of the file.

        Args:
            message: a field of bytes.

        Yields:
            Each field, in the order of the file.

        Raises:
            ValueError: if a field does not fit its message, or there are too many.
        """
        place, end = (0, self.size) if message is None else (message.begin, message.end)
        while place < end:
            field = self.field(place, end)
            yield field
            place = field.end

    def field(self, place: int, end: int) -> Field:
        """The field at a place.

        Args:
            place: where its tag begins.
            end: where its message ends.

        Returns:
            The field; what follows begins at its end.

        Raises:
            ValueError: if there is none.
        """
        self._fields += 1
        if self._fields > _MAX_FIELDS:
            raise ValueError(f"more than {_MAX_FIELDS:,} fields")
        tag, begin = self._varint(place, end)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise ValueError(f"there is no field {number} at byte {place:,}: it is damaged, or no caffemodel")
        value, stop = 0, begin
        if wire == VARINT:
            value, stop = self._varint(begin, end)
        elif wire == BYTES:
            length, begin = self._varint(begin, end)
            stop = begin + length
        elif wire in _WIDTH:
            stop = begin + _WIDTH[wire]
        else:
            raise ValueError(
                f"field {number} at byte {place:,} is a group or of no known kind, which Caffe does not write"
            )
        if stop > end:
            raise ValueError(f"field {number} at byte {place:,} claims {stop - begin:,} bytes of {end - begin:,}")
        return Field(number, wire, value, begin, stop)

    def _varint(self, place: int, end: int) -> tuple[int, int]:
        """An integer of one to ten bytes, and where it ends.

        Raises:
            ValueError: if it does not end, or is too large.
        """
        self._opened.seek(place)
        value = 0
        for index, byte in enumerate(self._opened.read(min(10, end - place))):
            value |= (byte & 127) << 7 * index
            if byte < 128 and value < 2**64:
                return value, place + index + 1
        raise ValueError(f"the integer at byte {place:,} does not end within its message")

    def bytes_of(self, field: Field, limit: int) -> bytes:
        """The content of a field of bytes.

        Raises:
            ValueError: if it is of another kind, or longer than a limit.
        """
        length = field.end - field.begin
        if field.wire != BYTES or length > limit:
            raise ValueError(
                f"field {field.number} at byte {field.begin:,} must be at most {limit:,} bytes, has {length:,}"
            )
        self._opened.seek(field.begin)
        return self._opened.read(length)

    def integers(self, field: Field, limit: int) -> list[int]:
        """The integers of a field, packed or not.

        Raises:
            ValueError: if it is of another kind, or has more than a limit.
        """
        if field.wire == VARINT:
            return [field.signed]
        found: list[int] = []
        place = field.begin
        while field.wire == BYTES and place < field.end and len(found) < limit:
            value, place = self._varint(place, field.end)
            found.append(value - 2**64 if value >= 2**63 else value)
        if field.wire != BYTES or place < field.end:
            raise ValueError(f"field {field.number} at byte {field.begin:,} must hold at most {limit} integers")
        return found

    def floats(self, field: Field, limit: int) -> list[float]:
        """The float32 numbers of a field, packed or not.

        Raises:
            ValueError: if it is of another kind, or has more than a limit.
        """
        length = field.end - field.begin
        if field.wire not in (FIXED32, BYTES) or length % 4 or length > 4 * limit:
            raise ValueError(f"field {field.number} at byte {field.begin:,} must hold at most {limit} numbers")
        self._opened.seek(field.begin)
        return list(struct.unpack(f"<{length // 4}f", self._opened.read(length)))

    def run(self, field: Field, width: int, end: int) -> tuple[Run, int]:
        """The numbers of a field of a width, with those that follow under the same tag if they are not packed.

        Args:
            field: the first.
            width: bytes of a number.
            end: where the message ends.

        Returns:
            The run, and where it ends.

        Raises:
            ValueError: if the field does not hold such numbers.
        """
        length = field.end - field.begin
        if field.wire == BYTES and length % width == 0:
            return Run(field.begin, length // width, False), field.end
        if _WIDTH.get(field.wire) != width or field.number > 15:
            raise ValueError(f"field {field.number} at byte {field.begin:,} does not hold numbers of {width} bytes")
        begin, period, tag = field.begin - 1, width + 1, field.number << 3 | field.wire
        place, chunk = field.end, 2**8
        while place + period <= end:
            self._opened.seek(place)
            # Twice as much each time: runs of one number, many of them, cost no more than their numbers.
            chunk = min(2 * chunk, _CHUNK)
            data = self._opened.read(min(chunk, end - place) // period * period)
            other = np.frombuffer(data, np.uint8)[::period] != tag
            same = int(other.argmax()) if other.any() else len(other)
            place += same * period
            if same < len(other) or not same:
                break
        return Run(begin, (place - begin) // period, True), place

    def numbers(self, run: Run, into: NDArray[np.floating[Any]]) -> None:
        """Read the numbers of a run.

        Args:
            run: where they lie.
            into: what they are written to, as many.

        Raises:
            ValueError: if the file ends before they do.
        """
        width, place, done = into.itemsize, run.begin, 0
        period = width + run.tagged
        self._opened.seek(place)
        while done < run.count:
            some = min(_CHUNK // period, run.count - done)
            data = np.frombuffer(self._opened.read(some * period), np.uint8)
            if data.size != some * period:
                raise ValueError("the file has become shorter")
            rows = np.ascontiguousarray(data.reshape(some, period)[:, period - width :])
            into[done : done + some] = rows.view(into.dtype.newbyteorder("<"))[:, 0]
            done += some
