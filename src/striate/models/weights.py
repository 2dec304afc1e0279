"""Weights of others in our networks: what was loaded, and what was changed to fit."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch

from striate.models.files import open_weights
from striate.models.loading.own import written_options, written_preprocessing
from striate.models.loading.plan import plan
from striate.models.loading.preprocessing import Preprocessing
from striate.models.loading.published import find
from striate.models.loading.report import LoadReport
from striate.models.network import Network
from striate.models.registry import builder_of, create

# The options for the auxiliary heads, which published files have or have not.
_HEADS = ("aux_logits", "aux_loss")


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

    @property
    def preprocessing(self) -> Preprocessing | None:
        """What pictures the weights want; None if nothing tells."""
        return self.report.preprocessing


def load(
    name: str, weights: str | os.PathLike[str], *, strict: bool = True, allow_pickle: bool = False, **options: Any
) -> Loaded:
    """Build a network by its name, with weights from a file or from where they are published.

    Networks that torchvision has, have torchvision's names of tensors, so that a file of its state dict loads as it is.
    So do timm's, Caffe's VGG and AlexNet, and the deformable ResNets of mmcv's family, whose names are recognised, and
    what wrappers have put before any names (`module.`, `_orig_mod.`, `model.` and others) is taken off. Names, sizes
    and types are checked before a tensor is read.

    Where `in_channels` is not what the file was trained with, the first layer is changed: its filters are added up over
    the file's channels and shared out evenly among the new ones, so that a grey picture gives what it gave in as many
    equal channels. Where `num_classes` is not, the classifier begins anew. The report says so.

    Args:
        name: the network's name.
        weights: a file: safetensors, Caffe's caffemodel, or PyTorch's checkpoint if `allow_pickle`; "torchvision" or
            "timm" for the weights that they publish for the network; "hub:ORG/NAME" for a repository of the hub, with
            "@REVISION" if wished.
        strict: whether to refuse a file that does not fit.
        allow_pickle: whether to read PyTorch's checkpoints, of which tensors and nothing else are taken. That of
            torchvision is asked for by its name, and checked against the hash that it was published with.
        options: fields of the network's config, such as `num_classes`. Those that are not given are the ones that a
            file of ours (`striate.export.to_safetensors`) was written with, or that published weights want:
            `transform_input`, and whether there are auxiliary heads.

    Returns:
        The network, in evaluation mode, and the report, with what pictures the weights want, if that is known.

    Raises:
        ValueError: if there is no such network, nothing is published for it, the file is none of these, is damaged or
            hostile, or, if `strict`, it lacks tensors, has others or has them of other sizes or types; the error is the
            report.
        TypeError: if the network has no such option.
        FileNotFoundError: if there is no such file.
        ConnectionError: if what is published cannot be fetched.
        OSError: if a file cannot be read.
        ImportError: if the extra `hub` is needed, and not installed.

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
    _on_meta(name, options)
    found = find(name, weights, allow_pickle)
    if found.file.is_dir():
        raise FileNotFoundError(f"there is no file {found.file}")
    with open_weights(found.file, allow_pickle=found.allow_pickle) as opened:
        if found.published:
            options = {**found.options, **_heads(name, opened.entries), **options}
        options = {**written_options(name, opened), **options}
        planned = plan(
            _on_meta(name, options),
            opened.entries,
            str(found.file),
            caffe=opened.metadata.get("layers", {}) if opened.kind == "caffemodel" else None,
            preprocessing=written_preprocessing(opened) or found.preprocessing,
        )
        if strict and not planned.report.complete:
            raise ValueError(f"{name} cannot take these weights:\n{planned.report}")
        network = create(name, **options)
        planned.fill(network, opened.read)
    return Loaded(network.eval(), planned.report)


def _on_meta(name: str, options: Mapping[str, Any]) -> Network:
    """The network without numbers."""
    with torch.device("meta"):
        return create(name, **options)


def _heads(name: str, entries: Iterable[str]) -> dict[str, bool]:
    """The option for auxiliary heads, if the network has one: whether they are in the file."""
    build = builder_of(name)
    heads = {last.partition(".")[0] for last in build.network.LAST[1:]}
    there = any(entry.partition(".")[0] in heads for entry in entries)
    return {field.name: there for field in dataclasses.fields(build.config) if field.name in _HEADS}
