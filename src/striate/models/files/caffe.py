"""Caffe's caffemodel: a network's message, of which the layers' blobs are the weights."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from striate.models.files.caffe_layers import LAYOUTS, TYPES, Layout, defaults_of, read_settings
from striate.models.files.weight_file import MAX_AXES, MAX_NAME, WeightFile, checked_shape
from striate.models.files.wire import BYTES, VARINT, Field, Run, Wire

_MAX_LAYERS = 2**14
_MAX_BLOBS = 16
_MAX_RUNS = 2**16

# What the blobs of a layer are called, where it is not weight and bias.
_BLOBS = {"BatchNorm": ("mean", "variance", "scale_factor"), "Bias": ("bias",)}


@dataclass(slots=True)
class _Blob:
    """A blob's sizes and where its numbers lie."""

    shape: list[int] = field(default_factory=list)
    # Caffe's four axes, of files before 2015: they count where they are given.
    legacy: dict[int, int] = field(default_factory=dict)
    floats: list[Run] = field(default_factory=list)
    doubles: list[Run] = field(default_factory=list)


class CaffeFile(WeightFile):
    """A caffemodel of either version, `layers` or `layer`.

    Tensors are named after their layer: `conv1.weight`, `conv1.bias`; those of BatchNorm are `mean`, `variance` and
    `scale_factor`, by which Caffe divides the two; others are `blob0`, `blob1` and so on. `metadata` has the network's
    `name` and `layers`: by name, the `type` and the settings, Caffe's defaults among them.
    """

    kind = "caffemodel"

    def __init__(self, path: Path, opened: BinaryIO) -> None:
        super().__init__(path, opened)
        self._wire = Wire(opened)
        self._runs: dict[str, list[Run]] = {}
        self._pieces = 0
        layers: dict[str, dict[str, Any]] = {}
        versions = set[int]()
        self._metadata = {"name": "", "layers": layers}
        for part in self._wire.fields():
            if part.number == 1:
                self._metadata["name"] = self._text(part)
            elif part.number in LAYOUTS:
                versions.add(part.number)
                before = len(self._entries)
                name, settings = self._layer(part, LAYOUTS[part.number])
                # The layers of training and of test may share a name: that of weights counts.
                if name not in layers or len(self._entries) > before:
                    layers[name] = settings
                if len(layers) > _MAX_LAYERS:
                    raise ValueError(f"more than {_MAX_LAYERS:,} layers")
        if len(versions) == 2:
            raise ValueError("it has both `layers` and `layer`: expected one version of Caffe's format")
        if not self._entries:
            raise ValueError("there are no layers with weights: it is no caffemodel, or truncated")

    def _text(self, part: Field) -> str:
        """A short text.

        Raises:
            ValueError: if it is long, or no UTF-8.
        """
        return self._wire.bytes_of(part, MAX_NAME).decode()

    def _layer(self, message: Field, layout: Layout) -> tuple[str, dict[str, Any]]:
        """A layer's name, type and settings; its blobs are taken up.

        Raises:
            ValueError: if it is damaged.
        """
        if message.wire != BYTES:
            raise ValueError(f"the layer at byte {message.begin:,} is no message")
        name, type_, blobs = "", "", list[_Blob]()
        settings: dict[str, Any] = {}
        for part in self._wire.fields(message):
            if part.number == layout.name:
                name = self._text(part)
            elif part.number == layout.type:
                type_ = TYPES.get(part.value, f"V1 {part.value}") if part.wire == VARINT else self._text(part)
            elif part.number == layout.blobs:
                if len(blobs) == _MAX_BLOBS:
                    raise ValueError(f"the layer {name!r} has more than {_MAX_BLOBS} blobs")
                blobs.append(self._blob(part))
            elif part.number in layout.settings:
                settings |= read_settings(self._wire, part, layout.settings[part.number])
            elif part.number == 1 and layout.blobs == 6:
                raise ValueError("its layers are those of Caffe's first format: upgrade it with Caffe's own tool")
        if blobs and not name:
            raise ValueError(f"the layer at byte {message.begin:,} has weights and no name")
        for index, blob in enumerate(blobs):
            self._take(blob, name, type_, index)
        return name, {"type": type_} | defaults_of(type_) | settings

    def _blob(self, message: Field) -> _Blob:
        """A blob of a layer.

        Raises:
            ValueError: if it is damaged.
        """
        if message.wire != BYTES:
            raise ValueError(f"the blob at byte {message.begin:,} is no message")
        blob, place = _Blob(), message.begin
        while place < message.end:
            part = self._wire.field(place, message.end)
            place = part.end
            if part.number in (1, 2, 3, 4):
                if part.wire != VARINT:
                    raise ValueError(f"the size at byte {part.begin:,} is no integer")
                blob.legacy[part.number] = part.signed
            elif part.number == 7 and part.wire == BYTES:
                for sizes in self._wire.fields(part):
                    if sizes.number == 1:
                        blob.shape += self._wire.integers(sizes, MAX_AXES)
            elif part.number in (5, 8):
                width, runs = (4, blob.floats) if part.number == 5 else (8, blob.doubles)
                run, place = self._wire.run(part, width, message.end)
                runs.append(run)
                self._pieces += 1
                if self._pieces > _MAX_RUNS:
                    raise ValueError(f"the numbers lie in more than {_MAX_RUNS:,} pieces")
        return blob

    def _take(self, blob: _Blob, layer: str, type_: str, index: int) -> None:
        """Take up a blob as a tensor.

        Raises:
            ValueError: if it does not hold as many numbers as its sizes say.
        """
        named = _BLOBS.get(type_, ("weight", "bias"))
        name = f"{layer}.{named[index]}" if index < len(named) else f"{layer}.blob{index}"
        if blob.floats and blob.doubles:
            raise ValueError(f"{name} has numbers of two types")
        runs = blob.doubles or blob.floats
        count = sum(run.count for run in runs)
        shape = [blob.legacy.get(axis, 0) for axis in (1, 2, 3, 4)] if blob.legacy else blob.shape
        checked_shape(tuple(shape), name)
        if math.prod(shape) != count:
            raise ValueError(f"{name} has the shape {shape} and {count:,} numbers")
        if blob.legacy:
            shape = _without_ones(shape, type_, index)
        self._announce(name, tuple(shape), torch.float64 if blob.doubles else torch.float32)
        self._runs[name] = runs

    @override
    def _read(self, name: str) -> Tensor:
        entry, done = self._entries[name], 0
        kind = np.float64 if entry.dtype == torch.float64 else np.float32
        numbers: NDArray[np.floating[Any]] = np.empty(math.prod(entry.shape), kind)
        for run in self._runs[name]:
            self._wire.numbers(run, numbers[done : done + run.count])
            done += run.count
        return torch.from_numpy(numbers).reshape(entry.shape)


def _without_ones(shape: list[int], type_: str, index: int) -> list[int]:
    """Four axes of old files as the axes that the tensor has: four of filters, two of a matrix, one of a bias."""
    axes = {"Convolution": 4, "Deconvolution": 4, "InnerProduct": 2}.get(type_, 1) if index == 0 else 1
    return shape[4 - axes :] if shape[: 4 - axes] == [1] * (4 - axes) else shape
