import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tests.models.cases import CASES, build, error
from tests.models.filling import quick_numbers
from torch import Tensor, nn

from striate import models
from striate import nn as snn
from striate.export import source_file, to_code, to_safetensors

TEXT = "input 2x9x8, residual(conv 2 3x3 same, bn, relu), conv 4 4x4 same, maxout 2, maxpool 2, flatten, linear 3"
# PyTorch has all of their layers.
ALONE = {"alexnet", "alexnet_2012", "all_cnn_c", "c3d", "mlp", "mobilenet_v1", "zfnet"}
FEW = ["all_cnn_c", "lenet5", "mlp", "resnet18_deform", "resnet1d18", "unet"]


def executed(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("exported", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


@pytest.mark.parametrize("name", [*FEW, *(pytest.param(n, marks=pytest.mark.sweep) for n in CASES if n not in FEW)])
def test_networks(name: str, tmp_path: Path):
    network = build(name, **({"width_mult": 1.0} if name == "mobilenet_v1" else {})).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    done = to_code(network, tmp_path / "a.py")
    assert network.training and all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert done.error < 2e-5
    alone = name in ALONE or name.startswith("vgg")
    assert done.contents == f"code that needs PyTorch {'alone' if alone else 'and Striate'}"
    assert [file.name for file in tmp_path.iterdir()] == ["a.py"]


def test_a_stack_of_ours_runs_without_striate(tmp_path: Path):
    network = build("all_cnn_c").eval()
    file = to_code(network, tmp_path / "a.py").file
    weights = to_safetensors(network, tmp_path / "a.safetensors").file
    input = torch.randn(2, 3, 16, 16)
    torch.save(input, tmp_path / "input.pt")
    code = (
        "import sys; sys.modules['striate'] = None; import torch; from safetensors.torch import load_file\n"
        "import a; model = a.build(); model.load_state_dict(a.renamed(load_file('a.safetensors')))\n"
        "torch.save(model.eval()(torch.load('input.pt')), 'output.pt')"
    )
    subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, check=True)
    assert "striate" not in file.read_text() and weights.exists()
    with torch.no_grad():
        assert error(torch.load(tmp_path / "output.pt"), network(input)) < 1e-5


def test_other_options_are_kept(tmp_path: Path):
    network = models.create("mlp", input_size=(4, 4), num_classes=3, hidden=(5,))
    done = to_code(network, tmp_path / "a.py")
    assert done.contents == "code that needs PyTorch and Striate"
    assert executed(done.file).build().config == network.config


def test_sizes_that_a_text_does_not_adapt_to(tmp_path: Path):
    # LeNet-5's last bank is as large as its maps.
    network = models.create("lenet5", input_size=(14, 14))
    assert to_code(network, tmp_path / "a.py").contents == "code that needs PyTorch and Striate"


def test_texts_of_the_notation(tmp_path: Path):
    network = models.create(TEXT)
    done = to_code(network, tmp_path / "a.py")
    assert done.contents == "code that needs PyTorch alone" and done.error < 1e-5
    module = executed(done.file)
    assert module.build().state_dict().keys() == network.state_dict().keys()
    assert not hasattr(module, "renamed")


def test_layers_that_pytorch_lacks(tmp_path: Path):
    done = to_code(models.create("input 1x9x8, conv 4 3x3, lcn 5, flatten, linear 3"), tmp_path / "a.py")
    assert done.contents == "code that needs PyTorch and Striate" and done.error < 1e-5


def test_stacks_of_layers(tmp_path: Path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2))
    done = to_code(network, tmp_path / "a.py", (1, 4, 5))
    assert done.contents == "code that needs PyTorch alone"
    module = executed(done.file)
    again = module.build().eval()
    again.load_state_dict(module.renamed(network.state_dict()))
    input = torch.randn(3, 1, 4, 5)
    torch.testing.assert_close(again(input), network.eval()(input))


class Own(nn.Module):
    def forward(self, input: Tensor) -> Tensor:
        return input


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Own(), "model must be a network of striate.models or an nn.Sequential of layers .*, got Own"),
        (nn.Sequential(Own()), "model must be .* notation knows: the notation has no word for Own"),
        (nn.Sequential(snn.DCNv3(16)), "the notation has no word for DCNv3"),
    ],
    ids=["own", "own layer", "our layer"],
)
def test_what_cannot_be_written(network: nn.Module, message: str, tmp_path: Path):
    with pytest.raises(TypeError, match=message):
        to_code(network, tmp_path / "a.py", (16, 4, 4))
    assert os.listdir(tmp_path) == []


def test_options_that_are_no_code():
    with pytest.raises(TypeError, match=r"net cannot be written as code: its option layer is <object"):
        source_file._call("net", {"width": 3, "layer": object()})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def build(): raise OSError('a\\nb')", "the exported code does not run: b"),
        ("import os; os._exit(3)", "the exported code does not run: status 3"),
        ("import striate", "the exported code does not run: ModuleNotFoundError: .*striate"),
        (
            "from torch import nn\ndef build(): return nn.Linear(3, 3)",
            "the exported code does not run: .*size mismatch",
        ),
        ("while True: pass", "the exported code does not end within 1 seconds"),
        (
            "from torch import nn\ndef build():\n layer = nn.Linear(2, 2)\n"
            " layer.register_forward_hook(lambda *given: given[2] + 1)\n return layer",
            "a.py does not give what the network gives",
        ),
    ],
)
def test_code_that_is_wrong_is_removed(source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    network = nn.Linear(2, 2)
    made = source_file._Source(text=source, needs_striate=False)
    monkeypatch.setattr(source_file, "_source", lambda *_: made)
    if "while" in source:
        monkeypatch.setattr(source_file, "_SECONDS", 1)
    with pytest.raises(ValueError, match=message):
        to_code(network, tmp_path / "a.py", (2,))
    assert os.listdir(tmp_path) == []


def test_nothing_of_the_current_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("torch.py").write_text("raise SystemExit(9)")
    with quick_numbers():
        assert to_code(models.create("mlp"), "a.py").error < 1e-5


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"path": "old.py"}, FileExistsError, r"old\.py is there already"),
        ({"tolerance": -1.0}, ValueError, r"tolerance must be a positive number, got -1\.0"),
    ],
)
def test_refused(
    settings: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("old.py").write_text("old")
    with pytest.raises(kind, match=message):
        to_code(models.create("mlp"), **{"path": "a.py", **settings})
    assert os.listdir() == ["old.py"] and Path("old.py").read_text() == "old"
