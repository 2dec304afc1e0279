"""Writing a file beside its place, and putting it there only when it is known to be right."""

import os
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from striate.whole_files import written_whole


def check_place(file: Path, *, overwrite: bool) -> None:
    """See that a file can be written.

    Raises:
        FileExistsError: if it is there already, or is a device, a pipe or another thing that is no file.
        IsADirectoryError: if it is a folder.
        FileNotFoundError: if the folder that it should lie in is not there.
    """
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder: name a file")
    # What is put in place replaces what was there: a device would be lost.
    if file.exists() and not file.is_file():
        raise FileExistsError(f"{file} is no regular file: name another")
    if os.path.lexists(file) and not overwrite:
        raise FileExistsError(f"{file} is there already: name another file, or replace it with --overwrite")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {file.parent} to write {file.name} to")


def placed(file: Path, *, overwrite: bool) -> AbstractContextManager[Path]:
    """A name beside a file to write to and to check: put in place at the end, or removed if anything goes wrong."""
    return written_whole(file, partial(check_place, file, overwrite=overwrite))
