import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striate.training import checkpoint

Command = Callable[..., Any]


@pytest.fixture
def stopped(tmp_path: Path, trained: Path) -> Path:
    """The run as it was before its last epoch."""
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    last = checkpoint.saved_steps(folder / "checkpoints")[-1]
    shutil.rmtree(checkpoint.step_folder(folder / "checkpoints", last))
    (folder / "result.json").unlink()
    return folder


def test_to_the_same_end(striate: Command, stopped: Path, trained: Path):
    answer = striate("resume", stopped)
    assert answer.status == 0, answer.err
    assert "epoch 6/6" in answer.out
    assert "epoch 5/6" not in answer.out
    for name in ("metrics.jsonl", "result.json"):
        assert (stopped / name).read_bytes() == (trained / name).read_bytes()
    accuracy = json.loads((trained / "result.json").read_text())["accuracy"]
    assert answer.out.splitlines()[-2:] == [
        f"test accuracy: {100 * accuracy:.2f} %", f"report: {stopped / 'report.html'}",
    ]  # fmt: skip


def test_a_damaged_checkpoint_is_named(striate: Command, stopped: Path, trained: Path):
    step = checkpoint.saved_steps(stopped / "checkpoints")[-1]
    (checkpoint.step_folder(stopped / "checkpoints", step) / "optimizer.safetensors").write_bytes(b"")
    answer = striate("resume", stopped)
    assert answer.status == 0, answer.err
    assert f"note: the checkpoint of step {step} is passed over: " in answer.out
    assert (stopped / "metrics.jsonl").read_bytes() == (trained / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threads", "2"], "cannot go on with other settings: threads was 1 and is 2"),
        (["--precision", "bfloat16"], "cannot go on with other settings: precision was 'float32' and is 'bfloat16'"),
        (["--workers", "-1"], "workers must be at least 0, got -1"),
    ],
)
def test_other_settings(striate: Command, stopped: Path, options: list[str], message: str):
    answer = striate("resume", stopped, *options)
    assert answer.status == 2
    assert answer.err.startswith("error: ")
    assert message in answer.err


def test_workers_may_change(striate: Command, stopped: Path):
    assert striate("resume", stopped, "--workers", "1", "--threads", "1").status == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3, "striate": "8.1"}, "was written by Striate 8.1 in format 3"),
        ({"source": "no/such/source"}, "no such source: no/such/source"),
        ({"training": {"epochs": 3, "colour": 1}}, "unknown training settings: colour"),
        ({"model": {"name": "Net", "options": None}}, "Net is not a network of striate.models"),
        ({"model": "Net"}, "config.json is damaged"),
    ],
)
def test_a_config_that_was_changed(striate: Command, stopped: Path, change: dict[str, object], message: str):
    config = json.loads((stopped / "config.json").read_text())
    (stopped / "config.json").write_text(json.dumps(config | change))
    answer = striate("resume", stopped)
    assert answer.status == 2
    assert answer.err.startswith("error: ")
    assert message in answer.err


def test_no_run(striate: Command, tmp_path: Path):
    answer = striate("resume", tmp_path)
    assert answer.status == 2
    assert answer.err == f"error: {tmp_path} is not a run folder: it has no config.json\n"
