import hashlib
from pathlib import Path

import torch

from striate.data.store import Files, Memory, read_headers


def test_fingerprints_tell_contents_in_memory_and_sizes_of_files(pets: Path):
    paths = (str(pets / "cats" / "00.png"), str(pets / "dogs" / "00.png"))
    files = Files(paths=paths, channels=1, peak=255, size=(6, 5))
    held = files.held()
    assert list(files.fingerprints()) == [b"%d" % Path(path).stat().st_size for path in paths]
    assert list(held.fingerprints()) == [hashlib.sha256(bytes(p.flatten().tolist())).digest() for p in held.pictures]


def test_many_files_keep_their_order(pets: Path):
    paths = tuple(str(path) for path in sorted(pets.rglob("*.png"))) * 10
    files = Files(paths=paths, channels=1, peak=255, size=(6, 5))
    held = files.held()
    assert isinstance(held, Memory)
    assert torch.equal(held.pictures, files.read(torch.arange(len(paths))))
    assert [header.size for header in read_headers(paths)] == [(6, 5)] * len(paths)
