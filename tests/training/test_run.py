import json
import os
from pathlib import Path

import pytest

from striate.training.run import Journal, Run, check_new, free_folder

CONFIG = {"model": {"name": "lenet5", "options": {}}, "source": "digits", "training": {"epochs": 1}}


def begun(folder: Path) -> Run:
    run = Run(folder)
    run.create(CONFIG, {"manifest": {}})
    return run


def test_create(tmp_path: Path):
    run = begun(tmp_path / "a" / "run")
    assert run.config()["source"] == "digits"
    assert run.config()["format"] == 1
    assert run.data() == {"manifest": {}}
    assert run.result() is None
    assert run.epochs() == []
    assert sorted(os.listdir(run.folder)) == ["checkpoints", "config.json", "data.json", "metrics.jsonl", "times.jsonl"]


def test_an_existing_run(tmp_path: Path):
    run = begun(tmp_path / "run")
    with pytest.raises(FileExistsError, match=r"holds a run already: resume it \(striate resume .*run\) or name anoth"):
        check_new(run.folder)
    with pytest.raises(FileExistsError, match="holds a run already"):
        begun(run.folder)


def test_a_folder_in_use(tmp_path: Path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="is not empty: name a new folder for the run"):
        check_new(tmp_path)
    check_new(tmp_path / "new" / "deep")
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("below", ["file", "file/run", "file/a/run"])
def test_a_path_below_a_file(tmp_path: Path, below: str):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=rf"cannot be written to .*{below}: .*file is not a folder"):
        check_new(tmp_path / below)


def test_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="is not writable"):
        check_new(tmp_path / "run")


def test_no_run(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="is not a run folder: it has no config.json"):
        Run(tmp_path).config()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"config.json is damaged: Expecting value"),
        ("[1]", r"config.json is damaged: expected an object, got list"),
        ('{"format": 2, "striate": "7.0"}', r"was written by Striate 7.0 in format 2; this is .* which reads format 1"),
        ('{"format": 1, "model": 5}', r"config.json is damaged: it must hold a model, a source and settings"),
        ("{}", r"was written by Striate None in format None"),
    ],
)
def test_a_config_that_cannot_be_read(tmp_path: Path, content: str, message: str):
    run = begun(tmp_path / "run")
    (run.folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        run.config()


def test_all_that_differs_is_named(tmp_path: Path):
    run = Run(tmp_path)
    run.check_same({"lr": 0.1, "seed": None}, {"lr": 0.1})
    with pytest.raises(ValueError, match="cannot go on with other settings: a was None and is 1; lr was 0.1 and is 0$"):
        run.check_same({"lr": 0.1, "seed": 2}, {"seed": 2, "lr": 0, "a": 1})


def test_free_folder(tmp_path: Path):
    for expected in ("digits-lenet5", "digits-lenet5-2", "digits-lenet5-3"):
        folder = free_folder("digits-lenet5", tmp_path)
        assert folder == tmp_path / expected
        folder.mkdir()


def test_journal(tmp_path: Path):
    journal = Journal(tmp_path / "a.jsonl")
    assert journal.records() == []
    journal.append({"step": 1})
    mark = journal.mark()
    assert journal.holds(mark)
    journal.append({"step": 2})
    assert journal.records() == [{"step": 1}, {"step": 2}]
    assert journal.holds(mark)
    journal.cut(mark["bytes"])
    assert journal.records() == [{"step": 1}]
    journal.cut(0)
    assert not journal.holds(mark)
    journal.replace([{"step": 5}, {"step": 6}])
    assert journal.records() == [{"step": 5}, {"step": 6}]
    assert os.listdir(tmp_path) == ["a.jsonl"]


def test_a_journal_without_a_file(tmp_path: Path):
    journal = Journal(tmp_path / "a.jsonl")
    other = Journal(tmp_path / "b.jsonl")
    other.file.touch()
    assert journal.holds(other.mark())
    other.append({})
    assert not journal.holds(other.mark())


@pytest.mark.parametrize("left", [b'{"step": 2', b"\0\0\0\0\n", b'{"st\xff": 2}\n', b"\n"])
def test_what_a_crash_left_is_passed_over(tmp_path: Path, left: bytes):
    journal = Journal(tmp_path / "a.jsonl")
    journal.file.write_bytes(b'{"step": 1}\n' + left)
    assert journal.records() == [{"step": 1}]


def test_the_order_of_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (written.append(Path(to).name), replace(self, to))[1])
    run = begun(tmp_path / "run")
    assert written == ["data.json", "config.json"]
    assert json.loads((run.folder / "config.json").read_bytes())["striate"]
