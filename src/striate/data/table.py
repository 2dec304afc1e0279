"""A table of picture files: a CSV with the columns path, label and, optionally, split."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from striate.data.source import PART_WORDS, Part, Source, class_order


def read_table(file: Path) -> Source:
    """Return the pictures that a CSV lists, paths relative to its folder.

    Args:
        file: The CSV: UTF-8, comma-separated, with a header line.

    Returns:
        The samples, in the order of the lines; names are the paths as written.

    Raises:
        ValueError: If a column is missing, a line has too many or too few fields, a path appears twice, a label is
            empty or a word of `split` is unknown; the file and the line are named.
        FileNotFoundError: If a picture does not exist; the file and the line are named.
    """
    names: dict[str, int] = {}
    targets, paths = [], []
    given: list[Part] = []
    for line, row in _rows(file):
        name = Path(row["path"]).as_posix()
        where = f"{file}, line {line}"
        if name in names:
            raise ValueError(f"{where}: path {name} is already in line {names[name]}")
        if not row["label"]:
            raise ValueError(f"{where}: label is empty")
        path = os.path.join(file.parent, row["path"])
        if not row["path"] or not os.path.exists(path):
            raise FileNotFoundError(f"{where}: there is no picture {row['path']!r} in {file.parent}")
        if "split" in row:
            if row["split"].lower() not in PART_WORDS:
                raise ValueError(f"{where}: split must be one of {', '.join(PART_WORDS)}, got {row['split']!r}")
            given.append(PART_WORDS[row["split"].lower()])
        names[name] = line
        targets.append(row["label"])
        paths.append(path)
    if not names:
        raise ValueError(f"{file} lists no pictures: expected a header and one line a picture")
    return Source(
        names=tuple(names),
        targets=tuple(targets),
        order=class_order(targets),
        given=tuple(given) or None,
        paths=tuple(paths),
    )


# The number of each line, and its fields by column.
def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with open(file, newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            columns = [column.strip().lower() for column in next(reader, [])]
            for column in ("path", "label"):
                if column not in columns:
                    raise ValueError(f"{file} has no column {column!r}; its header is {', '.join(columns) or 'empty'}")
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != len(columns):
                    raise ValueError(
                        f"{file}, line {reader.line_num}: {len(fields)} fields, the header has {len(columns)}"
                    )
                yield reader.line_num, dict(zip(columns, map(str.strip, fields), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file} is not a table in UTF-8: {error}") from error
