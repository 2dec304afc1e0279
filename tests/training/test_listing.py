import json
import shutil
from pathlib import Path

import pytest

from striate.training import checkpoint, list_runs


@pytest.fixture
def runs(tmp_path: Path, finished: Path) -> Path:
    """A folder with runs in every state, and with what is no run."""
    for name in ("a-finished", "b-stopped", "c-begun", "d-damaged", "e-newer", "f-strange", "g-metrics"):
        shutil.copytree(finished, tmp_path / name)
    (tmp_path / "b-stopped" / "result.json").unlink()
    (tmp_path / "c-begun" / "result.json").unlink()
    shutil.rmtree(tmp_path / "c-begun" / "checkpoints")
    (tmp_path / "c-begun" / "metrics.jsonl").write_text("")
    (tmp_path / "d-damaged" / "config.json").write_text("{")
    config = json.loads((finished / "config.json").read_text())
    (tmp_path / "e-newer" / "config.json").write_text(json.dumps({**config, "format": 9, "striate": "4.5"}))
    (tmp_path / "f-strange" / "config.json").write_text(json.dumps({**config, "model": "lenet5"}))
    with (tmp_path / "g-metrics" / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"epoch": 3, "tra')
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_every_state(runs: Path, finished: Path, toy_folder: Path):
    rows = {row.name: row for row in list_runs(runs)}
    assert list(rows) == ["a-finished", "b-stopped", "c-begun", "d-damaged", "e-newer", "f-strange", "g-metrics"]
    result = json.loads((finished / "result.json").read_text())
    row = rows["a-finished"]
    assert (row.model, row.source, row.epochs_done, row.epochs) == ("lenet5", str(toy_folder), 2, 2)
    assert row.state == "finished"
    assert row.test == result["accuracy"]
    records = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert row.val == max(record["val_accuracy"] for record in records if "val_accuracy" in record)
    last = checkpoint.saved_steps(finished / "checkpoints")[-1]
    assert rows["b-stopped"].state == f"at step {last}"
    assert rows["b-stopped"].test is None
    assert (rows["c-begun"].state, rows["c-begun"].epochs_done, rows["c-begun"].val) == ("not begun", 0, None)
    assert "config.json is damaged" in rows["d-damaged"].state
    assert "was written by Striate 4.5 in format 9" in rows["e-newer"].state
    assert "config.json is damaged: it must hold a model" in rows["f-strange"].state
    assert rows["g-metrics"].epochs_done == 2


def test_no_folder(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        list_runs(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match="there is no folder .*file"):
        list_runs(tmp_path / "file")
    assert list_runs(tmp_path) == []
