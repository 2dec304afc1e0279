"""A data set ready to train on, and how one is loaded."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from striate.data.arrays import read_arrays
from striate.data.digits import read_digits
from striate.data.folder import read_folder
from striate.data.manifest import describe
from striate.data.resample import recolour, resample
from striate.data.source import PARTS, Part, Source
from striate.data.split import divide, gather, recall
from striate.data.store import Files, Memory, Store, read_headers
from striate.data.table import read_table
from striate.data.wording import counted, listed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Labelled pictures of one size, divided into parts; `load` makes one.

    Args:
        source: Where the pictures come from, as it was given.
        classes: The classes of the training part; a label is an index into them.
        labels: The label of each sample, `(N,)`, int64.
        names: The name of each sample, unique: a relative path, or `images[12]`, `digits[12]`.
        parts: The samples of train, val and test, int64; val and test may be empty.
        channels: 1 (grey) or 3 (red, green, blue).
        size: (height, width) of every picture in pixels.
        peak: The value of full white: 255, 65535, or 1.0 for arrays of floats.
        in_memory: Whether all pictures are held in one tensor.
        notes: Sentences for the user on what was skipped or decided.
        store: Where the pictures are kept.

    Example:
        >>> digits = load("digits", size=28)
        >>> digits.read(digits.parts["test"][:2]).shape
        torch.Size([2, 1, 28, 28])
    """

    source: str
    classes: tuple[str, ...]
    labels: Tensor
    names: tuple[str, ...]
    parts: Mapping[Part, Tensor]
    channels: int
    size: tuple[int, int]
    peak: float
    in_memory: bool
    notes: tuple[str, ...]
    store: Store

    def read(self, samples: Tensor) -> Tensor:
        """Return pictures as they are stored, neither scaled nor normalised.

        Args:
            samples: Indices, `(B,)`, int64.

        Returns:
            `(B, C, H, W)`: uint8 in 0..255, int32 in 0..65535, or float32.

        Raises:
            OSError: If a file cannot be opened.
            ValueError: If a file is damaged.
        """
        return self.store.read(samples)

    def manifest(self) -> dict[str, object]:
        """Return what identifies the data, ready for JSON.

        Returns:
            Classes, sizes, the names of the samples by part and digests: of the contents where the pictures are in
            memory, of the sizes of the files where they are not. `changes` compares two of them.
        """
        return describe(self)


def load(
    source: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    seed: int = 0,
    parts: Mapping[Part, Sequence[str]] | None = None,
    classes: Sequence[str] | None = None,
    memory: int = 2 << 30,
) -> Dataset:
    """Load labelled pictures.

    Args:
        source: `"digits"` (the digits bundled with scikit-learn, whatever else has that name; write `./digits` for a
            folder), a folder with one sub-folder a class or with train, val and test folders of such, an .npz with
            `images`, `labels` and perhaps `split`, or a .csv with `path`, `label` and perhaps `split`, its paths
            relative to its folder. Nothing is ever written there.
        size: Pixels, `(height, width)` or one number for both, that every picture is resampled to; None keeps the
            pictures' own size, which must then be one.
        channels: 1 (grey) or 3 (colour); None takes 1 if every training picture is grey.
        seed: Chooses the parts where the source does not: 80 % train, 10 % val, 10 % test, by class.
        parts: The names of the samples by part, as an earlier `Dataset.manifest()["parts"]`, in place of a new choice.
        classes: The classes of a trained network, to measure it on these pictures: labels are indices into them, one
            class is enough, and where the source gives no parts all samples are in test.
        memory: Bytes of pictures up to which all are decoded at once and held; above, files are decoded when read, and
            arrays are resampled when read.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: If there is no such source, or a table lists a picture that does not exist.
        OSError: If a file cannot be opened.
        ValueError: If the source holds no classes or only one, a picture cannot be read, an array has the wrong shape,
            type or values, pictures differ in size without `size`, a class is in val or test but not in train, or
            `parts` contradicts the source, or a class is not among `classes`. Files, lines and samples are named.

    Example:
        >>> digits = load("digits")
        >>> digits.classes, digits.size, {part: len(samples) for part, samples in digits.parts.items()}
        (('0', '1', '2', '3', '4', '5', '6', '7', '8', '9'), (8, 8), {'train': 1439, 'val': 179, 'test': 179})
    """
    if isinstance(size, int):
        size = (size, size)
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ValueError(f"size must be a number of pixels or (height, width), each 1 or more, got {size}")
    if channels not in (None, 1, 3):
        raise ValueError(f"channels must be 1, 3 or None, got {channels}")
    found = _read_source(source)
    notes: list[str] = []
    if parts is not None:
        indices = recall(found, parts)
    elif classes is not None:
        indices = gather(found, otherwise="test")
    else:
        indices, notes = divide(found, seed=seed)
    classes = tuple(classes) if classes is not None else _trained_classes(found, indices, source)
    unknown = [target for target in found.order if target not in classes]
    if unknown:
        raise ValueError(
            f"{os.fspath(source)} has {counted(len(unknown), 'class', 'classes')} that the network does not know "
            f"({listed(unknown)}): it knows {listed(classes)}"
        )
    label = {target: index for index, target in enumerate(classes)}
    if found.pictures is None:
        store, peak = _from_files(found, indices["train"] or range(len(found.names)), channels, size, memory)
    else:
        store, peak = _from_array(found.pictures, channels, size, memory), found.peak
    one = store.read(torch.tensor([0]))
    return Dataset(
        source=os.fspath(source),
        classes=classes,
        labels=torch.tensor([label[target] for target in found.targets]),
        names=found.names,
        parts={part: torch.tensor(samples, dtype=torch.int64) for part, samples in indices.items()},
        channels=one.shape[1],
        size=(one.shape[2], one.shape[3]),
        peak=peak,
        in_memory=isinstance(store, Memory),
        notes=(*found.notes, *notes),
        store=store,
    )


def _read_source(source: str | os.PathLike[str]) -> Source:
    if source == "digits":
        return read_digits()
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f'no such source: {path}; expected "digits", a folder, an .npz or a .csv')
    if path.is_dir():
        return read_folder(path)
    readers = {".npz": read_arrays, ".csv": read_table}
    if path.suffix.lower() not in readers:
        raise ValueError(f'{path} is no source of pictures: expected "digits", a folder, an .npz or a .csv')
    return readers[path.suffix.lower()](path)


# The classes of the training part; the other parts may not have more.
def _trained_classes(
    found: Source, parts: Mapping[Part, Sequence[int]], source: str | os.PathLike[str]
) -> tuple[str, ...]:
    """Return the classes of the training part; the other parts may not have more.

    Raises:
        ValueError: If they have, or there are fewer than two.
    """
    trained = {found.targets[index] for index in parts["train"]}
    for part in PARTS:
        for index in parts[part]:
            if found.targets[index] not in trained:
                raise ValueError(
                    f"{os.fspath(source)}: the class {found.targets[index]!r} is in {part} ({found.names[index]}), "
                    f"but no training picture has it"
                )
    if len(trained) < 2:
        raise ValueError(
            f"{os.fspath(source)} has {counted(len(trained), 'class', 'classes')} to train on "
            f"({listed(sorted(trained)) or 'none'}): a classifier needs two or more"
        )
    return tuple(target for target in found.order if target in trained)


def _from_array(pictures: Tensor, channels: int | None, size: tuple[int, int] | None, memory: int) -> Memory:
    """Hold pictures at `size` where that fits in `memory`, else at their own size."""
    pictures = recolour(pictures, channels or pictures.shape[1])
    size = size or (pictures.shape[2], pictures.shape[3])
    if pictures[:, :, :1, :1].numel() * size[0] * size[1] * pictures.element_size() <= memory:
        pictures = resample(pictures, size)
    return Memory(pictures=pictures.contiguous(), size=size)


# Files that fit in `memory` are held; the value of white is returned, too.
def _from_files(
    found: Source, train: Sequence[int], channels: int | None, size: tuple[int, int] | None, memory: int
) -> tuple[Store, float]:
    headers = read_headers(found.paths)
    if channels is None:
        channels = max(headers[index].channels for index in train)
    if size is None:
        size = headers[0].size
        for name, header in zip(found.names, headers, strict=True):
            if header.size != size:
                raise ValueError(
                    f"pictures differ in size: {found.names[0]} has {size}, {name} has {header.size} (height, width); "
                    f"give a size to resample them to"
                )
    peak = float(max(header.peak for header in headers))
    files = Files(paths=found.paths, channels=channels, peak=peak, size=size)
    needed = len(headers) * channels * size[0] * size[1] * (1 if peak == 255 else 4)
    return (files.held() if needed <= memory else files), peak
