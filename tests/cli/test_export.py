import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from striate import models
from striate.models.loading.preprocessing import Preprocessing
from striate.training import load_trained, predict

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, empty."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def refused(striate: Command, *arguments: object) -> str:
    """Expect one line of error, nothing else, and nothing written."""
    before = sorted(os.listdir())
    answer = striate("export", *arguments)
    assert (answer.status, answer.out) == (2, "")
    assert sorted(os.listdir()) == before
    (line,) = answer.err.splitlines()[-1:]
    assert line.startswith("error: ")
    return str(line.removeprefix("error: "))


def test_a_run_answers_in_onnx_runtime_as_it_does_here(striate: Command, trained: Path, pictures: Path):
    answer = striate("export", trained, "--onnx", "net.onnx")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith("net.onnx: ONNX, opset 20; its outputs differ by ") and answer.out.count("\n") == 1
    session = onnxruntime.InferenceSession("net.onnx")
    words = session.get_modelmeta().custom_metadata_map
    classes, preprocessing = json.loads(words["classes"]), Preprocessing.from_json(words["preprocessing"])
    assert classes == ["nought", "one", "two"]
    for file in sorted((pictures / "two").iterdir())[:3]:
        input = preprocessing(Image.open(file))[None]
        (scores,) = session.run(None, {"input": input.numpy()})
        probabilities = torch.from_numpy(np.asarray(scores)).softmax(1)[0]
        (expected,) = predict(trained, [file])
        found = dict(zip(classes, probabilities.tolist(), strict=True))
        assert found == pytest.approx(dict(zip(expected.classes, expected.probabilities, strict=True)), abs=2e-3)


def test_all_three_at_once(striate: Command, trained: Path):
    answer = striate("export", trained, "--onnx", "a.onnx", "--safetensors", "a.safetensors", "--code", "a.py")
    assert (answer.status, answer.err) == (0, "")
    assert [line.partition(":")[0] for line in answer.out.splitlines()] == ["a.onnx", "a.safetensors", "a.py"]
    assert sorted(os.listdir()) == ["a.onnx", "a.py", "a.safetensors"]
    network, own = models.load("lenet5", "a.safetensors").network, load_trained(trained)
    assert network.config == own.model.config
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in own.model.state_dict().items())
    with safe_open("a.safetensors", framework="pt") as opened:
        assert json.loads(opened.metadata()["classes"]) == ["nought", "one", "two"]
        preprocessing = Preprocessing.from_json(opened.metadata()["preprocessing"])
    assert (preprocessing.size, preprocessing.mean) == (own.size, own.normalization.mean)


def test_a_name(striate: Command):
    arguments = ("--input", "2x12x16", "--num-classes", 3, "--opset", 19, "--fixed-batch", "--onnx", "a.onnx")
    answer = striate("export", "all_cnn_c", *arguments)
    assert answer.status == 0
    assert answer.err == "note: all_cnn_c has new, random weights: give --weights, or a run folder\n"
    session = onnxruntime.InferenceSession("a.onnx")
    assert session.get_inputs()[0].shape == [1, 2, 12, 16] and session.get_outputs()[0].shape == [1, 3]
    answer = striate("export", "all_cnn_c", "--onnx", "a.onnx", "--dynamic-size", "--overwrite")
    assert answer.status == 0, answer.err
    assert onnxruntime.InferenceSession("a.onnx").get_inputs()[0].shape == ["batch", 3, "height", "width"]


def test_a_name_with_weights(striate: Command):
    assert striate("export", "mlp", "--safetensors", "a.safetensors").status == 0
    answer = striate("export", "mlp", "--weights", "a.safetensors", "--safetensors", "b.safetensors")
    assert answer.status == 0 and answer.err.startswith("a.safetensors: 6 tensors loaded")
    assert answer.out == "b.safetensors: 6 tensors of mlp; gives the same again\n"


def test_a_text_of_the_notation(striate: Command):
    answer = striate("export", "input 1x8x8, conv 4 3x3, relu, flatten, linear 3", "--code", "a.py")
    assert answer.status == 0, answer.err
    assert answer.out.startswith("a.py: code that needs PyTorch alone; ")


def test_a_text_longer_than_a_name_of_a_file(striate: Command):
    text = f"conv 4 3x3, {'relu, ' * 60}globalavg, linear classes"
    assert striate("export", text, "--safetensors", "net.safetensors").status == 0
    assert models.load(text, "net.safetensors").report.complete


def test_files_are_not_replaced(striate: Command):
    Path("a.py").write_text("old")
    message = refused(striate, "mlp", "--safetensors", "a.safetensors", "--code", "a.py")
    assert message == "a.py is there already: name another file, or replace it with --overwrite"
    assert Path("a.py").read_text() == "old"
    assert striate("export", "mlp", "--code", "a.py", "--overwrite").status == 0
    assert "def build()" in Path("a.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mlp"], "nothing to write: give --onnx FILE, --safetensors FILE or --code FILE"),
        (["mlp", "--onnx", "a", "--code", "a"], "a is named twice: every export needs a file of its own"),
        (["mlpp", "--onnx", "a"], "there is no network named 'mlpp': did you mean mlp?"),
        (["mlp", "--onnx", "a", "--opset", "18"], "opset must be at least 19, the first in which ONNX Runtime reads"),
        (["mlp", "--onnx", "a", "--input", "1x8x8:int64"], "--input must be a size alone, as 3x224x224"),
        (["mlp", "--onnx", "a", "--tolerance", "0"], "tolerance must be a positive number, got 0.0"),
        (["mlp", "--onnx", "a", "--dynamic-size"], "dynamic_size needs a network that takes inputs of any size"),
        (["mlp", "--onnx", "no/a"], "there is no folder no to write a to"),
        (["mlp", "--onnx", "a", "--weights", "b"], "there is no file b"),
        ([".", "--onnx", "a"], ". is not a run folder: it has no config.json"),
        ([".", "--onnx", "a", "--num-classes", "3"], "--num-classes goes with the name of a network: . is a folder"),
    ],
)
def test_refused(arguments: list[str], message: str, striate: Command):
    assert refused(striate, *arguments).startswith(message)


def test_the_extra_is_named(striate: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert refused(striate, "mlp", "--onnx", "a") == "onnxruntime is not installed: pip install 'striate[export]'"
