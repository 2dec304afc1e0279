import dataclasses
import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from striate.data import Dataset
from striate.training import Config, Result, carry_out, evaluate, fit, plan, predict, resume
from striate.training.run import Run

Toy = Callable[[], nn.Module]


def tree(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Contents, times of change and modes of all files below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.stat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (content, about.st_mtime_ns, about.st_mode)
    return found


@pytest.fixture
def quick(toy_config: Config) -> Config:
    return dataclasses.replace(toy_config, epochs=1)


def test_global_state_is_restored(tmp_path: Path, toy_network: Toy, toy_data: Dataset, quick: Config):
    torch.manual_seed(11)
    np.random.seed(11)
    random, theirs = torch.get_rng_state(), np.random.get_state()[1].copy()
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    fit(toy_network(), toy_data, dataclasses.replace(quick, precision="auto"), out=tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), random)
    assert np.array_equal(np.random.get_state()[1], theirs)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert torch.is_grad_enabled()


def test_threads_are_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_network: Toy, toy_data: Dataset):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    config = Config(epochs=1, batch_size=20, precision="float32", threads=3)
    with pytest.raises(ZeroDivisionError):
        fit(toy_network(), toy_data, config, out=tmp_path / "run", on_step=lambda step: 1 // 0)
    assert asked == [3, 5]
    assert Run(tmp_path / "run").config()["training"]["threads"] == 3


def test_an_own_network(tmp_path: Path, toy_network: Toy, toy_folder: Path, quick: Config):
    model = toy_network()
    result = fit(model, toy_folder, quick, out=tmp_path / "run")
    assert isinstance(result, Result)
    assert result.model is model
    assert not model.training
    assert result.report.is_file()
    again = resume(tmp_path / "run", model=toy_network())
    assert torch.equal(again.evaluation.probabilities, result.evaluation.probabilities)
    measured = evaluate(tmp_path / "run", model=toy_network())
    torch.testing.assert_close(measured.probabilities, result.evaluation.probabilities)
    picture = toy_folder / Run(tmp_path / "run").data()["manifest"]["parts"]["test"][0]
    answer = predict(tmp_path / "run", [picture], model=toy_network(), top=3)[0]
    assert sum(answer.probabilities) == pytest.approx(1)
    for use in (resume, evaluate, lambda folder: predict(folder, [picture])):
        with pytest.raises(ValueError, match="ToyNetwork is not a network of striate.models: give the module itself"):
            use(tmp_path / "run")


def test_source_is_left_alone(tmp_path: Path, toy_folder: Path, quick: Config):
    before = tree(toy_folder)
    fit("lenet5", toy_folder, quick, out=tmp_path / "run", size=12)
    evaluate(tmp_path / "run")
    evaluate(tmp_path / "run", toy_folder)
    predict(tmp_path / "run", [toy_folder / "red" / "0.png"])
    assert tree(toy_folder) == before


def test_the_report(finished: Path, toy_folder: Path):
    page = (finished / "report.html").read_text()
    accuracy = json.loads((finished / "result.json").read_text())["accuracy"]
    for text in (str(toy_folder), "lenet5", f"{100 * accuracy:.2f}", "blue", "green", "red"):
        assert text in page
    assert {"curves.png", "confusion.png", "filters.png"} <= set(os.listdir(finished / "figures"))


def test_the_run_folder(finished: Path, toy_folder: Path):
    config = json.loads((finished / "config.json").read_text())
    assert config["source"] == os.path.abspath(toy_folder)
    assert config["model"]["name"] == "lenet5"
    assert Config.from_dict(config["training"]).epochs == 2
    records = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert records[0].keys() == {
        "epoch", "step", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy",
    }  # fmt: skip
    assert not [path.name for path in finished.rglob("*") if path.name.startswith(".")]


def test_the_same_bits_twice(tmp_path: Path, finished: Path, toy_folder: Path, toy_config: Config):
    fit("lenet5", toy_folder, toy_config, out=tmp_path / "run", size=12, report=False)
    for name in ("metrics.jsonl", "result.json", "data.json", "checkpoints/step-00000012/manifest.json"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()


def test_an_existing_run_is_refused_before_the_data_are_read(finished: Path):
    with pytest.raises(FileExistsError, match=r"holds a run already: resume it"):
        fit("lenet5", "no/such/source", out=finished)


def test_precision_is_decided_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_network: Toy, toy_data: Dataset, quick: Config
):
    monkeypatch.setitem(fit.__globals__, "faster_precision", lambda *_: "bfloat16")
    config = dataclasses.replace(quick, precision="auto")
    result = fit(toy_network(), toy_data, config, out=tmp_path / "run", report=False)
    assert Run(tmp_path / "run").config()["training"]["precision"] == "bfloat16"
    same = fit(
        toy_network(), toy_data, dataclasses.replace(quick, precision="bfloat16"), out=tmp_path / "2", report=False
    )
    assert torch.equal(result.evaluation.probabilities, same.evaluation.probabilities)
    measured = evaluate(tmp_path / "run", toy_data, part="test", model=toy_network())
    torch.testing.assert_close(measured.probabilities, result.evaluation.probabilities, rtol=0.02, atol=1e-3)


def test_in_a_thread(tmp_path: Path, toy_network: Toy, toy_data: Dataset, quick: Config):
    results = []

    def run() -> None:
        results.append(fit(toy_network(), toy_data, quick, out=tmp_path / "run", report=False))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert results[0].best_epoch == 1


def test_a_free_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_folder: Path, quick: Config):
    monkeypatch.chdir(tmp_path)
    for name in ("", "-2"):
        result = carry_out(plan("lenet5", toy_folder, quick, size=12), report=False)
        assert result.folder == Path("runs") / f"{toy_folder.name}-lenet5{name}"
        assert result.report is None


def test_names_that_are_no_utf8(tmp_path: Path, toy_folder: Path, quick: Config):
    folder = tmp_path / "pictures"
    for name in ("blue", "red"):
        (folder / name).mkdir(parents=True)
        for index in range(6):
            source = toy_folder / name / f"{index}.png"
            os.link(source, os.fsencode(folder / name) + b"/caf\xe9%d.png" % index)
    result = fit("lenet5", folder, quick, out=tmp_path / "run", size=12)
    again = resume(tmp_path / "run")
    assert torch.equal(again.evaluation.probabilities, result.evaluation.probabilities)


def test_without_validation_and_test(tmp_path: Path, toy_data: Dataset, toy_network: Toy, quick: Config):
    nothing = torch.tensor([], dtype=torch.int64)
    data = dataclasses.replace(toy_data, parts={**toy_data.parts, "val": nothing, "test": nothing})
    result = fit(toy_network(), data, quick, out=tmp_path / "run")
    assert result.evaluation.part == "train"
    assert result.best_epoch == 1
    assert "val_accuracy" not in Run(tmp_path / "run").epochs()[0]
