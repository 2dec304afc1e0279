"""Weights of others in our networks: what was loaded, and what was changed to fit."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from striate.models.network import Network
from striate.models.registry import create

# A counter of batches, which older files lack and nothing depends on but a momentum of None.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What became of the tensors of a file.

    Args:
        file: the file.
        loaded: names of the tensors that the network has now.
        changed: what was changed to fit, a sentence each.
        missing: names of the network that the file lacks.
        unexpected: names of the file that the network lacks.
        wrongly_sized: name, sizes in the file and sizes in the network.

    Example:
        >>> report = LoadReport(file="weights.safetensors", loaded=("fc.weight",), missing=("fc.bias",))
        >>> print(report)
        weights.safetensors: 1 tensor loaded
        missing: fc.bias
    """

    file: str
    loaded: tuple[str, ...]
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    wrongly_sized: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every tensor of the file and of the network has found its place, or was changed to fit."""
        return not (self.missing or self.unexpected or self.wrongly_sized)

    def __str__(self) -> str:
        """The report in a few lines."""
        sized = (f"{name}: {theirs} in the file, {ours} in the network" for name, theirs, ours in self.wrongly_sized)
        lines = [f"{self.file}: {len(self.loaded)} tensor{'s' if len(self.loaded) != 1 else ''} loaded"]
        lines += [f"changed: {change}" for change in self.changed]
        for word, names in (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("wrongly sized", tuple(sized)),
        ):
            if names:
                more = f" and {len(names) - 8} more" if len(names) > 8 else ""
                lines.append(f"{word}: {', '.join(names[:8])}{more}")
        return "\n".join(lines)


class Loaded(NamedTuple):
    """A network with the weights of a file.

    Args:
        network: the network, in evaluation mode.
        report: what was loaded, and what was changed to fit.

    Example:
        >>> Loaded._fields
        ('network', 'report')
    """

    network: Network
    report: LoadReport


def load(name: str, weights: str | os.PathLike[str], *, strict: bool = True, **options: Any) -> Loaded:
    """Build a network by its name, with weights from a file.

    Networks that torchvision has, have torchvision's names of tensors, so that a file of its state dict loads as it is.

    Where `in_channels` is not what the file was trained with, the first layer is changed: its filters are added up over
    the file's channels and shared out evenly among the new ones, so that a grey picture gives what it gave in as many
    equal channels. Where `num_classes` is not, the classifier begins anew. The report says so.

    Args:
        name: the network's name.
        weights: a safetensors file.
        strict: whether to refuse a file that does not fit.
        options: fields of the network's config, such as `num_classes`.

    Returns:
        The network, in evaluation mode, and the report.

    Raises:
        ValueError: if there is no such network, the file holds no tensors, or, if `strict`, it lacks tensors, has
            others or has them of other sizes; the error is the report.
        TypeError: if the network has no such option.
        OSError: if the file cannot be read.

    Source:
        Summing the filters of the first layer over the channels: Wightman, "PyTorch Image Models", 2019.

    Example:
        >>> import tempfile
        >>> from safetensors.torch import save_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file(create("lenet5").state_dict(), f"{folder}/lenet5.safetensors")
        ...     network, report = load("lenet5", f"{folder}/lenet5.safetensors", num_classes=3)
        >>> report.changed
        ('output begins anew: 10 classes in the file, 3 wanted',)
    """
    network = create(name, **options)
    file = Path(weights)
    report = fit_weights(network, _read(file), str(file))
    if strict and not report.complete:
        raise ValueError(f"{name} cannot take these weights:\n{report}")
    return Loaded(network.eval(), report)


def _read(file: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is no safetensors file.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{file} is not a safetensors file: {error}") from error


def fit_weights(network: Network, tensors: Mapping[str, Tensor], file: str) -> LoadReport:
    """Put tensors in a network's places, with its first layer and its classifier changed to fit.

    Args:
        network: whose tensors are overwritten, those that fit.
        tensors: by name.
        file: where they are from, for the report.

    Returns:
        What was loaded.
    """
    given, changed, anew = dict(tensors), [], set[str]()
    wished = network.state_dict()
    for name in network.LAST:
        theirs, ours = given.get(f"{name}.weight"), wished.get(f"{name}.weight")
        if theirs is not None and ours is not None and len(theirs) != len(ours) and theirs.shape[1:] == ours.shape[1:]:
            changed.append(f"{name} begins anew: {len(theirs)} classes in the file, {len(ours)} wanted")
            anew |= {f"{name}.weight", f"{name}.bias"}
    first = f"{network.FIRST}.weight"
    theirs, ours = given.get(first), wished.get(first)
    if theirs is not None and ours is not None and _other_channels(theirs, ours):
        given[first] = (theirs.sum(1, keepdim=True) / ours.shape[1]).expand_as(ours)
        changed.append(
            f"{network.FIRST} has its filters summed over {theirs.shape[1]} channels and shared out among "
            f"{ours.shape[1]}"
        )
    names = [name for name in given if name not in anew]
    fitting = [name for name in names if name in wished and given[name].shape == wished[name].shape]
    with torch.no_grad():
        for name in fitting:
            wished[name].copy_(given[name])
    return LoadReport(
        file=file,
        loaded=tuple(fitting),
        changed=tuple(changed),
        missing=tuple(n for n in wished if n not in given and n not in anew and not n.endswith(_COUNTER)),
        unexpected=tuple(name for name in names if name not in wished),
        wrongly_sized=tuple(
            (name, tuple(given[name].shape), tuple(wished[name].shape))
            for name in names
            if name in wished and name not in fitting
        ),
    )


def _other_channels(theirs: Tensor, ours: Tensor) -> bool:
    """Whether two weights of a convolution differ in their input channels alone."""
    sizes = [(*weight.shape[:1], *weight.shape[2:]) for weight in (theirs, ours)]
    return theirs.ndim > 2 and theirs.shape[1] != ours.shape[1] and sizes[0] == sizes[1]
