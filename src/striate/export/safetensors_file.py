"""A network's tensors with all that is needed to build it again."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from striate.export.comparison import TOLERANCES, answers, check, error_of, sample, sizes_of, still
from striate.export.exported import Exported
from striate.export.files import placed
from striate.export.metadata import metadata
from striate.models import name_of, rebuild
from striate.models.loading.preprocessing import Preprocessing


def to_safetensors(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a network's tensors, load them again and compare every bit.

    A network of `striate.models` is moreover built again from the file alone, and its outputs on random inputs are
    compared. Tied weights are written once for each of their names, so that the file loads anywhere.

    The file's metadata are words: `format` ("pt"), `library` ("striate"), `version`, and, for a network of ours,
    `network`, its name, and `config`, all its options as JSON; where they are given, `classes` and `preprocessing`,
    JSON too. `striate.models.load` reads them.

    Args:
        model: any module; it is left as it is, in its mode and on its device.
        path: the file to write.
        classes: the names of the classes, one an output.
        preprocessing: what is done with a picture before the network sees it.
        overwrite: whether a file that exists is replaced.

    Returns:
        The file and what it holds; the error is 0 for a module that is not of `striate.models`, whose tensors alone
        are compared.

    Raises:
        ValueError: if the file does not give the same again, or the classes are not the network's; nothing is written.
        TypeError: if the model's state holds more than tensors, or the preprocessing is something else.
        OSError: if the file is there already or cannot be written.

    Example:
        >>> import tempfile
        >>> from striate import models
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     exported = to_safetensors(models.create("lenet5"), f"{folder}/lenet5.safetensors")
        >>> exported.contents
        '11 tensors of lenet5'
    """
    file = Path(path)
    words = {"format": "pt", **metadata(model, classes, preprocessing)}
    name = name_of(model)
    with placed(file, overwrite=overwrite) as temporary:
        tensors = tensors_of(model)
        save(tensors, temporary, words)
        again, stored = _read(temporary)
        if stored != words or again.keys() != tensors.keys():
            raise ValueError(f"{file} does not hold what was written: nothing is left of it")
        for key, tensor in tensors.items():
            if not _same_bits(again[key], tensor):
                raise ValueError(f"{file} does not give the bits of {key} again: nothing is left of it")
        error = 0.0 if name is None else _rebuilt_error(model, stored, again)
        check(error, TOLERANCES[torch.float32], str(file))
    of = type(model).__name__ if name is None else name
    count = f"{len(tensors)} tensor{'s' if len(tensors) != 1 else ''}"
    return Exported(file=file, contents=f"{count} of {of}", error=error, tolerance=TOLERANCES[torch.float32])


def save(tensors: dict[str, Tensor], file: Path, words: dict[str, str] | None = None) -> None:
    """Write tensors.

    Raises:
        OSError: if the file cannot be written, on a full disk for instance.
    """
    try:
        save_file(tensors, file, words)
    except SafetensorError as error:
        raise OSError(f"{file} cannot be written: {error}") from error


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """The state of a model, every tensor on the CPU and in memory of its own.

    Raises:
        TypeError: if it holds anything else.
    """
    found: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise TypeError(f"the state of model must hold tensors alone, got {name} of {type(value).__name__}")
        found[name] = value.detach().cpu().contiguous()
    seen = set[int]()
    for name, value in found.items():
        place = value.untyped_storage().data_ptr()
        if place in seen and value.numel():
            found[name] = value.clone()
        seen.add(place)
    return found


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata()  # noqa: SIM118


def _same_bits(found: Tensor, expected: Tensor) -> bool:
    if (found.dtype, found.shape) != (expected.dtype, expected.shape):
        return False
    return torch.equal(found.reshape(-1).view(torch.uint8), expected.reshape(-1).view(torch.uint8))


def _rebuilt_error(model: nn.Module, words: dict[str, str], tensors: dict[str, Tensor]) -> float:
    """How far the outputs of a network built from the file alone are from the network's, in float32.

    Raises:
        ValueError: if the tensors do not fit that network.
    """
    with torch.random.fork_rng(devices=[]):
        again = rebuild(words["network"], json.loads(words["config"]))
    try:
        again.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"model is not what its config says, its tensors do not fit {words['network']}") from error
    ours = still(model).float()
    input = sample(2, sizes_of(model, None), torch.float32)
    return error_of(answers(again.eval(), input), answers(ours, input))
