import errno
import json
import os
import pickle
import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from striate.data import Dataset
from striate.training import Config, checkpoint, fit, resume
from striate.training.checkpoint import Checkpoint, DamagedCheckpoint

FILES = ["manifest.json", "model.safetensors", "optimizer.safetensors", "state.json"]
Toy = Callable[[], nn.Module]


def made(model: Mapping[str, Tensor], *, best_step: int | None = None) -> Checkpoint:
    return Checkpoint(model=model, optimizer={}, state={"step": 1, "best_step": best_step})


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def trained_toy(toy_network: Toy) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The toy network after a step, channels last, and its optimizer."""
    model = toy_network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(4, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    return model, optimizer


@pytest.fixture
def written(tmp_path: Path, trained_toy: tuple[nn.Module, torch.optim.Optimizer]) -> Path:
    """A checkpoint of the trained toy."""
    model, optimizer = trained_toy
    tensors = Checkpoint(
        model=checkpoint.model_tensors(model),
        optimizer=checkpoint.optimizer_tensors(model, optimizer),
        state={"step": 7, "best_step": None},
    )
    return checkpoint.write(tmp_path / "checkpoints", 7, tensors)


def test_restored(written: Path, trained_toy: tuple[nn.Module, torch.optim.Optimizer], toy_network: Toy):
    model, optimizer = trained_toy
    other = toy_network().to(memory_format=torch.channels_last)
    another = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    found = checkpoint.read(written)
    checkpoint.restore(other, another, found)
    assert found.state == {"step": 7, "best_step": None}
    assert found.model["normalisation.num_batches_tracked"].dtype == torch.int64
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
        assert other.state_dict()[name].stride() == value.stride()
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        momentum = another.state[theirs]["momentum_buffer"]
        assert torch.equal(momentum, optimizer.state[ours]["momentum_buffer"])
        assert momentum.stride() == theirs.stride()


def test_tied_tensors_are_stored_once_and_stay_tied(written: Path, toy_network: Toy):
    stored = load_file(written / "model.safetensors")
    assert ("first.weight" in stored) != ("second.weight" in stored)
    found = checkpoint.read(written).model
    assert torch.equal(found["first.weight"], found["second.weight"])
    other = toy_network()
    checkpoint.load_weights(other, found)
    assert other.first.weight is other.second.weight
    assert torch.equal(other.first.weight, found["first.weight"])


def test_weights_of_another_network(written: Path):
    with pytest.raises(ValueError, match=r"(?s)the checkpoint is not of this network: .*convolution.weight"):
        checkpoint.load_weights(nn.Linear(2, 2), checkpoint.read(written).model)


def test_every_kind_of_tensor(tmp_path: Path):
    whole = torch.arange(24.0)
    tensors = {
        "number": torch.tensor(3.5, dtype=torch.float64),
        "count": torch.tensor(7),
        "empty": torch.empty(0, 4),
        "also empty": torch.empty(0, 4),
        "truth": torch.tensor([True, False]),
        "brief": torch.randn(3).bfloat16(),
        "last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "turned": whole.view(4, 6).T,
        "square": whole[:16].view(4, 4),
        "square turned": whole[:16].view(4, 4).T,
        "whole": whole,
        "part": whole[:6],
        "parameter": nn.Parameter(torch.randn(2)),
    }
    found = checkpoint.read(checkpoint.write(tmp_path, 1, made(tensors))).model
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert torch.equal(found[name], value), name
        assert found[name].dtype == value.dtype


def test_no_pickle(tmp_path: Path, written: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("pickle was used")

    for owner, name in [(pickle, "dump"), (pickle, "dumps"), (pickle, "Pickler"), (pickle, "load"), (pickle, "loads"),
                        (pickle, "Unpickler"), (torch, "save"), (torch, "load")]:  # fmt: skip
        monkeypatch.setattr(owner, name, refuse)
    checkpoint.write(tmp_path / "other", 1, checkpoint.read(written))
    assert sorted(os.listdir(written)) == FILES
    for name, content in contents(written).items():
        text = content[8 : 8 + int.from_bytes(content[:8], "little")] if name.endswith("safetensors") else content
        assert isinstance(json.loads(text), dict)


def test_the_same_bytes_at_any_time(tmp_path: Path, written: Path):
    again = checkpoint.write(tmp_path / "again", 7, checkpoint.read(written))
    os.utime(again / "state.json", (1, 1))
    assert contents(again) == contents(written)
    manifest = json.loads((written / "manifest.json").read_bytes())
    assert list(manifest) == FILES[1:]
    assert all(entry.keys() == {"bytes", "sha256"} for entry in manifest.values())


def test_every_flipped_bit_of_the_manifest_is_refused(written: Path):
    file = written / "manifest.json"
    good = file.read_bytes()
    checkpoint.verify(written)
    for place in range(8 * len(good)):
        flipped = bytearray(good)
        flipped[place // 8] ^= 1 << place % 8
        file.write_bytes(flipped)
        with pytest.raises(DamagedCheckpoint):
            checkpoint.verify(written)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"[]\n", b"NaN\n", b"\xff", b'{"model.safetensors": 1}\n'])
def test_other_manifests_are_refused(written: Path, content: bytes):
    (written / "manifest.json").write_bytes(content)
    with pytest.raises(DamagedCheckpoint, match=r"manifest.json (is not what was written|cannot be read)"):
        checkpoint.read(written)


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_is_refused(written: Path, name: str):
    content = (written / name).read_bytes()
    for size in sorted({0, 1, 8, len(content) // 2, len(content) - 1}):
        (written / name).write_bytes(content[:size])
        with pytest.raises(DamagedCheckpoint, match=name):
            checkpoint.read(written)
    (written / name).write_bytes(content + b"\0")
    with pytest.raises(DamagedCheckpoint, match=name):
        checkpoint.read(written)


def test_damage_is_told(written: Path):
    file = written / "state.json"
    content = file.read_bytes()
    file.write_bytes(content[:-3])
    expected = rf"it has {len(content) - 3} bytes and should have {len(content)}"
    with pytest.raises(DamagedCheckpoint, match=expected):
        checkpoint.read(written)
    file.write_bytes(content.replace(b"7", b"8"))
    with pytest.raises(DamagedCheckpoint, match=r"state.json is not what was written: its SHA-256 differs"):
        checkpoint.read(written)
    file.unlink()
    with pytest.raises(DamagedCheckpoint, match=r"state.json cannot be read: No such file"):
        checkpoint.read(written)


@pytest.mark.parametrize("call", range(1, 6))
def test_no_space_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int):
    checkpoints = tmp_path / "checkpoints"
    checkpoint.write(checkpoints, 1, made({"weight": torch.ones(3)}))
    before, calls, synchronise = contents(checkpoints), 0, os.fsync

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    message = r"cannot write the checkpoint .*checkpoints/step-00000002: No space left on device; earlier ones are unto"
    with pytest.raises(OSError, match=message):
        checkpoint.write(checkpoints, 2, made({"weight": torch.zeros(3)}))
    assert os.listdir(checkpoints) == ["step-00000001"]
    assert contents(checkpoints) == before


def test_a_full_disk_in_training(tmp_path: Path, toy_folder: Path, toy_config: Config):
    def fill(step: int) -> None:
        if step == 8:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    def train() -> None:
        try:
            fit("lenet5", toy_folder, toy_config, out=tmp_path / "run", size=12, report=False, on_step=fill)
        except OSError as error:
            (tmp_path / "message").write_text(str(error))

    child = os.fork()
    if child == 0:
        try:
            train()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    message = (tmp_path / "message").read_text()
    folder = tmp_path / "run" / "checkpoints"
    assert message.startswith(f"cannot write the checkpoint {folder / 'step-00000012'}: ")
    assert "File too large" in message and message.endswith("; earlier ones are untouched")
    assert sorted(os.listdir(folder)) == ["step-00000000", "step-00000006"]
    resume(tmp_path / "run", report=False)
    fit("lenet5", toy_folder, toy_config, out=tmp_path / "straight", size=12, report=False)
    assert contents(folder) == contents(tmp_path / "straight" / "checkpoints")


def test_an_abandoned_attempt_is_no_obstacle(tmp_path: Path):
    partial = tmp_path / ".step-00000003.partial"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half")
    checkpoint.write(tmp_path, 3, made({"weight": torch.ones(1)}))
    assert os.listdir(tmp_path) == ["step-00000003"]
    partial.mkdir()
    checkpoint.clear_partial(tmp_path)
    assert os.listdir(tmp_path) == ["step-00000003"]


@pytest.mark.parametrize(
    ("best", "kept"),
    [
        ({}, [3, 4]),
        ({3: 1, 4: 1}, [1, 3, 4]),
        ({3: 1, 4: 4}, [1, 3, 4]),
        ({2: 1, 3: 3, 4: 3}, [3, 4]),
        ({3: 2, 4: 1}, [1, 2, 3, 4]),
    ],
)
def test_rotation(tmp_path: Path, best: Mapping[int, int], kept: list[int]):
    for step in range(5):
        checkpoint.write(tmp_path, step, made({}, best_step=best.get(step)))
    checkpoint.rotate(tmp_path)
    assert checkpoint.saved_steps(tmp_path) == kept


def test_rotation_beside_a_damaged_checkpoint(tmp_path: Path):
    for step in range(4):
        checkpoint.write(tmp_path, step, made({}, best_step=0))
    (checkpoint.step_folder(tmp_path, 3) / "state.json").write_bytes(b"")
    checkpoint.rotate(tmp_path)
    assert checkpoint.saved_steps(tmp_path) == [0, 2, 3]


def test_only_checkpoints_count(tmp_path: Path):
    for name in ("step-00000002", "step-x", ".step-00000005.partial", "other"):
        (tmp_path / name).mkdir()
    assert checkpoint.saved_steps(tmp_path) == [2]


def test_a_checkpoint_needs_its_best_one(tmp_path: Path):
    for step, best in ((1, 1), (2, 1)):
        checkpoint.write(tmp_path, step, made({}, best_step=best))
    (checkpoint.step_folder(tmp_path, 1) / "model.safetensors").write_bytes(b"")
    found = dict(checkpoint.newest_first(tmp_path))
    assert list(found) == [2, 1]
    assert all(isinstance(reason, DamagedCheckpoint) for reason in found.values())


class Remembering(nn.Linear):
    def get_extra_state(self) -> Any:
        return {"seen": 3}

    def set_extra_state(self, state: Any) -> None:
        """Forget it."""


def test_state_that_is_no_tensor():
    with pytest.raises(TypeError, match=r"the model's state '0._extra_state' must be a tensor to be stored, got dict"):
        checkpoint.model_tensors(nn.Sequential(Remembering(2, 2)))


def test_without_momentum(tmp_path: Path, toy_network: Toy, toy_data: Dataset):
    config = Config(epochs=2, batch_size=20, lr=0.05, momentum=0, precision="float32", threads=1, augment=None)
    fit(toy_network(), toy_data, config, out=tmp_path / "run", report=False)
    folder = tmp_path / "run" / "checkpoints"
    last = checkpoint.read(checkpoint.step_folder(folder, checkpoint.saved_steps(folder)[-1]))
    assert last.optimizer == {}
