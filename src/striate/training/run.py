"""A run folder: what was asked for, what was seen on the way, and the way back in."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import striate
from striate.training.files import sync_folder, write_json
from striate.whole_files import written_whole

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder.

    `config.json` holds what was asked for and what `auto` decided, `data.json` the classes, the parts by sample name
    and the preprocessing, `metrics.jsonl` what was measured (the same bits whenever the run is repeated), `times.jsonl`
    how long it took, `checkpoints` the states to go on from, `result.json` and `report.html` the end.

    Args:
        folder: where it is.
    """

    folder: Path

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def metrics(self) -> "Journal":
        """The measurements."""
        return Journal(self.folder / "metrics.jsonl")

    @property
    def times(self) -> "Journal":
        """The durations."""
        return Journal(self.folder / "times.jsonl")

    def epochs(self) -> list[dict[str, float]]:
        """The measurements of each whole epoch so far."""
        return [record for record in self.metrics.records() if "train_loss" in record]

    def create(self, config: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        """Begin a run: `config.json` comes last, and only with it is the folder a run.

        Raises:
            FileExistsError: if the folder holds something already.
            OSError: if it cannot be written.
        """
        check_new(self.folder)
        self.checkpoints.mkdir(parents=True)
        self.metrics.file.touch()
        self.times.file.touch()
        write_json(self.folder / "data.json", data)
        write_json(self.folder / "config.json", {"format": FORMAT, "striate": striate.__version__, **config})
        sync_folder(self.folder)

    def config(self) -> dict[str, Any]:
        """What was asked for, and what `auto` decided.

        Raises:
            FileNotFoundError: if the folder is no run.
            ValueError: if a newer version of Striate wrote it, or the file is damaged.
        """
        if not (self.folder / "config.json").is_file():
            raise FileNotFoundError(f"{self.folder} is not a run folder: it has no config.json")
        config = self._read("config.json")
        if config.get("format") != FORMAT:
            raise ValueError(
                f"{self.folder} was written by Striate {config.get('striate')} in format {config.get('format')}; "
                f"this is Striate {striate.__version__}, which reads format {FORMAT}"
            )
        match config:
            case {"model": {"name": str(), "options": _}, "source": str(), "training": {"epochs": int()}}:
                return config
        raise ValueError(f"{self.folder / 'config.json'} is damaged: it must hold a model, a source and settings")

    def data(self) -> dict[str, Any]:
        """The classes, the parts by sample name, the preprocessing and the manifest of the data.

        Raises:
            ValueError: if the file is damaged.
        """
        return self._read("data.json")

    def result(self) -> dict[str, Any] | None:
        """The end of a finished run, else None.

        Raises:
            ValueError: if the file is damaged.
        """
        return self._read("result.json") if (self.folder / "result.json").exists() else None

    def check_same(self, stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        """See that the run goes on as it began.

        Raises:
            ValueError: if a setting differs, naming all that do.
        """
        differing = [
            f"{name} was {stored.get(name)!r} and is {given.get(name)!r}"
            for name in sorted({*stored, *given})
            if stored.get(name) != given.get(name)
        ]
        if differing:
            raise ValueError(f"{self.folder} cannot go on with other settings: {'; '.join(differing)}")

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self.folder / name).read_bytes())
        except ValueError as error:
            raise ValueError(f"{self.folder / name} is damaged: {error}") from error
        if not isinstance(content, dict):
            raise ValueError(f"{self.folder / name} is damaged: expected an object, got {type(content).__name__}")
        return content


@dataclass(frozen=True, slots=True)
class Journal:
    """A file of JSON lines that only grows, and is cut back when a run goes on from an earlier step."""

    file: Path

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line and hand it to the operating system."""
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """All whole lines; those that a crash cut off, or left as zeros, are left out."""
        if not self.file.exists():
            return []
        records = []
        for line in self.file.read_bytes().split(b"\n")[:-1]:
            with contextlib.suppress(ValueError):
                records.append(json.loads(line))
        return records

    def mark(self) -> dict[str, Any]:
        """Size and digest of the file as it is, once it has reached the disk."""
        with self.file.open("rb") as stream:
            os.fsync(stream.fileno())
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return {"bytes": stream.tell(), "sha256": digest}

    def holds(self, mark: Mapping[str, Any]) -> bool:
        """Whether the file still begins with what it held at the mark."""
        if not self.file.exists():
            return bool(mark["bytes"] == 0)
        with self.file.open("rb") as stream:
            content = stream.read(mark["bytes"])
        return mark == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def cut(self, size: int) -> None:
        """Shorten the file to its first `size` bytes."""
        self.file.touch()
        os.truncate(self.file, size)

    def replace(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the file anew with only these records."""
        with written_whole(self.file) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def check_new(folder: Path) -> None:
    """See that a run can be begun in a folder, without making it.

    Raises:
        FileExistsError: if the folder holds something already.
        NotADirectoryError: if the folder, or one above it, is a file.
        PermissionError: if it cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()):
        if (folder / "config.json").exists():
            raise FileExistsError(f"{folder} holds a run already: resume it (striate resume {folder}) or name another")
        raise FileExistsError(f"{folder} is not empty: name a new folder for the run")
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"the run cannot be written to {folder}: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"the run cannot be written to {folder}: {nearest} is not writable")


def free_folder(stem: str, parent: Path = Path("runs")) -> Path:
    """The first of `runs/stem`, `runs/stem-2`, `runs/stem-3`, ... that does not exist yet."""
    number = 1
    while (folder := parent / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return folder
