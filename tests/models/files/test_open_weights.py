"""What holds for files of every kind."""

import os
import socket
import tracemalloc
from pathlib import Path

import pytest
import torch
from tests.models.files.making import header, place, small_files, small_tensors
from torch import Tensor

from striate.models.files import Entry, WeightFile, open_weights

FILES = small_files()


@pytest.fixture(params=FILES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    data, tensors = FILES[request.param]
    file = tmp_path / request.param
    file.write_bytes(data)
    return file, tensors


def test_tensors_come_as_they_were_written(made: tuple[Path, dict[str, Tensor]]) -> None:
    file, tensors = made
    before = file.read_bytes()
    with open_weights(file, allow_pickle=True) as opened:
        assert isinstance(opened, WeightFile)
        assert dict(opened.entries) == {name: Entry(tuple(t.shape), t.dtype) for name, t in tensors.items()}
        assert {name: entry.nbytes for name, entry in opened.entries.items()} == {
            name: tensor.nbytes for name, tensor in tensors.items()
        }
        found = {name: opened.read(name) for name in reversed(list(opened.entries))}
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        found[name].zero_()
    assert file.read_bytes() == before


def test_faults_of_the_caller(made: tuple[Path, dict[str, Tensor]]) -> None:
    file, tensors = made
    opened = open_weights(str(file), allow_pickle=True)
    with pytest.raises(ValueError, match=rf"{file.name}: there is no tensor named 'conv9'"):
        opened.read("conv9")
    with pytest.raises(TypeError, match="does not support item assignment"):
        opened.entries["new"] = Entry((1,), torch.float32)  # type: ignore[index]
    opened.close()
    with pytest.raises(ValueError, match=rf"{file.name}: the file is closed"):
        opened.read(next(iter(tensors)))


def test_a_file_that_changes_is_not_read(made: tuple[Path, dict[str, Tensor]]) -> None:
    file, tensors = made
    name = next(iter(tensors))
    with open_weights(file, allow_pickle=True) as opened:
        opened.read(name)
        os.truncate(file, 20)
        with pytest.raises(ValueError, match=rf"{file.name}: {name} cannot be read: the file was changed since"):
            opened.read(name)


def test_truncated_at_every_length(made: tuple[Path, dict[str, Tensor]]) -> None:
    file, tensors = made
    whole, size = 0, file.stat().st_size
    for length in reversed(range(size)):
        os.truncate(file, length)
        try:
            with open_weights(file, allow_pickle=True) as opened:
                # Messages of protocol buffers may end after any layer: then layers are missing, and none is wrong.
                whole += 1
                assert file.suffix == ".caffemodel"
                assert len(opened.entries) < len(tensors)
                assert all(torch.equal(opened.read(name), tensors[name]) for name in opened.entries)
        except ValueError as error:
            assert str(error).startswith(f"{file}: ")
    assert whole <= 10


def test_names_and_sizes_cost_no_memory(tmp_path: Path) -> None:
    shape, size = (1000, 1000, 1000), 4 * 10**9
    tensors = header({"w": place(0, size, list(shape))})
    # A layer named w, with a blob of 4 GB, its shape before it.
    sizes = b"\x3a\x08\x0a\x06" + b"\xe8\x07" * 3
    blob = sizes + b"\x2a\x80\xd0\xac\xf3\x0e"
    layer = b"\x0a\x01w\x3a\x90\xd0\xac\xf3\x0e" + blob
    net = b"\xa2\x06\x99\xd0\xac\xf3\x0e" + layer
    for name, start in (("net.safetensors", tensors), ("net.caffemodel", net)):
        file = tmp_path / name
        file.write_bytes(start)
        os.truncate(file, len(start) + size)
        tracemalloc.start()
        with open_weights(file) as opened:
            [entry] = opened.entries.values()
            assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()
        assert (entry.shape, entry.nbytes) == (shape, size)


def test_links_are_followed_to_files_only(made: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    file, tensors = made
    link = tmp_path / f"link{file.suffix}"
    link.symlink_to(file)
    with open_weights(link, allow_pickle=True) as opened:
        assert opened.entries.keys() == tensors.keys()
    file.unlink()
    with pytest.raises(FileNotFoundError, match="there is no file .*link"):
        open_weights(link, allow_pickle=True)


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "device", "link to a device", "link to itself"])
def test_only_regular_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("net.safetensors")
    with socket.socket(socket.AF_UNIX) as listener:
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            listener.bind(str(path))
        elif kind == "device":
            path = Path("/dev/zero")
        else:
            path.symlink_to("/dev/zero" if kind == "link to a device" else path)
        with pytest.raises(ValueError, match=f"{path}: not a regular file"):
            open_weights(path)


def test_the_first_bytes_tell_where_the_suffix_does_not(tmp_path: Path) -> None:
    for name, kind in (("small.safetensors", "safetensors"), ("small.pt", "checkpoint"), ("row.pth", "checkpoint")):
        file = tmp_path / "blob"
        file.write_bytes(FILES[name][0])
        with open_weights(file, allow_pickle=True) as opened:
            assert opened.kind == kind
            assert opened.entries.keys() == small_tensors().keys()
    file.write_bytes(b"a text about weights")
    with pytest.raises(
        ValueError, match="blob: neither the suffix nor the first bytes are known: expected one of .safe"
    ):
        open_weights(file)
    with pytest.raises(FileNotFoundError, match="there is no file .*absent.pt"):
        open_weights(tmp_path / "absent.pt", allow_pickle=True)
