"""Files that ask for more than there is, opened by a process that has little."""

import os
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.models.files.making import header, small_files, with_pickle

# Opens one file with 600 MiB more address space than the libraries take, and 20 seconds.
WORKER = """
import resource, sys
from pathlib import Path
import torch
from striate.models.files import open_weights
good, hostile = sys.argv[1:]
for file in sorted(Path(good).iterdir()):
    with open_weights(file, allow_pickle=True) as opened:
        for name in opened.entries:
            opened.read(name)
pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + 600 * 2**20,) * 2)
used = resource.getrusage(resource.RUSAGE_SELF)
resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 20,) * 2)
for file in sorted(Path(hostile).iterdir()):
    try:
        with open_weights(file, allow_pickle=True) as opened:
            for name in opened.entries:
                opened.read(name)
        print(f"{file}: read")
    except ValueError as error:
        print(error)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used.ru_maxrss
print("grown by", grown // 2**10)
"""

ROW = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\r\x00\x00\x00little_endian\x88s."
HUGE = (
    b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpu\x8a\x06\x00\x10\xa5\xd4\xe8\x00tQK\x00\x8a\x06\x00\x10\xa5\xd4\xe8\x00\x85"
    b"K\x01\x85\x89ccollections\nOrderedDict\n)RtRs."
)


def hostile_files() -> dict[str, tuple[bytes, str]]:
    """Contents, and what is said of each."""
    long = b"\x80\x80\x80\x80\x80\x10"
    return {
        "bracket.safetensors": (
            header(b'{"__metadata__":[' + b"[]," * 500_000 + b"[]]}"),
            "__metadata__ must hold text",
        ),
        "brackets.safetensors": (header(b'{"a":[' + b"[]," * 5_000_000 + b"[]]}"), "the header has 10,000,003 parts"),
        "deep.safetensors": (header(b'{"a":' * 200_000), "the header is nested without end"),
        "names.safetensors": (
            header(b"{" + b",".join(b'"%07d":0' % n for n in range(100_000)) + b"}"),
            "100,000 tensors: expected at most 65,536",
        ),
        "bytes.pt": (
            with_pickle(b"\x80\x02}X\x01\x00\x00\x00wcbuiltins\nbytearray\n\x8a\x05\x00\xe4\x0bT\x02\x85Rs."),
            "the pickle names builtins.bytearray",
        ),
        "dicts.pt": (with_pickle(b"\x80\x02" + b"}" * (2**23 - 100)), "the pickle takes more than 1,000,000 steps"),
        "marks.pt": (with_pickle(b"\x80\x02" + b"(" * (2**23 - 100)), "the pickle takes more than 1,000,000 steps"),
        "memo.pt": (with_pickle(b"\x80\x02}r\xff\xff\xff\x7f."), "there are no tensors by name"),
        "storage.pt": (
            with_pickle(HUGE, data__0=bytes(16)),
            "the storage '0' has 16 bytes: its tensors need 4,000,000,000,000",
        ),
        "storage.pth": (
            ROW + HUGE + b"\x80\x02]X\x01\x00\x00\x000a." + struct.pack("<Q", 10**12),
            "its storages end at 4,000,000,000,.* and the file at",
        ),
        "claims.caffemodel": (b"\xa2\x06" + long, "field 100 at byte 0 claims 549,755,813,888 bytes"),
        "shape.caffemodel": (
            b"\xa2\x06\x11\x0a\x01a\x3a\x0c\x3a\x08\x0a\x06" + long + b"*\x00",
            r"a.weight has the shape \[549755813888\] and 0 numbers",
        ),
        "groups.caffemodel": (b"\x0b" * 2**22, "field 1 at byte 0 is a group or of no known kind"),
        "fields.caffemodel": (b"\x20\x01" * 2**22, "more than 262,144 fields"),
        # Numbers one by one, of two fields by turns.
        "loose.caffemodel": (
            b"\xa2\x06\x88\x80\x80\x05\x0a\x01a\x3a\x80\x80\x80\x05" + b"\x2d\0\0\0\0\x35\0\0\0\0" * (2**20),
            "the numbers lie in more than 65,536 pieces",
        ),
    }


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_hostile_files_are_refused_in_bounded_memory_and_time(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    for name, (data, _) in small_files().items():
        (good / name).write_bytes(data)
    expected = {}
    for name, (data, expected[name]) in hostile_files().items():
        (bad / name).write_bytes(data)
    sparse = bad / "header.safetensors"
    sparse.write_bytes((10 * 10**9).to_bytes(8, "little") + b"{")
    os.truncate(sparse, 20 * 10**9)
    expected[sparse.name] = "its header claims 10,000,000,000 bytes: expected at most 16,777,216"
    with zipfile.ZipFile(bad / "records.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        for number in range(66_000):
            archive.writestr(f"archive/data/{number}", b"")
    expected["records.pt"] = "the archive lists 66,001 records in .* bytes: expected at most 65,536"
    command = [sys.executable, "-c", WORKER, str(good), str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    *lines, grown = done.stdout.splitlines()
    for line, name in zip(lines, sorted(expected), strict=True):
        assert re.search(f"^{bad / name}: .*{expected[name]}", line)
    assert int(grown.removeprefix("grown by ")) < 400
