"""Mutated files: refused, or read with the sizes that were announced. 504 in `make test`, 10,200 in `make sweep`."""

import random
import resource
import time
from pathlib import Path

import pytest
from tests.models.files.making import small_files

from striate.models.files import open_weights

FILES = {name: data for name, (data, _) in small_files().items()}
EXTREMES = (0, 1, 127, 128, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
# Bytes that mean something to one of the formats.
TOKENS = (
    b"{",
    b"}",
    b"[",
    b",",
    b'"',
    b"-1",
    b"1e9",
    b"(",
    b".",
    b"R",
    b"Q",
    b"b",
    b"c",
    b"PK\3\4",
    b"PK\1\2",
    b"PK\5\6",
)
TOKENS += (
    b"\x0a",
    b"\x12",
    b"\x2a",
    b"\x2d",
    b"\x3a",
    b"\x80\x80\x80\x80\x08",
    b"\xff" * 9 + b"\x01",
    b"cos\nsystem\n",
)


def mutated(data: bytes, dice: random.Random) -> bytes:
    """The bytes after one to four changes, half of which fall on the part that describes the rest."""
    found = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        size = len(found)
        if not size:
            break
        at = dice.randrange(min(size, 400)) if dice.random() < 0.5 else dice.randrange(size)
        other, length = dice.randrange(size), dice.choice([1, 2, 8, 64])
        kind = dice.randrange(8)
        if kind == 0:
            found[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            found[at] = dice.randrange(256)
        elif kind == 2:
            width = dice.choice([1, 2, 4, 8])
            found[at : at + width] = (dice.choice(EXTREMES) % 256**width).to_bytes(width, "little")
        elif kind == 3:
            found[at:at] = dice.choice(TOKENS)
        elif kind == 4:
            token = dice.choice(TOKENS)
            found[at : at + len(token)] = token
        elif kind == 5:
            del found[at : at + length]
        elif kind == 6:
            found[at:at] = found[other : other + length]
        else:
            del found[at:]
    return bytes(found)


def check_mutation(name: str, seed: int, folder: Path) -> bool:
    """Whether a mutated file was read; it must else be refused by its name."""
    file = folder / name
    file.write_bytes(mutated(FILES[name], random.Random(f"{name} {seed}")))
    begin = time.process_time()
    try:
        with open_weights(file, allow_pickle=True) as opened:
            for tensor, entry in opened.entries.items():
                found = opened.read(tensor)
                assert (found.shape, found.dtype, found.nbytes) == (entry.shape, entry.dtype, entry.nbytes)
                assert found.nbytes <= 2 * len(FILES[name])
                found.clone()
        read = True
    except ValueError as error:
        assert str(error).startswith(f"{file}: "), seed
        read = False
    assert time.process_time() - begin < 10, seed
    return read


def check_mutations(name: str, seeds: range, folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read = [check_mutation(name, seed, folder) for seed in seeds]
    assert 0 < sum(read) < len(read)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 2**10


@pytest.mark.parametrize("name", FILES)
def test_some(name: str, tmp_path: Path) -> None:
    check_mutations(name, range(84), tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("name", FILES)
def test_many(name: str, tmp_path: Path) -> None:
    check_mutations(name, range(1000, 2700), tmp_path)
