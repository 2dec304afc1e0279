"""safetensors: the header is checked before the library sees it; shards."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tests.models.files.making import header, place

from striate.models.files import open_weights
from striate.models.files.safetensors_file import _DTYPES


def refused(tmp_path: Path, data: bytes, match: str) -> None:
    file = tmp_path / "net.safetensors"
    file.write_bytes(data)
    with pytest.raises(ValueError, match=rf"net.safetensors: .*{match}"):
        open_weights(file)


def test_every_dtype_and_shape_of_the_library(tmp_path: Path) -> None:
    tensors = {name: torch.ones(2, 3).to(dtype) for name, dtype in _DTYPES.items()}
    tensors |= {"scalar": torch.tensor(2.0), "empty": torch.zeros(0, 3), "last": torch.zeros(1, 1, 1, 1, 1)}
    safetensors.torch.save_file(tensors, tmp_path / "net.safetensors", {"format": "pt", "mean": "[0.5]"})
    with open_weights(tmp_path / "net.safetensors") as opened:
        assert dict(opened.metadata) == {"format": "pt", "mean": "[0.5]"}
        for name, tensor in tensors.items():
            found = opened.read(name)
            assert found.dtype == tensor.dtype
            assert found.shape == tensor.shape == opened.entries[name].shape
            assert torch.equal(found.flatten().view(torch.uint8), tensor.flatten().view(torch.uint8))


@pytest.mark.parametrize(
    ("about", "data", "match"),
    [
        ({"a": place(0, 8, [2]), "b": place(4, 12, [2])}, 12, "b begins at 4 and overlaps a, which ends at 8"),
        ({"a": place(0, 8, [2]), "b": place(0, 8, [2])}, 8, "b begins at 0 and overlaps a"),
        ({"a": place(0, 8, [2]), "b": place(12, 20, [2])}, 20, "b begins at 12 and leaves a gap after a"),
        ({"a": place(4, 12, [2])}, 12, "a begins at 4 and leaves a gap after the header, which ends at 0"),
        ({"a": place(0, 8, [2])}, 9, "tensors end at 8 and the file at 9: it is truncated, or more follows"),
        ({"a": place(0, 8, [2])}, 7, "tensors end at 8 and the file at 7: it is truncated"),
        ({"a": place(0, 8, [3])}, 8, r"a lies in 8 bytes: F32 of the shape \[3\] takes 3 numbers, 12 bytes"),
        ({"a": place(8, 0, [2])}, 8, "a lies in -8 bytes"),
        ({"a": place(0, 8, [2], "F99")}, 8, "a has the dtype 'F99': expected one of BOOL"),
        ({"a": place(0, 8, [2], "F4")}, 8, "a has the dtype 'F4'"),
        ({"a": {**place(0, 8, [2]), "dtype": ["F32"]}}, 8, r"a has the dtype \['F32'\]"),
        ({"a": place(0, 8, [-2])}, 8, r"a has the shape \[-2\]: expected integers from 0 on"),
        ({"a": place(0, 8, [-1, -2])}, 8, r"a has the shape \[-1, -2\]"),
        ({"a": place(0, 8, [2.0])}, 8, r"a has the shape \[2.0\]"),
        ({"a": place(0, 4, [True])}, 4, r"a has the shape \[True\]"),
        ({"a": place(0, 0, [0, 2**60])}, 0, "which no file can hold"),
        ({"a": place(0, 0, [2**40, 2**40])}, 0, "which no file can hold"),
        ({"a": place(0, 4, [1] * 9)}, 4, "a has 9 axes: expected at most 8"),
        ({"a": {**place(0, 8, [2]), "shape": 2}}, 8, "a has the shape 2: expected a list"),
        ({"a": {**place(0, 8, [2]), "data_offsets": [0, "8"]}}, 8, r"a has the data_offsets \[0, '8'\]"),
        ({"a": {**place(0, 8, [2]), "data_offsets": [-8, 0]}}, 8, r"a has the data_offsets \[-8, 0\]"),
        ({"a": {"dtype": "F32", "shape": [2]}}, 8, "a must have dtype, shape and data_offsets"),
        ({"a": [1]}, 8, "a must have dtype, shape and data_offsets"),
        ({"": place(0, 8, [2])}, 8, "a name of a tensor has 0 letters: expected 1 to 1024"),
        ({"\ud800": place(0, 8, [2])}, 8, "surrogates not allowed"),
        ({"__metadata__": {"epoch": 3}}, 0, "__metadata__ must hold text by name"),
        (b'{"a":1,"a":1}', 0, "the header is no JSON: the name 'a' comes 2 times"),
        (b'{"a":\xff}', 0, "the header is no JSON: .*codec can't decode"),
        (b'{"a":NaN}', 0, "NaN is no number"),
        (b'{"a":' + b"9" * 5000 + b"}", 0, "the header is no JSON"),
        (b'{"a":1', 0, "the header is no JSON"),
        (b"[1]", 0, "its header is no JSON object"),
        (b"", 0, "its header is no JSON object"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 0, "the header is nested without end"),
    ],
)
def test_faults_of_the_header(tmp_path: Path, about: Any, data: int, match: str) -> None:
    refused(tmp_path, header(about, bytes(data)), match)


def test_limits_of_the_header(tmp_path: Path) -> None:
    refused(
        tmp_path, (10 * 10**9).to_bytes(8, "little") + b"{}", "its header claims 10,000,000,000 bytes: expected at most"
    )
    refused(tmp_path, (2**64 - 1).to_bytes(8, "little") + b"{}", "its header claims 18,446,744,073,709,551,615 bytes")
    refused(tmp_path, (3).to_bytes(8, "little") + b"{}", "its header claims 3 bytes, and 2 follow: it is truncated")
    refused(tmp_path, b"\0" * 7, "7 bytes are no safetensors file")
    refused(
        tmp_path, header({str(n): place(0, 0, [0]) for n in range(100_000)}), "100,000 tensors: expected at most 65,536"
    )
    refused(
        tmp_path,
        header(b'{"a":[' + b"1," * 2**20 + b"1]}"),
        "the header has 1,048,578 parts: expected at most 1,048,576",
    )


def sharded(folder: Path, index: Any, **shards: dict[str, torch.Tensor]) -> Path:
    for name, tensors in shards.items():
        safetensors.torch.save_file(tensors, folder / f"{name}.safetensors")
    file = folder / "model.safetensors.index.json"
    file.write_text(index if isinstance(index, str) else json.dumps(index))
    return file


def test_shards(tmp_path: Path) -> None:
    one, two = torch.randn(2, 3), torch.arange(4)
    placed = {"a": "one.safetensors", "b": "two.safetensors"}
    file = sharded(tmp_path, {"metadata": {"total_size": 56}, "weight_map": placed}, one={"a": one}, two={"b": two})
    with open_weights(file) as opened:
        assert opened.kind == "safetensors"
        assert opened.metadata == {"total_size": 56}
        assert {name: entry.shape for name, entry in opened.entries.items()} == {"a": (2, 3), "b": (4,)}
        assert torch.equal(opened.read("a"), one)
        assert torch.equal(opened.read("b"), two)
    (tmp_path / "two.safetensors").unlink()
    with pytest.raises(ValueError, match=r"index.json: the shard 'two.safetensors': there is no file"):
        open_weights(file)


@pytest.mark.parametrize(
    ("placed", "match"),
    [
        (
            {"a": "../one.safetensors"},
            "the shard '../one.safetensors' is no name of a safetensors file in the same folder",
        ),
        ({"a": "/etc/one.safetensors"}, ".*is no name of a safetensors file in the same folder"),
        ({"a": "..\\one.safetensors"}, ".*is no name of a safetensors file in the same folder"),
        ({"a": "one.pt"}, "the shard 'one.pt' is no name of a safetensors file"),
        ({"a": "pipe.safetensors"}, "the shard 'pipe.safetensors': there is no file"),
        ({"a": "one.safetensors", "b": "one.safetensors"}, "the index places 'b' in 'one.safetensors', which lacks it"),
        ({"b": "one.safetensors"}, "the shard 'one.safetensors' holds 'a', which the index does not place there"),
        ({"a": 1}, "the index must have a weight_map of names of tensors to names of files"),
        ([], "the index must have a weight_map"),
        ({str(n): f"{n}.safetensors" for n in range(257)}, "257 shards: expected at most 256"),
    ],
)
def test_faults_of_an_index(tmp_path: Path, placed: Any, match: str) -> None:
    file = sharded(tmp_path, {"weight_map": placed}, one={"a": torch.ones(2)})
    with pytest.raises(ValueError, match=f"model.safetensors.index.json: {match}"):
        open_weights(file)


def test_an_index_that_is_none(tmp_path: Path) -> None:
    for text, match in (("[1]", "the index is no JSON object"), ("{", "the index is no JSON"), ("[" * 10**5, "nested")):
        with pytest.raises(ValueError, match=match):
            open_weights(sharded(tmp_path, text))
    file = sharded(tmp_path, " " * (2**24 + 1))
    with pytest.raises(ValueError, match="the index is larger than 16,777,216 bytes"):
        open_weights(file)
