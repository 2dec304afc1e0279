import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.models.cases import CASES, QUICK, build, inputs
from torch import Tensor, nn

import striate
from striate import models
from striate.export import safetensors_file, to_safetensors
from striate.models.loading.preprocessing import Preprocessing

# Those of half a gigabyte are for `make sweep`.
HEAVY = {"alexnet", "alexnet_2012", "c3d", "deepface", "vgg11_bn", "zfnet"}
NETWORKS = [
    name if name in QUICK and name not in HEAVY else pytest.param(name, marks=pytest.mark.sweep) for name in CASES
]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, tmp_path: Path):
    network = build(name).train()
    done = to_safetensors(network, tmp_path / "a.safetensors")
    assert network.training and done.error <= 1e-5
    tensors = load_file(done.file)
    assert tensors.keys() == network.state_dict().keys()
    assert all(torch.equal(value, tensors[key]) for key, value in network.state_dict().items())
    with safe_open(done.file, framework="pt") as opened:
        words = opened.metadata()
    assert words["format"] == "pt" and words["version"] == striate.__version__
    again = models.rebuild(words["network"], json.loads(words["config"])).eval()
    again.load_state_dict(tensors)
    assert again.config == network.config
    with torch.no_grad():
        torch.testing.assert_close(again(inputs(network)), network.eval()(inputs(network)))
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_our_own_loader_takes_it(tmp_path: Path):
    network = build("lenet5", activation="relu").eval()
    preprocessing = Preprocessing(mean=(0.5,), std=(0.25,), size=(28, 28), channels="L")
    done = to_safetensors(network, tmp_path / "a.safetensors", classes=list("abcdefg"), preprocessing=preprocessing)
    loaded = models.load("lenet5", done.file)
    assert loaded.report.complete and loaded.preprocessing == preprocessing
    assert loaded.network.config == network.config
    assert torch.equal(loaded.network(inputs(network)), network(inputs(network)))


def test_a_network_of_the_notation(tmp_path: Path):
    network = models.create("input 1x8x8, conv 4 3x3 same, relu, flatten, linear 3")
    done = to_safetensors(network, tmp_path / "a.safetensors")
    assert done.contents == "4 tensors of notation" and done.error == 0


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.register_buffer("part", self.first.weight.detach()[1:])
        self.register_buffer("none", torch.empty(0))

    def forward(self, input: Tensor) -> Tensor:
        scores: Tensor = self.second(self.first(input))
        return scores


def test_tied_weights_have_both_names(tmp_path: Path):
    network = Tied()
    done = to_safetensors(network, tmp_path / "a.safetensors")
    assert done.contents == "6 tensors of Tied" and done.error == 0
    tensors = load_file(done.file)
    assert torch.equal(tensors["first.weight"], tensors["second.weight"])
    Tied().load_state_dict(tensors)
    assert network.second.weight is network.first.weight


def test_bits_are_kept(tmp_path: Path):
    network = nn.BatchNorm2d(3)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([float("nan"), -0.0, 1e-42]))
    network.bias = nn.Parameter(torch.randn(3, 2).bfloat16()[:, 0])
    done = to_safetensors(network, tmp_path / "a.safetensors")
    tensors = load_file(done.file)
    assert torch.equal(tensors["weight"].view(torch.int32), network.weight.detach().view(torch.int32))
    assert tensors["bias"].dtype == torch.bfloat16 and tensors["num_batches_tracked"].dtype == torch.int64


def test_memory_formats(tmp_path: Path):
    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    done = to_safetensors(network, tmp_path / "a.safetensors")
    assert torch.equal(load_file(done.file)["weight"], network.weight)
    assert network.weight.is_contiguous(memory_format=torch.channels_last)


def test_random_states_stay(tmp_path: Path):
    network, before = build("mlp"), torch.random.get_rng_state()
    to_safetensors(network, tmp_path / "a.safetensors")
    assert torch.equal(torch.random.get_rng_state(), before)


class Stateful(nn.Linear):
    def get_extra_state(self) -> Any:
        return {"steps": 3}

    def set_extra_state(self, state: Any) -> None:
        pass


def test_a_state_that_is_no_tensor(tmp_path: Path):
    with pytest.raises(TypeError, match="the state of model must hold tensors alone, got _extra_state of dict"):
        to_safetensors(Stateful(2, 2), tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_is_not_what_its_config_says(tmp_path: Path):
    network = build("lenet5")
    network.output = nn.Linear(84, 9)
    with pytest.raises(ValueError, match="model is not what its config says, its tensors do not fit lenet5"):
        to_safetensors(network, tmp_path / "a.safetensors")
    changed = build("lenet5")
    changed.forward = lambda input: input.flatten(1)[:, :7]  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"a\.safetensors does not give what the network gives"):
        to_safetensors(changed, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["bits", "names", "words", "dtype"])
def test_a_file_that_differs_is_removed(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save = safetensors_file.save_file

    def wrong(tensors: dict[str, Tensor], file: Path, words: dict[str, str]) -> None:
        if fault == "bits":
            tensors = {**tensors, "weight": tensors["weight"] + 1}
        elif fault == "dtype":
            tensors = {**tensors, "weight": tensors["weight"].double()}
        elif fault == "names":
            tensors = {"weight": tensors["weight"]}
        else:
            words = {**words, "format": "tf"}
        save(tensors, file, words)

    monkeypatch.setattr(safetensors_file, "save_file", wrong)
    with pytest.raises(ValueError, match=r"does not (hold what was written|give the bits of weight again)"):
        to_safetensors(nn.Linear(2, 3), tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_stays(tmp_path: Path):
    file = tmp_path / "a.safetensors"
    file.write_text("old")
    with pytest.raises(FileExistsError, match="is there already"):
        to_safetensors(nn.Linear(2, 3), file)
    assert file.read_text() == "old"
    to_safetensors(nn.Linear(2, 3), file, overwrite=True)
    assert load_file(file)["bias"].shape == (3,)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of files are Linux's")
def test_a_file_that_has_no_room(tmp_path: Path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(OSError, match="cannot be written: .*File too large"):
            to_safetensors(models.create("lenet5"), tmp_path / "net.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
