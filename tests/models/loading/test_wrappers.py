from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.models.loading.filling import fit_weights
from torch import Tensor

from striate import models
from striate.models.loading.plan import plan
from striate.models.loading.wrappers import parts_of, prefixes, unwrapped


@pytest.fixture
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return models.lenet5().state_dict()


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("module.", "module."),
        ("_orig_mod.", "_orig_mod."),
        ("model.", "model."),
        ("module._orig_mod.model.", "module., _orig_mod., model."),
        ("model.module._orig_mod.", "model., module., _orig_mod."),
        ("_orig_mod.model.module.model.", "_orig_mod., model., module."),
        ("state_dict.model.module.", "state_dict., model., module."),
    ],
)
def test_prefixes_in_any_nesting(state: dict[str, Tensor], tmp_path: Path, prefix: str, said: str):
    save_file({prefix + name: value for name, value in state.items()}, tmp_path / "file.safetensors")
    network, report = models.load("lenet5", tmp_path / "file.safetensors")
    assert report.complete and report.changed == (f"names without {said}",)
    assert sorted(report.loaded) == sorted(state)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_real_wrappers(state: dict[str, Tensor]):
    network = models.lenet5()
    network.load_state_dict(state)
    network.f6 = torch.compile(network.f6)
    wrapped = torch.nn.DataParallel(torch.nn.ModuleDict({"model": network}))
    given = wrapped.state_dict()
    assert "module.model.f6._orig_mod.weight" in given and "module.model.c1.weight" in given
    report = fit_weights(fresh := models.lenet5(), given, "file")
    assert report.complete and report.changed == ("names without module., model., _orig_mod.",)
    assert torch.equal(fresh.f6.weight, state["f6.weight"])


def test_weights_come_before_their_mean(state: dict[str, Tensor]):
    given = {f"model_ema.{name}": torch.zeros_like(value) for name, value in state.items()}
    given |= {f"model.{name}": value for name, value in state.items()}
    report = fit_weights(network := models.lenet5(), given, "file")
    assert torch.equal(network.c1.weight, state["c1.weight"])
    assert sorted(report.unexpected) == sorted(f"model_ema.{name}" for name in state)
    assert sorted(report.loaded) == sorted(state) and not report.missing


def test_a_mean_alone(state: dict[str, Tensor]):
    given = {f"model_ema.{name}": value for name, value in state.items()}
    assert fit_weights(models.lenet5(), given, "file").complete


def test_the_same_name_twice(state: dict[str, Tensor]):
    other = {"c1.weight": torch.zeros_like(state["c1.weight"]), "module.f6.bias": torch.zeros(84)}
    given = {f"model.{name}": value for name, value in state.items()} | other
    report = fit_weights(network := models.lenet5(), given, "file")
    assert sorted(report.unexpected) == ["c1.weight", "module.f6.bias"]
    assert torch.equal(network.c1.weight, state["c1.weight"]) and torch.equal(network.f6.bias, state["f6.bias"])


def test_others_keep_their_names(state: dict[str, Tensor]):
    given = {f"model.{name}": value for name, value in state.items()} | {"loss.weight": torch.ones(1)}
    assert fit_weights(models.lenet5(), given, "file").unexpected == ("loss.weight",)


@pytest.mark.parametrize("prefix", ["", "model.", "module.net.backbone."])
def test_a_network_keeps_what_it_calls_so_itself(prefix: str):
    with torch.device("meta"):
        network = models.create("fcn_resnet50")
        given = {prefix + name: value for name, value in network.state_dict().items()}
    report = plan(network, given, "file").report
    assert report.complete and len(report.loaded) == len(given)
    assert bool(report.changed) == bool(prefix)


def test_names_are_plain():
    assert unwrapped("module.layer1._orig_mod.0.module.weight") == "layer1.0.weight"
    assert unwrapped("submodule.weight") == "submodule.weight"
    assert list(prefixes("model.net.conv.weight")) == ["", "model.", "model.net."]
    assert list(prefixes("model")) == [""]
    assert len(list(prefixes("model." * 1000))) == 33
    assert parts_of("module.backbone.conv1.weight", "backbone.conv1.weight") == ["module."]
