"""Writing a file so that a crash leaves the old one or the new one, never half of one."""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(file: Path, check: Callable[[], None] = lambda: None, *, concurrent: bool = False) -> Iterator[Path]:
    """A name beside a file to write to: brought to the disk and put in place at the end, removed if anything fails.

    What was there is replaced; of a link, the link. `check` is asked before anything is written, and right before the
    end. Where several processes may write the file at once (`concurrent`), each has a name of its own, which stays if
    it is killed; otherwise the next one takes over the name.
    """
    check()
    temporary = file.with_name(f".{file.name}.{f'{uuid.uuid4().hex}.' if concurrent else ''}partial")
    try:
        temporary.unlink(missing_ok=True)
        # Whoever writes may make a file of its own that nobody else can read.
        temporary.touch()
        mode = temporary.stat().st_mode & 0o777
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        check()
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
