"""Writing a file beside its place, and putting it there only when it is known to be right."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


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


@contextlib.contextmanager
def placed(file: Path, *, overwrite: bool) -> Iterator[Path]:
    """A name beside a file to write to and to check: put in place at the end, or removed if anything goes wrong.

    Raises:
        OSError: if the file cannot be written.
    """
    check_place(file, overwrite=overwrite)
    temporary = file.with_name(f".{file.name}.partial")
    try:
        # Whoever writes may make a file of its own that nobody else can read.
        temporary.touch()
        mode = temporary.stat().st_mode & 0o777
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        check_place(file, overwrite=overwrite)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
