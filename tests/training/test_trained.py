import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from striate.data import Dataset, load
from striate.training import Config, checkpoint, evaluate, fit, load_trained, predict

Toy = Callable[[], nn.Module]


@pytest.fixture
def own(tmp_path: Path, finished: Path) -> Path:
    """A copy of the finished run that may be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def grey(folder: Path, name: str, *, bits: int = 8, count: int = 4, value: int = 60) -> None:
    (folder / name).mkdir(parents=True)
    for index in range(count):
        levels = np.random.default_rng(index).integers(value, value + 60, (9, 7))
        levels = levels.astype(np.uint8) if bits == 8 else (levels * 257).astype(np.uint16)
        Image.fromarray(levels).save(folder / name / f"{index}.png")


def test_the_test_part_again(finished: Path):
    stored = json.loads((finished / "result.json").read_text())
    found = evaluate(finished)
    assert found.part == stored["part"] == "test"
    assert found.wrong == stored["wrong"]
    assert found.accuracy == stored["accuracy"]
    assert found.loss == pytest.approx(stored["loss"], rel=1e-5)


def test_other_parts(finished: Path):
    best = json.loads((finished / "result.json").read_text())["best_epoch"]
    record = json.loads((finished / "metrics.jsonl").read_text().splitlines()[best - 1])
    found = evaluate(finished, part="val")
    assert found.accuracy == record["val_accuracy"]
    assert found.loss == pytest.approx(record["val_loss"], rel=1e-5)
    assert len(evaluate(finished, part="train").labels) == 36


def test_another_folder(tmp_path: Path, finished: Path, toy_folder: Path):
    assert len(evaluate(finished, toy_folder).labels) == 48
    shutil.copytree(toy_folder / "green", tmp_path / "other" / "green")
    found = evaluate(finished, tmp_path / "other")
    assert found.labels.tolist() == [1] * 16
    whole = evaluate(finished, toy_folder)
    torch.testing.assert_close(found.probabilities, whole.probabilities[whole.labels == 1])


def test_an_unknown_class(tmp_path: Path, finished: Path, toy_folder: Path):
    shutil.copytree(toy_folder / "green", tmp_path / "violet")
    with pytest.raises(ValueError, match=r"1 class that the network does not know \(violet\): it knows blue, green, r"):
        evaluate(finished, tmp_path)


def test_a_missing_part(tmp_path: Path, finished: Path, toy_folder: Path):
    with pytest.raises(ValueError, match="has no samples in its val part"):
        evaluate(finished, toy_folder, part="val")


def test_loaded_data(finished: Path, toy_folder: Path):
    data = load(toy_folder, size=12, seed=3)
    assert len(evaluate(finished, data).labels) == 48
    stored = json.loads((finished / "result.json").read_text())
    assert evaluate(finished, data, part="test").wrong == stored["wrong"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 28}, r"size of the data must be the network's \(12, 12\), got \(28, 28\)"),
        ({"size": 12, "channels": 1}, r"channels of the data must be the network's 3, got 1"),
        (
            {"size": 12, "classes": ("red", "green", "blue")},
            r"classes of the data must be the network's \('blue', 'green', 'red'\), got \('red', 'green', 'blue'\)",
        ),
    ],
)
def test_loaded_data_that_do_not_fit(finished: Path, toy_folder: Path, options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        evaluate(finished, load(toy_folder, **options))


def test_pictures_of_16_bits(tmp_path: Path, finished: Path):
    grey(tmp_path / "8", "red", bits=8)
    grey(tmp_path / "16", "red", bits=16)
    short, long = evaluate(finished, tmp_path / "8"), evaluate(finished, tmp_path / "16")
    torch.testing.assert_close(short.probabilities, long.probabilities, rtol=0.02, atol=1e-3)
    answers = [predict(finished, [tmp_path / bits / "red" / "2.png"])[0] for bits in ("8", "16")]
    assert answers[0].classes == answers[1].classes
    assert answers[0].probabilities == pytest.approx(answers[1].probabilities, rel=0.02)


def test_predict_agrees_with_evaluate(finished: Path, toy_folder: Path):
    data = load_trained(finished).run.data()["manifest"]
    names = data["parts"]["test"]
    found = evaluate(finished)
    answers = predict(finished, [toy_folder / name for name in names], top=3)
    for name, answer, expected in zip(names, answers, found.probabilities, strict=True):
        assert answer.file == str(toy_folder / name)
        assert sum(answer.probabilities) == pytest.approx(1)
        assert list(answer.probabilities) == sorted(answer.probabilities, reverse=True)
        mine = [answer.probabilities[answer.classes.index(target)] for target in data["classes"]]
        assert mine == pytest.approx(expected.tolist(), abs=1e-5)


def test_top(finished: Path, toy_folder: Path):
    picture = toy_folder / "red" / "3.png"
    everything, first = predict(finished, [picture], top=50)[0], predict(finished, [picture], top=1)[0]
    assert sorted(everything.classes) == ["blue", "green", "red"]
    assert first.classes == everything.classes[:1]
    for top in (0, -2):
        with pytest.raises(ValueError, match=f"top must be at least 1, got {top}"):
            predict(finished, [picture], top=top)
    assert predict(finished, []) == []


def test_other_sizes_and_colours(tmp_path: Path, finished: Path, toy_folder: Path):
    picture = Image.open(toy_folder / "red" / "3.png")
    picture.resize((61, 40)).save(tmp_path / "large.jpg")
    picture.convert("L").save(tmp_path / "grey.png")
    Image.new("RGBA", (1, 1), (255, 0, 0, 9)).save(tmp_path / "point.png")
    for answer in predict(finished, [tmp_path / name for name in ("large.jpg", "grey.png", "point.png")]):
        assert sum(answer.probabilities) == pytest.approx(1)


def test_colour_on_a_grey_network(tmp_path: Path):
    for name, value in (("dark", 20), ("light", 180)):
        grey(tmp_path / "data", name, count=10, value=value)
    run = tmp_path / "run"
    config = Config(epochs=3, batch_size=4, lr=0.05, precision="float32", threads=1)
    fit("lenet5", tmp_path / "data", config, out=run, size=12, report=False)
    for value, expected in ((40, "dark"), (210, "light")):
        Image.new("RGB", (20, 20), (value, value, value)).save(tmp_path / "colour.png")
        Image.new("L", (20, 20), value).save(tmp_path / "grey.png")
        answers = predict(run, [tmp_path / "colour.png", tmp_path / "grey.png"])
        assert answers[0].classes[0] == expected
        assert answers[0].probabilities == answers[1].probabilities


def test_files_that_are_no_pictures(tmp_path: Path, finished: Path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        predict(finished, [tmp_path / "nowhere.png"])
    (tmp_path / "text.png").write_text("This is a text.")
    with pytest.raises(ValueError, match=r"text.png cannot be read as a picture"):
        predict(finished, [tmp_path / "text.png"])


def test_a_damaged_checkpoint(own: Path, toy_folder: Path):
    picture = toy_folder / "red" / "3.png"
    steps = checkpoint.saved_steps(own / "checkpoints")
    (checkpoint.step_folder(own / "checkpoints", steps[-1]) / "model.safetensors").write_bytes(b"nothing")
    older = checkpoint.read(checkpoint.step_folder(own / "checkpoints", steps[-2]))
    best = checkpoint.read(checkpoint.step_folder(own / "checkpoints", older.state["best_step"])).model
    assert torch.equal(load_trained(own).model.f6.weight, best["f6.weight"])
    assert sum(predict(own, [picture])[0].probabilities) == pytest.approx(1)
    for step in steps:
        (checkpoint.step_folder(own / "checkpoints", step) / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"has no checkpoint that is whole: .*model.safetensors is not what was writt"):
        predict(own, [picture])


def test_a_run_without_a_checkpoint(own: Path, toy_folder: Path):
    shutil.rmtree(own / "checkpoints")
    for use in (load_trained, evaluate, lambda folder: predict(folder, [])):
        with pytest.raises(FileNotFoundError, match="has no checkpoint yet"):
            use(own)


def test_another_network(finished: Path, toy_network: Toy):
    with pytest.raises(ValueError, match=r"(?s)the checkpoint is not of this network: .*c1.weight"):
        load_trained(finished, model=toy_network())


def test_changed_data(own: Path, tmp_path: Path, toy_folder: Path):
    moved = Path(shutil.copytree(toy_folder, tmp_path / "moved"))
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps({**config, "source": str(moved)}))
    assert evaluate(own).wrong == evaluate(own, part="test").wrong
    Image.new("RGB", (8, 8)).save(moved / "red" / "3.png")
    with pytest.raises(ValueError, match=r"the data of .*run have changed: 1 picture is changed: red/3.png"):
        evaluate(own)
    assert len(evaluate(own, moved).labels) == 48


def test_own_data_without_a_source(tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config):
    result = fit(toy_network(), toy_data, toy_config, out=tmp_path / "run", report=False)
    found = evaluate(tmp_path / "run", toy_data, part="test", model=toy_network())
    torch.testing.assert_close(found.probabilities, result.evaluation.probabilities)
