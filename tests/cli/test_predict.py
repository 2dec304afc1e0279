import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striate.training import predict

Command = Callable[..., Any]


def test_table(striate: Command, trained: Path, pictures: Path):
    files = sorted((pictures / "one").iterdir())[:2]
    answer = striate("predict", trained, *files, "--top", "2")
    assert answer.status == 0, answer.err
    expected = []
    for found in predict(trained, files, top=2):
        expected += [found.file]
        expected += [f"  {100 * p:6.2f} %  {name}" for p, name in zip(found.probabilities, found.classes, strict=True)]
    assert answer.out.splitlines() == expected


def test_json(striate: Command, trained: Path, pictures: Path):
    file = sorted((pictures / "two").iterdir())[0]
    answers = json.loads(striate("predict", trained, file, "--json").out)
    assert [answer.keys() for answer in answers] == [{"file", "classes", "probabilities"}]
    assert answers[0]["file"] == str(file)
    assert sorted(answers[0]["classes"]) == ["nought", "one", "two"]
    assert sum(answers[0]["probabilities"]) == pytest.approx(1)


def test_wrong_files(striate: Command, trained: Path, tmp_path: Path):
    (tmp_path / "text.png").write_text("This is a text.")
    for name, words in (("text.png", "cannot be read as a picture"), ("nowhere.png", "No such file")):
        answer = striate("predict", trained, tmp_path / name)
        assert (answer.status, answer.out) == (2, "")
        assert answer.err.startswith("error: ")
        assert str(tmp_path / name) in answer.err
        assert words in answer.err


def test_a_name_that_is_no_utf8(striate: Command, trained: Path, pictures: Path, tmp_path: Path):
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    shutil.copy(pictures / "one" / "1.png", file)
    assert "caf\\udce9.png\n" in striate("predict", trained, file).out
    assert json.loads(striate("predict", trained, file, "--json").out)[0]["file"] == str(file)


def test_top(striate: Command, trained: Path, pictures: Path):
    answer = striate("predict", trained, pictures / "one" / "1.png", "--top", "0")
    assert (answer.status, answer.err) == (2, "error: top must be at least 1, got 0\n")


def test_no_run(striate: Command, pictures: Path):
    answer = striate("predict", pictures, pictures / "one" / "1.png")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == f"error: {pictures} is not a run folder: it has no config.json\n"
