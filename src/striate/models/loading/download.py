"""Files from where weights are published: whole and checked, or not there."""

import hashlib
import re
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.request import urlopen

import torch

from striate.whole_files import written_whole

# Weights of the largest network here take half of it.
_LARGEST = 2**30
_PIECE = 2**20
_SECONDS = 30


def fetched(address: str) -> Path:
    """A published file in PyTorch's folder of such files, where torchvision looks, too; fetched if it is not there.

    Args:
        address: of the file, whose name ends with the first digits of its SHA-256.

    Returns:
        The file, checked.

    Raises:
        ConnectionError: if it cannot be fetched; nothing of it is left then.
        ValueError: if it is not what was published.
    """
    name = address.rpartition("/")[2]
    digits = name.rpartition("-")[2].partition(".")[0]
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    file = folder / name
    if file.is_file():
        found = hashlib.sha256()
        with file.open("rb") as opened:
            while piece := opened.read(_PIECE):
                found.update(piece)
        _check(found.hexdigest(), digits, f"{file}; delete it to fetch it anew")
        return file
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(file, concurrent=True) as temporary, temporary.open("wb") as written:
        _check(_fetch(address, written), digits, address)
    return file


def _fetch(address: str, written: IO[bytes]) -> str:
    """Write what an address gives; its SHA-256.

    Raises:
        ConnectionError: if it does not come, not whole, or does not end.
    """
    found, length = hashlib.sha256(), 0
    try:
        with urlopen(address, timeout=_SECONDS) as answer:
            announced = answer.headers.get("Content-Length")
            while piece := answer.read(_PIECE):
                length += len(piece)
                if length > _LARGEST:
                    raise ConnectionError(f"it is larger than {_LARGEST:,} bytes")
                found.update(piece)
                written.write(piece)
        if announced is not None and length != int(announced):
            raise ConnectionError(f"{length:,} of {int(announced):,} bytes came")
    except (OSError, HTTPException, ValueError) as error:
        raise ConnectionError(
            f"cannot fetch {address}: {error}; a file that is here can be given by its path"
        ) from error
    return found.hexdigest()


def _check(found: str, digits: str, what: str) -> None:
    """See that a file is the published one.

    Raises:
        ValueError: if it is not.
    """
    if not re.fullmatch(r"[0-9a-f]{8,64}", digits) or not found.startswith(digits):
        raise ValueError(f"the SHA-256 must begin with {digits}, as published, got {found[: len(digits)]}: {what}")


def from_repository(repository: str, files: Sequence[str], revision: str | None, *, needed: bool = True) -> Path | None:
    """The first of these files that a repository on the hub has, in the hub's own folder.

    Args:
        repository: ORG/NAME.
        files: names, in the order of preference.
        revision: a branch, tag or commit; None for the newest.
        needed: whether it is an error that there is none.

    Returns:
        The file; None if there is none and none is needed.

    Raises:
        ImportError: if the extra `hub` is not installed.
        ConnectionError: if it cannot be fetched.
        ValueError: if there is no such repository, revision or file.
    """
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError as error:
        raise ImportError("weights from the hub need the extra: pip install 'striate[hub]'") from error
    for file in files:
        try:
            return Path(hf_hub_download(repository, file, revision=revision))
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
            raise ValueError(f"the hub has no {repository}{f'@{revision}' if revision else ''}: {error}") from error
        except errors.LocalEntryNotFoundError as error:
            # Of the offline ones: nobody knows whether there is such a file.
            if needed:
                raise ConnectionError(f"cannot fetch {file} of {repository}: {error}") from error
        except errors.EntryNotFoundError:
            continue
        except OSError as error:
            raise ConnectionError(f"cannot fetch {file} of {repository}: {error}") from error
    if needed:
        raise ValueError(f"{repository} has no {' or '.join(files)}")
    return None
