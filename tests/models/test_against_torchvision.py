"""With the same weights, the numbers of torchvision, for every network that it has."""

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.cases import CASES, CLASSES, all_scores, error, pictures
from tests.models.filling import liven, quick_numbers
from torch import Tensor, nn

from models_page import PUBLISHED, THEIRS
from striate import models
from striate.models import Network

NAMES = [
    "alexnet", "fcn_resnet50", "googlenet", "inception_v3", "mobilenet_v2", "r2plus1d_18", "r3d_18", "resnet18",
    "resnet34", "resnet50", "resnet101", "resnet152", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn",
    "vgg19", "vgg19_bn",
]  # fmt: skip
SAME_CODE = [pytest.param(n, marks=pytest.mark.sweep) if CASES[n].twin_of is not None else n for n in NAMES]
# Of the others only the batches differ in training, and some fill gigabytes: they are for `make sweep`.
TRAINED = ["fcn_resnet50", "googlenet", "mobilenet_v2", "r2plus1d_18", "resnet18"]
REST = [pytest.param(n, marks=pytest.mark.sweep) for n in NAMES if n not in (*TRAINED, "inception_v3")]

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="torchvision is not installed")


@pytest.fixture(scope="module")
def torchvision() -> Any:
    """torchvision.models."""
    importlib.import_module("benchmarks.peers.torchvision_on_cpu")
    return importlib.import_module("torchvision.models")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that is gone after the test: some networks fill half a gigabyte."""
    with TemporaryDirectory() as name:
        yield Path(name)


def shapes_of(network: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in network.state_dict().items()}


def all_of_theirs(found: Any) -> tuple[Tensor, ...]:
    """Scores and those of auxiliary heads as torchvision gives them."""
    if isinstance(found, dict):
        return found["out"], *(scores for name, scores in found.items() if name != "out")
    return (found,) if isinstance(found, Tensor) else tuple(found)


def pair(torchvision: Any, name: str, folder: Path) -> tuple[Network, nn.Module]:
    """Ours and torchvision's, with the same weights from the same file."""
    torch.manual_seed(0)
    with quick_numbers():
        theirs = torchvision.get_model(name, num_classes=CLASSES, **THEIRS.get(name, {}))
        liven(theirs)
        save_file(theirs.state_dict(), folder / "weights.safetensors")
        ours, report = models.load(name, folder / "weights.safetensors", num_classes=CLASSES, **PUBLISHED.get(name, {}))
    assert report.complete and not report.changed
    assert sorted(report.loaded) == sorted(theirs.state_dict())
    return ours, theirs.eval()


def test_these_are_all_of_them(torchvision: Any):
    assert sorted(NAMES) == sorted(set(models.names()) & set(torchvision.list_models()))


@pytest.mark.parametrize("name", NAMES)
def test_names_and_sizes(torchvision: Any, name: str):
    with torch.device("meta"):
        ours = models.create(name, **PUBLISHED.get(name, {}))
        theirs = torchvision.get_model(name, **THEIRS.get(name, {}))
    assert shapes_of(ours) == shapes_of(theirs)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]


@pytest.mark.parametrize("name", SAME_CODE)
def test_same_scores(torchvision: Any, name: str, folder: Path):
    ours, theirs = pair(torchvision, name, folder)
    input = pictures(2, 3, *CASES[name].sizes[1])
    with torch.no_grad():
        (expected, *_) = all_of_theirs(theirs(input))
        assert error(expected[:1], expected[1:]) > 0.01
        assert error(ours(input), expected) <= 1e-5


@pytest.mark.parametrize("name", [*TRAINED, *REST])
def test_same_in_training(torchvision: Any, name: str, folder: Path):
    ours, theirs = (in_training(network) for network in pair(torchvision, name, folder))
    input = pictures(2, 3, *CASES[name].sizes[1]).double()
    found, expected = all_scores(ours(input)), all_of_theirs(theirs(input))
    for scores, wished in zip(found, expected, strict=True):
        assert error(scores, wished) <= 1e-9
    for scores in (found, expected):
        torch.stack([each.square().mean() for each in scores]).sum().backward()
    largest = max(parameter.grad.abs().max() for parameter in theirs.parameters())
    for (parameter_name, parameter), wished in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        # Some are 0 but for rounding: numbers that the mean of the next layer takes away.
        allowed = 1e-6 * wished.grad.abs().max() + 1e-12 * largest
        assert (parameter.grad - wished.grad).abs().max() <= allowed, parameter_name
    assert_same_buffers(ours, theirs)


def test_inception_v3_in_training(torchvision: Any, folder: Path):
    ours, theirs = (in_training(network) for network in pair(torchvision, "inception_v3", folder))
    # torchvision's auxiliary head takes no smaller picture, and with gradients these are slow.
    input = pictures(2, 3, 299, 299).double()
    with torch.no_grad():
        found, expected = all_scores(ours(input)), all_of_theirs(theirs(input))
    assert len(found) == 2
    for scores, wished in zip(found, expected, strict=True):
        assert error(scores, wished) <= 1e-9
    assert_same_buffers(ours, theirs)


def in_training(network: nn.Module) -> nn.Module:
    """The network in training, but without dropout, and in float64: batches are small for the statistics."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return network.train().double()


def assert_same_buffers(ours: nn.Module, theirs: nn.Module) -> None:
    """Batch normalisation has seen the same."""
    after = dict(theirs.named_buffers())
    assert after.keys() == dict(ours.named_buffers()).keys()
    for name, buffer in ours.named_buffers():
        assert error(buffer, after[name]) <= 1e-9, name
