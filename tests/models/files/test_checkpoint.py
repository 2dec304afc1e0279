"""PyTorch checkpoints: only by request, only tensors, and nothing that would run or grow."""

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.files.making import saved, small_tensors, with_pickle
from torch import nn

from striate.models.files import open_weights


def refused(tmp_path: Path, data: bytes, match: str) -> None:
    file = tmp_path / "net.pt"
    file.write_bytes(data)
    with pytest.raises(ValueError, match=rf"net.pt: .*{match}"):
        open_weights(file, allow_pickle=True)


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize(
    ("wrap", "metadata"),
    [
        (lambda tensors: tensors, {}),
        (lambda tensors: {"state_dict": tensors, "epoch": 3, "arch": "lenet5"}, {"epoch": 3, "arch": "lenet5"}),
        (lambda tensors: {"model": {"state_dict": tensors, "lr": 0.5}, "best": torch.ones(1)}, {"lr": 0.5}),
        (
            lambda tensors: {
                "optimizer": {"state": {0: {"m": torch.ones(2)}}},
                "net": tensors,
                "args": [None, ("a", 1)],
            },
            {},
        ),
    ],
)
def test_where_scripts_put_the_weights(tmp_path: Path, archive: bool, wrap: Any, metadata: dict[str, Any]) -> None:
    tensors = small_tensors() | {"parameter": nn.Parameter(torch.randn(3)), "half": torch.ones(2, dtype=torch.bfloat16)}
    (tmp_path / "net.pth").write_bytes(saved(wrap(OrderedDict(tensors)), archive=archive))
    with open_weights(tmp_path / "net.pth", allow_pickle=True) as opened:
        assert opened.kind == "checkpoint"
        assert opened.metadata == metadata
        assert opened.entries.keys() == tensors.keys()
        for name, tensor in tensors.items():
            found = opened.read(name)
            assert not found.requires_grad
            assert torch.equal(found, tensor)
            assert opened.entries[name].nbytes == tensor.nbytes


@pytest.mark.parametrize("archive", [True, False])
def test_views_shared_and_empty_tensors(tmp_path: Path, archive: bool) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    tensors = {"t": whole.t(), "row": whole[1], "again": whole, "empty": torch.zeros(0, 3), "scalar": torch.tensor(1.5)}
    (tmp_path / "net.pt").write_bytes(saved(tensors, archive=archive))
    with open_weights(tmp_path / "net.pt", allow_pickle=True) as opened:
        assert all(torch.equal(opened.read(name), tensor) for name, tensor in tensors.items())


def test_a_module_with_versions_of_its_parts(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    (tmp_path / "net.pt").write_bytes(saved(module.state_dict()))
    with open_weights(tmp_path / "net.pt", allow_pickle=True) as opened:
        module.load_state_dict({name: opened.read(name) for name in opened.entries})
        assert opened.entries["1.num_batches_tracked"].shape == ()


def test_only_by_request(tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    file.write_bytes(saved(small_tensors()))
    with pytest.raises(ValueError, match="net.pt: it is a PyTorch checkpoint, which holds a pickle: allow_pickle=True"):
        open_weights(file)


class Code:
    """A pickle of this runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("archive", [True, False])
def test_code_is_refused_by_its_name_and_not_run(tmp_path: Path, archive: bool) -> None:
    ran = tmp_path / "ran"
    refused(
        tmp_path,
        saved({"w": torch.ones(2), "x": Code(f"touch {ran}")}, archive=archive),
        "the pickle names posix.system",
    )
    refused(tmp_path, saved(nn.Linear(1, 1), archive=archive), "the pickle names torch.nn.modules.linear.Linear")
    refused(tmp_path, saved({"w": np.ones(2)}, archive=archive), "the pickle names numpy")
    assert not ran.exists()


# The memory or the hours that `weights_only=True` would give: a global that is asked for much, or a hash without end.
DOUBLED = b"\x80\x02}q\x00)" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(1, 60)) + b"K\x01s."
COPIES = b"\x80\x02ccollections\nOrderedDict\nq\x00}q\x01(" + b"".join(
    b"J%sK\x00" % struct.pack("<i", n) for n in range(999)
)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\xe4\x0bT\x02\x85R.", "the pickle names builtins.bytearray"),
        (b"\x80\x02ctorch\nTensor\n\x8a\x05\x00\xe4\x0bT\x02\x85R.", "the pickle names torch.Tensor"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", "the pickle has protocol 4: expected 2"),
        (b"\x80\x02\x8c\x05posix\x8c\x06system\x93.", "the pickle has the word SHORT_BINUNICODE"),
        (b"(S'rm -rf /'\niposix\nsystem\n.", "the pickle has the word STRING"),
        (b"\x80\x02\x82\x01.", "the pickle has the word EXT1"),
        (DOUBLED, "the pickle has a dict with tuple for a name: expected text or integers"),
        (COPIES + b"uh\x00h\x01\x85R.", "the pickle calls collections.OrderedDict in a way that torch.save does not"),
        (b"\x80\x02" + b"}" * 1_000_001 + b".", "the pickle takes more than 1,000,000 steps"),
        (b"\x80\x02}r\xff\xff\xff\xff.", "there are no tensors by name; the checkpoint holds nothing"),
        (b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.", "there are no tensors by name"),
        (b"\x80\x02]q\x00h\x00a.", "the checkpoint holds a list: expected tensors by name"),
        (b"\x80\x02K\x01K\x01.", "the pickle is damaged: it ends with other than one value"),
        (b"\x80\x02.", "the pickle is damaged: it ends with other than one value"),
        (b"\x80\x02t.", "it takes what it has not put there"),
        (b"\x80\x02h\x07.", "it takes what it has not put there"),
        (b"\x80\x02}(K\x01u.", "the pickle is damaged: a name lacks its value"),
        (b"\x80\x02K\x01)R.", "the pickle is damaged: Global was expected, int came"),
        (b"\x80\x02K\x01Q.", "the pickle asks for something that is no storage of a tensor"),
        (b"\x80\x02X\xff\xff\xff\xffabc.", "expected 4294967295 bytes in a unicodestring4, but only 4 remain"),
        (b"\x80\x02}", "pickle exhausted before seeing STOP"),
    ],
    ids=range(21),
)
def test_pickles_that_are_no_weights(tmp_path: Path, data: bytes, match: str) -> None:
    refused(tmp_path, with_pickle(data), match)


class Asked:
    """A tensor of a checkpoint, as a pickle may describe it: what is called, with what, and the attributes."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.reduced


class Pickler(pickle.Pickler):
    """Writes tuples that begin with "storage" as storages."""

    def persistent_id(self, value: Any) -> Any:
        return value if type(value) is tuple and value[:1] == ("storage",) else None


def pickled(value: Any) -> bytes:
    stream = io.BytesIO()
    Pickler(stream, 2).dump(value)
    return stream.getvalue()


def asking(
    *, storage: Any = None, offset: Any = 0, shape: Any = (2,), stride: Any = (1,), rest: tuple[Any, ...] = ()
) -> bytes:
    storage = storage or ("storage", torch.FloatStorage, "0", "cpu", 4)
    asked = Asked(torch._utils._rebuild_tensor_v2, storage, offset, shape, stride, False, OrderedDict(), *rest)
    return with_pickle(pickled({"w": asked}), data__0=bytes(16))


def row_of_2017(value: Any) -> bytes:
    """A checkpoint before 1.6 with one storage, of the numbers 0 to 3."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [0x1950A86A20F9469CFC6C, 1001, system, value, ["7"]]
    return b"".join(map(pickled, parts)) + struct.pack("<Q4f", 4, 0, 1, 2, 3)


def test_tensors_of_2017(tmp_path: Path) -> None:
    storage = ("storage", torch.FloatStorage, "7", "cuda:0", 4, None)
    tensor = Asked(torch._utils._rebuild_tensor, storage, 0, (2, 2), (2, 1))
    parameter = Asked(nn.Parameter, tensor, state=(True, False, OrderedDict()))
    pairs = Asked(OrderedDict, [["w", parameter], ["b", tensor]])
    (tmp_path / "net.pth").write_bytes(row_of_2017(pairs))
    with open_weights(tmp_path / "net.pth", allow_pickle=True) as opened:
        for name in ("w", "b"):
            assert torch.equal(opened.read(name), torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
            assert not opened.read(name).requires_grad
    hooks = {"w": Asked(nn.Parameter, tensor, state=(True, False, {"hook": 1}))}
    refused(tmp_path, row_of_2017(hooks), "the pickle gives attributes to what has none")


def test_copies_without_end_are_counted(tmp_path: Path) -> None:
    pairs = [[str(n), n] for n in range(2000)]
    copied = [Asked(OrderedDict, pairs) for _ in range(600)]
    versions = dict(pairs)
    attributes = [Asked(OrderedDict, state=versions) for _ in range(600)]
    for value in (copied, attributes):
        data = pickled(value)
        assert len(data) < 200_000
        refused(tmp_path, with_pickle(data), "the pickle takes more than 1,000,000 steps")


# Its text, or its hash, would take 2^60 steps.
ENDLESS: Any = ()
for _ in range(60):
    ENDLESS = (ENDLESS, ENDLESS)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"offset": 3}, "a tensor of the storage '0' reaches to number 4 of 4"),
        ({"shape": (5,)}, "reaches to number 4 of 4"),
        ({"shape": (2, 2), "stride": (4, 1)}, "reaches to number 5 of 4"),
        ({"shape": (10**9, 4), "stride": (0, 1)}, "16,000,000,000 bytes spread over fewer"),
        ({"shape": (2**62,)}, "which no file can hold"),
        ({"shape": (-2,)}, r"has the shape \[-2\]: expected integers from 0 on"),
        ({"offset": -1}, r"has the offset -1 and the strides \(1,\): expected integers"),
        ({"stride": (-1,)}, r"has the offset 0 and the strides \(-1,\)"),
        ({"stride": ()}, r"has the offset 0 and the strides \(\)"),
        ({"stride": ("1",)}, r"the strides \('1',\)"),
        (
            {"rest": ({"conj": True},)},
            "the pickle calls torch._utils._rebuild_tensor_v2 in a way that torch.save does not",
        ),
        (
            {"storage": ("storage", torch.FloatStorage, "0", "cpu", 10**12)},
            "the storage '0' has 16 bytes: its tensors need",
        ),
        ({"storage": ("storage", torch.FloatStorage, "1", "cpu", 4)}, "the storage '1' is not there"),
        (
            {"storage": ("storage", torch.DoubleStorage, "0", "cpu", 4)},
            "the storage '0' has 16 bytes: its tensors need 32",
        ),
        ({"storage": ("storage", OrderedDict, "0", "cpu", 4)}, "asks for something that is no storage"),
        ({"storage": ("storage", torch.FloatStorage, "0", "cpu", -4)}, "asks for something that is no storage"),
        ({"storage": ("storage", torch.FloatStorage, 0, "cpu", 4)}, "asks for something that is no storage"),
        (
            {"storage": ("storage", torch.FloatStorage, "0", "cpu", 4, ("0", 0, 4))},
            "asks for something that is no storage",
        ),
    ],
)
def test_tensors_that_do_not_fit_their_storage(tmp_path: Path, asked: dict[str, Any], match: str) -> None:
    refused(tmp_path, asking(**asked), match)


def test_one_that_fits(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(asking(offset=1, shape=(2,), stride=(2,)))
    with open_weights(tmp_path / "net.pt", allow_pickle=True) as opened:
        assert torch.equal(opened.read("w"), torch.zeros(2))


def changed_archive(data: bytes, **how: Any) -> bytes:
    """The records of an archive written anew, packed or twice or under other names."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", how.get("packed", 0)) as new:
        for record in old.infolist():
            new.writestr(how.get("rename", str)(record.filename), old.read(record))
        for name, content in how.get("more", {}).items():
            new.writestr(name, content)
    return stream.getvalue()


def test_faults_of_the_archive(tmp_path: Path) -> None:
    good = saved({"w": torch.zeros(2**18)})
    refused(
        tmp_path,
        changed_archive(good, packed=zipfile.ZIP_DEFLATED),
        "is packed or encrypted: expected it as torch.save",
    )
    bomb = {"archive/more": bytes(2**17)}
    refused(tmp_path, changed_archive(good, more=bomb), "the record 'more' has 131,072 bytes: expected at most 65,536")
    refused(
        tmp_path,
        with_pickle(b" " * (2**23 + 1)),
        "the record 'data.pkl' has 8,388,609 bytes: expected at most 8,388,608",
    )
    refused(
        tmp_path,
        changed_archive(good, more={"archive/constants.pkl": b""}),
        "it is a TorchScript archive, which is code",
    )
    refused(tmp_path, changed_archive(good, more={"other/data.pkl": b""}), "it lacks data.pkl in its one folder")
    refused(
        tmp_path,
        changed_archive(good, rename=lambda name: name.replace("data.pkl", "x")),
        "it lacks data.pkl in its one",
    )
    refused(tmp_path, good + b"\0", "the archive is truncated, or has something after its end")
    refused(tmp_path, b"PK\3\4", "the archive is truncated")
    refused(tmp_path, good[:-2] + b"\1\0", "the end of the archive is damaged")
    many = b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 65535, 65535, 10**7, 0, 0)
    refused(tmp_path, b"PK\3\4" + bytes(10**7 - 4) + many, "lists 65,535 records in 10,000,000 bytes: expected at most")
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = changed_archive(good, more={"archive/data.pkl": b""})
    refused(tmp_path, twice, "two records of one name")
    refused(tmp_path, changed_archive(good, more={"archive/DATA.PKL": b""}), "two records of one name")
    refused(tmp_path, changed_archive(good, more={"archive/\xe9": b""}), "names that are not plain ASCII")
    hidden = changed_archive(good, more={"archive/data/9!x": b""}).replace(b"archive/data/9!x", b"archive/data/9\0x")
    refused(tmp_path, hidden, "names that are not plain ASCII")


def test_places_of_records(tmp_path: Path) -> None:
    data = with_pickle(b"\x80\x02}.", data__0=bytes(64))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        begins = [record.header_offset for record in archive.infolist()]
    at = [n + 42 for n in range(len(data)) if data[n : n + 4] == b"PK\1\2"]

    def moved(record: int, place: int) -> bytes:
        return data[: at[record]] + struct.pack("<L", place) + data[at[record] + 4 :]

    refused(tmp_path, data, "there are no tensors by name; the checkpoint holds nothing")
    refused(tmp_path, moved(2, begins[1]), "the record .* overlaps another")
    refused(tmp_path, moved(3, begins[3] + 1), "a record of the archive reaches past its list")
    fewer = data[:-14] + struct.pack("<2H", 3, 3) + data[-10:]
    refused(tmp_path, fewer, "the archive lists 4 records and counts 3")


def test_faults_of_a_row_of_pickles(tmp_path: Path) -> None:
    good = saved(small_tensors(), archive=False)
    refused(tmp_path, good + b"\0", "its storages end at .* and the file at .*: it is truncated, or more follows")
    refused(tmp_path, pickle.dumps({"w": 1}, 2), "pickle exhausted before seeing STOP")
    refused(
        tmp_path, good.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"), "written on a big-endian machine"
    )
    four = (4).to_bytes(8, "little")
    refused(
        tmp_path, good.replace(four, (5).to_bytes(8, "little")), "does not hold the 4 numbers that its tensors need"
    )
    refused(tmp_path, b"a tar archive", "it is no PyTorch checkpoint, or one of before 2017")
