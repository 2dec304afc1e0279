"""Pictures as NumPy arrays in an .npz file."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from striate.data.source import PART_WORDS, Part, Source, class_order


def read_arrays(file: Path) -> Source:
    """Return the pictures of an .npz with the arrays `images`, `labels` and, optionally, `split`.

    Args:
        file: The .npz. `images` is `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)` with 1 or 3 channels; where both the
            second and the last axis have 1 or 3 places, the last one holds the channels. Integers are in 0..255 or
            0..65535, floats finite with 1.0 as white. `labels` `(N,)` are integers or strings, `split` words.

    Returns:
        The samples, named `images[0]`, `images[1]` and so on.

    Raises:
        ValueError: If the file is no .npz, a key is missing, the lengths do not match, or an array has a shape, type
            or value that cannot be used; the key is named.
    """
    with _opened(file) as archive:
        missing = [key for key in ("images", "labels") if key not in archive]
        if missing:
            found = ", ".join(archive.files) or "nothing"
            raise ValueError(f"{file} has no array {missing[0]!r}; it holds {found}")
        images = _array(archive, "images", file)
        labels = _array(archive, "labels", file)
        split = _array(archive, "split", file) if "split" in archive else None
    pictures, peak = _scaled(_channels_first(images, file), file)
    targets = _words(labels, "labels", len(images), file)
    return Source(
        names=tuple(f"images[{index}]" for index in range(len(images))),
        targets=targets,
        order=class_order(targets),
        given=None if split is None else _parts(_words(split, "split", len(images), file), file),
        pictures=torch.from_numpy(pictures),
        peak=peak,
    )


def _opened(file: Path) -> "np.lib.npyio.NpzFile":
    # Without this check NumPy takes any other file for a pickle.
    if not zipfile.is_zipfile(file):
        raise ValueError(f"{file} is not an .npz file, or is truncated")
    try:
        archive: np.lib.npyio.NpzFile = np.load(file, allow_pickle=False)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    return archive


def _array(archive: "np.lib.npyio.NpzFile", key: str, file: Path) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = archive[key]
    # NumPy refuses pickled objects by ValueError; damaged archives raise zlib.error, BadZipFile or EOFError.
    except Exception as error:
        raise ValueError(f"{file}: array {key!r} cannot be read: {error}") from error
    return array


def _channels_first(images: NDArray[np.generic], file: Path) -> NDArray[np.generic]:
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    elif images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"{file}: images must be (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1 or 3, got {images.shape}"
        )
    if 0 in images.shape:
        raise ValueError(f"{file}: images is empty: its shape is {images.shape}")
    return images


# Contiguous uint8, int32 or float32 values, and the value of white.
def _scaled(images: NDArray[np.generic], file: Path) -> tuple[NDArray[np.generic], float]:
    kind = images.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(images, np.float32)
        wrong = ~np.isfinite(values)
        if wrong.any():
            first = int(wrong.reshape(len(values), -1).any(axis=1).argmax())
            raise ValueError(
                f"{file}: images holds {np.count_nonzero(wrong):,} values that are NaN or infinite, "
                f"the first in images[{first}]"
            )
        return values, 1.0
    if kind not in "iu":
        raise ValueError(f"{file}: images must be integers or floats, got {images.dtype}")
    low, high = int(images.min()), int(images.max())
    if low < 0 or high > 65535:
        raise ValueError(f"{file}: images must be in 0..255 or 0..65535, got {low} to {high}")
    if images.dtype == np.uint16 or high > 255:
        return np.ascontiguousarray(images, np.int32), 65535.0
    return np.ascontiguousarray(images, np.uint8), 255.0


# Integers or strings as strings.
def _words(array: NDArray[np.generic], key: str, samples: int, file: Path) -> tuple[str, ...]:
    if array.shape != (samples,):
        raise ValueError(f"{file}: {key} must be ({samples},), one for each of the images, got {array.shape}")
    if array.dtype.kind == "S":
        array = np.char.decode(array.astype(np.bytes_), "utf-8")
    if array.dtype.kind not in "iuU":
        raise ValueError(f"{file}: {key} must be integers or strings, got {array.dtype}")
    words = tuple(str(word) for word in array.tolist())
    if "" in words:
        raise ValueError(f"{file}: {key}[{words.index('')}] is empty")
    return words


def _parts(words: tuple[str, ...], file: Path) -> tuple[Part, ...]:
    for index, word in enumerate(words):
        if word.lower() not in PART_WORDS:
            raise ValueError(f"{file}: split[{index}] must be one of {', '.join(PART_WORDS)}, got {word!r}")
    return tuple(PART_WORDS[word.lower()] for word in words)
