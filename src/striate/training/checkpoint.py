"""Checkpoints: written whole or not at all, verified when read, no pickle."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from striate.training.files import sync_folder, to_json, write_json

_FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


class DamagedCheckpoint(ValueError):
    """A checkpoint that is not what was written: truncated, altered or incomplete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a run needs in order to go on as if it had never stopped."""

    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    state: Mapping[str, Any]


def step_folder(checkpoints: Path, step: int) -> Path:
    """The folder of the checkpoint after `step` steps."""
    return checkpoints / f"step-{step:08d}"


def saved_steps(checkpoints: Path) -> list[int]:
    """The steps that have a checkpoint, good or damaged, oldest first."""
    return sorted(int(folder.name[5:]) for folder in checkpoints.glob("step-*") if folder.name[5:].isdigit())


def write(checkpoints: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint to a temporary folder, bring it to the disk, and only then give it its name.

    Raises:
        OSError: if it cannot be written, for want of space for example; nothing is left behind then.
    """
    final = step_folder(checkpoints, step)
    temporary = checkpoints / f".{final.name}.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        _save_tensors(checkpoint.model, temporary / "model.safetensors")
        _save_tensors(checkpoint.optimizer, temporary / "optimizer.safetensors")
        write_json(temporary / "state.json", checkpoint.state)
        write_json(temporary / "manifest.json", {name: _fingerprint(temporary / name) for name in _FILES})
        sync_folder(temporary)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        sync_folder(checkpoints)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"cannot write the checkpoint {final}: {reason}; earlier ones are untouched") from error
    return final


def read(folder: Path) -> Checkpoint:
    """Read a checkpoint after checking every byte of it against its manifest.

    Raises:
        DamagedCheckpoint: if anything is missing or differs, saying what.
    """
    verify(folder)
    try:
        model, optimizer = (_load_tensors(folder / name) for name in _FILES[:2])
        state = json.loads((folder / "state.json").read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedCheckpoint(f"{folder} cannot be read: {error}") from error
    return Checkpoint(model=model, optimizer=optimizer, state=state)


def verify(folder: Path) -> None:
    """Compare the files of a checkpoint with its manifest.

    Raises:
        DamagedCheckpoint: if anything is missing or differs, saying what.
    """
    try:
        manifest = (folder / "manifest.json").read_bytes()
        expected = json.loads(manifest)
        as_written = to_json(expected) == manifest
    except (OSError, ValueError) as error:
        raise DamagedCheckpoint(f"{folder / 'manifest.json'} cannot be read: {error}") from error
    if not as_written or not isinstance(expected, dict) or tuple(expected) != _FILES:
        raise DamagedCheckpoint(f"{folder / 'manifest.json'} is not what was written")
    for name in _FILES:
        try:
            found = _fingerprint(folder / name)
        except OSError as error:
            raise DamagedCheckpoint(f"{folder / name} cannot be read: {error.strerror}") from error
        if found != expected[name]:
            raise DamagedCheckpoint(f"{folder / name} is not what was written: {_difference(found, expected[name])}")


def rotate(checkpoints: Path, keep: int = 2) -> None:
    """Delete all but the last `keep` checkpoints and the best one that each of these names."""
    steps = saved_steps(checkpoints)
    last = steps[-keep:]
    discard(checkpoints, set(steps).difference(last, (_best_step(checkpoints, step) for step in last)))


def discard(checkpoints: Path, steps: Iterable[int]) -> None:
    """Delete checkpoints."""
    for step in steps:
        shutil.rmtree(step_folder(checkpoints, step))


def _best_step(checkpoints: Path, step: int) -> int | None:
    """The best step at the time of a checkpoint; None if there was none or the checkpoint is damaged."""
    try:
        best: int | None = json.loads((step_folder(checkpoints, step) / "state.json").read_bytes())["best_step"]
    except (OSError, ValueError, KeyError):
        return None
    return best


def newest_first(checkpoints: Path) -> Iterator[tuple[int, Checkpoint | DamagedCheckpoint]]:
    """Go through the checkpoints, newest first: each as read, or the reason why it cannot be used.

    A checkpoint is of use only if the best one that it names is whole, too: the run ends by loading that.
    """
    for step in reversed(saved_steps(checkpoints)):
        try:
            checkpoint = read(step_folder(checkpoints, step))
            best = checkpoint.state["best_step"]
            if best not in (None, step):
                verify(step_folder(checkpoints, best))
        except DamagedCheckpoint as error:
            yield step, error
        else:
            yield step, checkpoint


def clear_partial(checkpoints: Path) -> None:
    """Remove what a killed process left half-written."""
    for folder in checkpoints.glob(".step-*.partial"):
        shutil.rmtree(folder, ignore_errors=True)


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The model's state as contiguous tensors, in the memory format that safetensors takes.

    Raises:
        TypeError: if a part of the state is not a tensor.
    """
    tensors = {}
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise TypeError(f"the model's state {name!r} must be a tensor to be stored, got {type(value).__name__}")
        tensors[name] = value
    return tensors


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors, each named after its parameter."""
    return {
        f"{name}:{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put a checkpoint's tensors into a model, keeping the model's memory format.

    Raises:
        ValueError: if they are those of another network.
    """
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"the checkpoint is not of this network: {error}") from error


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's tensors into a model and its optimizer, in the memory format that the model has."""
    load_weights(model, checkpoint.model)
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for full_name, value in checkpoint.optimizer.items():
        name, _, key = full_name.rpartition(":")
        parameter = parameters[name]
        optimizer.state[parameter][key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _difference(found: Mapping[str, Any], expected: Any) -> str:
    match expected:
        case {"bytes": int(size)} if size != found["bytes"]:
            return f"it has {found['bytes']:,} bytes and should have {size:,}"
    return "its SHA-256 differs"


def _save_tensors(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write tensors, each storage once; names that share one are listed in the file's metadata."""
    owners: dict[tuple[object, ...], str] = {}
    unique, aliases = {}, {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()) if tensor.numel() else (name,)
        owner = owners.setdefault(place, name)
        if owner == name:
            unique[name] = tensor.detach().cpu().contiguous().clone()
        else:
            aliases[name] = owner
    save_file(unique, file, metadata={"aliases": json.dumps(aliases, sort_keys=True)})
    with file.open("rb") as written:
        os.fsync(written.fileno())


def _load_tensors(file: Path) -> dict[str, Tensor]:
    """Read what `_save_tensors` wrote, with every name that it was given."""
    with safe_open(file, "pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}
        aliases = json.loads(stored.metadata()["aliases"])
    return tensors | {alias: tensors[owner] for alias, owner in aliases.items()}


def _fingerprint(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"bytes": stream.tell(), "sha256": digest}
