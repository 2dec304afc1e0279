"""How a run's files are written."""

import json
import os
from pathlib import Path
from typing import Any

from striate.whole_files import written_whole


def to_json(content: Any) -> bytes:
    """The one way in which Striate writes JSON files."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # A file name that is no UTF-8 reaches us as lone surrogates.
    return text.encode("utf-8", "surrogatepass")


def write_json(file: Path, content: Any) -> None:
    """Write JSON, the whole file or nothing."""
    with written_whole(file) as temporary:
        temporary.write_bytes(to_json(content))


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
