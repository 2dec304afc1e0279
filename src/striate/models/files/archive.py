"""The archive that a PyTorch checkpoint is: stored records, listed at the end."""

import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from striate.models.files.weight_file import MAX_TENSORS

_MAX_LIST = 8 * 2**20
MAX_PICKLE = 8 * 2**20
_MAX_SMALL = 2**16

_LOCAL_HEADER = 30
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")


@dataclass(frozen=True, slots=True)
class Archive:
    """What an archive holds.

    Args:
        pickle: the bytes of `data.pkl`.
        storages: bytes of each storage, by its key.
    """

    pickle: bytes
    storages: Mapping[str, int]


def read_archive(opened: BinaryIO) -> Archive:
    """List an archive and read its pickle, in bounded memory.

    Raises:
        ValueError: if it is damaged, packed, past the limits, or not what `torch.save` writes.
    """
    size = os.fstat(opened.fileno()).st_size
    begin, count = _check_end(opened, size)
    try:
        with zipfile.ZipFile(opened) as archive:
            records = archive.infolist()
            if len(records) != count:
                raise ValueError(f"the archive lists {len(records):,} records and counts {count:,}")
            top = _check_records(records, begin)
            pickle = archive.read(f"{top}data.pkl")
    # Besides its own error, the module lets through those of the numbers and text that it meets.
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, struct.error, OverflowError) as error:
        raise ValueError(f"the archive is damaged: {error}") from error
    storages = f"{top}data/"
    return Archive(
        pickle,
        {
            record.filename.removeprefix(storages): record.file_size
            for record in records
            if record.filename.startswith(storages)
        },
    )


def _check_end(opened: BinaryIO, size: int) -> tuple[int, int]:
    """Where the list of an archive begins and how many records it has; its end must be as `torch.save` writes it.

    Readers differ in what else they take for an end, and would see another file than the one that was checked.

    Raises:
        ValueError: if it is not.
    """
    if size < _END.size:
        raise ValueError("the archive is truncated")
    end = size - _END.size
    opened.seek(end)
    mark, disk, first, here, count, length, begin, comment = _END.unpack(opened.read(_END.size))
    if mark != b"PK\5\6":
        raise ValueError("the archive is truncated, or has something after its end")
    wide = end - _LOCATOR.size - _END64.size
    if wide >= 0:
        opened.seek(wide)
        mark64, room, _, _, disk64, first64, here64, count64, length64, begin64 = _END64.unpack(
            opened.read(_END64.size)
        )
        locator, on, place, disks = _LOCATOR.unpack(opened.read(_LOCATOR.size))
        if (mark64 == b"PK\6\6") != (locator == b"PK\6\7"):
            raise ValueError("the end of the archive is damaged")
        if mark64 == b"PK\6\6":
            narrow = ((here, here64, 16), (count, count64, 16), (length, length64, 32), (begin, begin64, 32))
            if (room, on, place, disks, disk64, first64) != (_END64.size - 12, 0, wide, 1, 0, 0) or any(
                small not in (large, 2**bits - 1) for small, large, bits in narrow
            ):
                raise ValueError("the end of the archive is damaged")
            here, count, length, begin, end = here64, count64, length64, begin64, wide
    if disk or first or comment or here != count or begin + length != end:
        raise ValueError("the end of the archive is damaged")
    if length > _MAX_LIST or count > MAX_TENSORS + 64:
        raise ValueError(f"the archive lists {count:,} records in {length:,} bytes: expected at most {MAX_TENSORS:,}")
    opened.seek(0)
    return int(begin), int(count)


def _check_records(records: list[zipfile.ZipInfo], end: int) -> str:
    """The folder that all records lie in, with its slash.

    Raises:
        ValueError: if they overlap, are packed, come twice, or are not those of a checkpoint.
    """
    names = [record.filename for record in records]
    top = next((name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")), "")
    if top.count("/") != 1 or any(not name.startswith(top) for name in names):
        raise ValueError("the archive is no PyTorch checkpoint: it lacks data.pkl in its one folder")
    # Torch's reader of archives does not tell capital letters from small ones.
    if len({name.lower() for name in names}) != len(records):
        raise ValueError("the archive has two records of one name")
    if any(not name.isascii() for name in names) or any(record.filename != record.orig_filename for record in records):
        raise ValueError("the archive has names that are not plain ASCII")
    if f"{top}constants.pkl" in names:
        raise ValueError("it is a TorchScript archive, which is code: save its state_dict instead")
    place = 0
    for record in sorted(records, key=lambda record: record.header_offset):
        name, size = record.filename.removeprefix(top), record.file_size
        if record.compress_type != zipfile.ZIP_STORED or record.compress_size != size or record.flag_bits & 1:
            raise ValueError(f"the record {name!r} is packed or encrypted: expected it as torch.save writes it")
        if record.header_offset < place:
            raise ValueError(f"the record {name!r} overlaps another")
        place = record.header_offset + _LOCAL_HEADER + len(record.orig_filename.encode()) + size
        limit = MAX_PICKLE if name == "data.pkl" else _MAX_SMALL
        if size > limit and not name.startswith("data/"):
            raise ValueError(f"the record {name!r} has {size:,} bytes: expected at most {limit:,}")
    if place > end:
        raise ValueError("a record of the archive reaches past its list")
    return top
