"""Writing files so that a crash leaves the old one or the new one, never half of one."""

import json
import os
from pathlib import Path
from typing import Any


def to_json(content: Any) -> bytes:
    """The one way in which Striate writes JSON files."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # A file name that is no UTF-8 reaches us as lone surrogates.
    return text.encode("utf-8", "surrogatepass")


def write_json(file: Path, content: Any) -> None:
    """Write JSON under a temporary name, bring it to the disk, then rename it."""
    temporary = file.with_name(f".{file.name}.partial")
    try:
        with temporary.open("wb") as stream:
            stream.write(to_json(content))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
