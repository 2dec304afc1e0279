import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


def test_the_runs_own_data(striate: Command, trained: Path):
    stored = json.loads((trained / "result.json").read_text())
    answer = striate("evaluate", trained)
    assert answer.status == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[-2:] == [f"wrong: {stored['wrong']} of 6", f"test accuracy: {100 * stored['accuracy']:.2f} %"]
    for name in ("nought", "one", "two"):
        row = next(line for line in lines if f" {name} " in line)
        assert "%" in row and " 2 " in row


@pytest.mark.parametrize(("part", "samples"), [("train", 48), ("val", 6), ("test", 6)])
def test_part(striate: Command, trained: Path, part: str, samples: int):
    lines = striate("evaluate", trained, "--part", part).out.splitlines()
    assert lines[-2].endswith(f" of {samples}")
    assert lines[-1].startswith(f"{part} accuracy: ")


def test_other_data(striate: Command, trained: Path, pictures: Path, tmp_path: Path):
    shutil.copytree(pictures / "two", tmp_path / "data" / "two")
    answer = striate("evaluate", trained, tmp_path / "data")
    assert answer.status == 0, answer.err
    assert " of 20\n" in answer.out
    assert any(" one " in line and "-" in line for line in answer.out.splitlines())


def test_unknown_class(striate: Command, trained: Path, pictures: Path, tmp_path: Path):
    shutil.copytree(pictures / "two", tmp_path / "data" / "three")
    answer = striate("evaluate", trained, tmp_path / "data")
    assert answer.status == 2
    assert answer.err.startswith("error: ")
    assert "1 class that the network does not know (three): it knows nought, one, two" in answer.err


def test_names_are_printed_as_they_are(striate: Command, trained: Path, pictures: Path, tmp_path: Path):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    data = json.loads((run / "data.json").read_text())
    data["manifest"]["classes"][2] = name = "[red]:smile:[/x]"
    (run / "data.json").write_text(json.dumps(data))
    picture = next((pictures / "two").iterdir())
    (tmp_path / "list.csv").write_text(f"path,label\n{picture},{name}\n")
    answer = striate("evaluate", run, tmp_path / "list.csv")
    assert answer.status == 0, answer.err
    assert name in answer.out


def test_no_run(striate: Command, tmp_path: Path):
    answer = striate("evaluate", tmp_path / "nowhere")
    assert answer.status == 2
    assert answer.err == f"error: {tmp_path / 'nowhere'} is not a run folder: it has no config.json\n"
