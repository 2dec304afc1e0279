import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough columns for every cell in one line."""
    monkeypatch.setenv("COLUMNS", "400")


def test_every_run(striate: Command, trained: Path, pictures: Path, tmp_path: Path):
    for name in ("a", "b", "c", "d[red]"):
        shutil.copytree(trained, tmp_path / name)
    (tmp_path / "b" / "result.json").unlink()
    (tmp_path / "c" / "config.json").write_text('{"format": 2, "striate": "3.0"}')
    answer = striate("runs", tmp_path)
    assert answer.status == 0, answer.err
    a, b, c, d = (next(line for line in answer.out.splitlines() if f"│ {name}" in line) for name in "abcd")
    accuracy = json.loads((trained / "result.json").read_text())["accuracy"]
    for text in ("lenet5", str(pictures), "6/6", f"{100 * accuracy:.2f} %", "finished"):
        assert text in a
    assert "at step 30" in b
    assert "was written by Striate 3.0 in format 2" in c
    assert "d[red]" in d


def test_no_runs(striate: Command, tmp_path: Path):
    assert striate("runs", tmp_path).out == f"no runs in {tmp_path}\n"


def test_no_folder(striate: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    answer = striate("runs")
    assert (answer.status, answer.out, answer.err) == (2, "", "error: there is no folder runs\n")
