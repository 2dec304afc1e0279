"""The door to files of weights."""

import os
from pathlib import Path
from typing import BinaryIO

from striate.models.files.caffe import CaffeFile
from striate.models.files.checkpoint import CheckpointFile
from striate.models.files.safetensors_file import SafetensorsFile, ShardedFile
from striate.models.files.weight_file import WeightFile, open_regular, shortened

_KINDS: dict[str, type[WeightFile]] = {
    ".safetensors": SafetensorsFile,
    ".json": ShardedFile,
    ".caffemodel": CaffeFile,
    ".pt": CheckpointFile,
    ".pth": CheckpointFile,
    ".bin": CheckpointFile,
    ".ckpt": CheckpointFile,
    ".tar": CheckpointFile,
}


def open_weights(path: str | os.PathLike[str], *, allow_pickle: bool = False) -> WeightFile:
    """Open a file of weights: safetensors, a PyTorch checkpoint or Caffe's caffemodel.

    Names, sizes and types are known before any tensor takes memory. The suffix says what the file is, and its first
    bytes where the suffix is none of these:

    - `.safetensors`, or an index `.json` of shards in the same folder;
    - `.pt`, `.pth`, `.bin`, `.ckpt`, `.tar`: a checkpoint, of which nothing but tensors and plain values is read;
    - `.caffemodel`: `metadata["layers"]` has every layer's type and settings by its name.

    Args:
        path: the file.
        allow_pickle: whether a PyTorch checkpoint may be read. It holds a pickle, which is checked word by word and
            then read by `torch.load(weights_only=True)`; code in it is refused, never run.

    Returns:
        The file, opened: close it, or use it in a `with`.

    Raises:
        ValueError: if the file is not of these kinds, damaged, hostile or past the limits; or if it holds a pickle and
            that was not allowed.
        OSError: if there is no such file, or it may not be read.

    Example:
        >>> import tempfile
        >>> import safetensors.torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     safetensors.torch.save_file({"conv1.weight": torch.ones(6, 1, 5, 5)}, f"{folder}/net.safetensors")
        ...     with open_weights(f"{folder}/net.safetensors") as file:
        ...         print(file.kind, file.entries["conv1.weight"].shape, file.read("conv1.weight").sum())
        safetensors (6, 1, 5, 5) tensor(150.)
    """
    file = Path(path)
    try:
        opened = open_regular(file)
        try:
            kind = _KINDS.get(file.suffix.lower()) or _kind_of(opened)
            if kind is CheckpointFile and not allow_pickle:
                raise ValueError(
                    "it is a PyTorch checkpoint, which holds a pickle: allow_pickle=True reads the tensors of it "
                    "and runs nothing"
                )
            return kind(file, opened)
        except BaseException:
            opened.close()
            raise
    except ValueError as error:
        raise ValueError(f"{file}: {shortened(error)}") from error


def _kind_of(opened: BinaryIO) -> type[WeightFile]:
    """What a file is by its first bytes.

    Raises:
        ValueError: if it is none of the kinds.
    """
    start = opened.read(9)
    opened.seek(0)
    if start.startswith((b"PK\x03\x04", b"\x80\x02")):
        return CheckpointFile
    if start[8:] == b"{":
        return SafetensorsFile
    raise ValueError(f"neither the suffix nor the first bytes are known: expected one of {', '.join(_KINDS)}")
