"""The page of networks says what the networks are."""

import doctest
import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import striate.nn
from models_page import multiply_accumulates, paper, takes_torchvisions, whole
from striate import models

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
ROWS = {
    cells[0]: cells[1:] for cells in re.findall(r"^\| `(\w+)` \|" + r" ([^|]+) \|" * 8 + "$", PAGE.read_text(), re.M)
}
WITHOUT = not importlib.util.find_spec("torchvision")
needs_torchvision = pytest.mark.skipif(WITHOUT, reason="torchvision is not installed")


@pytest.fixture(scope="module")
def torchvision() -> Any:
    """torchvision.models."""
    importlib.import_module("benchmarks.peers.torchvision_on_cpu")
    return importlib.import_module("torchvision.models")


@needs_torchvision
def test_the_page_is_what_the_tool_writes(torchvision: Any) -> None:
    assert whole(torchvision) == PAGE.read_text(encoding="utf-8"), "run: make docs"


def test_examples_run() -> None:
    failed, attempted = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert attempted > 10
    assert failed == 0


def test_every_network_has_a_row() -> None:
    assert list(ROWS) == models.names()
    for summary in models.summaries():
        assert f"{summary.parameters:,}" in ROWS[summary.name]


@needs_torchvision
@pytest.mark.parametrize("name", ["alexnet", "googlenet", "inception_v3", "mobilenet_v2", "r2plus1d_18", "resnet50"])
def test_multiply_accumulates_are_those_that_torchvision_states(torchvision: Any, name: str) -> None:
    stated = torchvision.get_model_weights(name).DEFAULT.meta
    assert float(ROWS[name][6].removesuffix(" M").replace(",", "")) == pytest.approx(1000 * stated["_ops"], rel=0.005)


@pytest.mark.parametrize(
    ("layer", "input"),
    [
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 9, 8)),
        (nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1, groups=2), (2, 4, 5, 6)),
        (nn.Conv3d(2, 3, (1, 3, 2)), (1, 2, 4, 5, 6)),
        (nn.Conv1d(2, 3, 5, dilation=2), (1, 2, 20)),
        (nn.Linear(5, 7), (3, 5)),
    ],
)
def test_multiply_accumulates_are_half_of_what_pytorch_counts(layer: nn.Module, input: tuple[int, ...]) -> None:
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(input))
    assert multiply_accumulates(nn.Sequential(layer), torch.zeros(input)) == counter.get_total_flops() / 2


def test_multiply_accumulates_by_hand() -> None:
    unshared = striate.nn.LocalConv2d(2, 3, 3, (6, 5))
    assert multiply_accumulates(unshared, torch.zeros(2, 2, 6, 5)) == 2 * (4 * 3) * (3 * 2 * 9)
    table = striate.nn.TableConv2d(torch.tensor([(0, 0), (1, 0), (1, 2)]), 3, 3)
    assert multiply_accumulates(table, torch.zeros(1, 2, 6, 5)) == (4 * 3) * 3 * 9
    deformable = striate.nn.DeformConv2d(2, 3, 3, predict=True)
    assert multiply_accumulates(deformable, torch.zeros(1, 2, 6, 5)) == (4 * 3) * 9 * (3 * 2 + 2 * 27)
    assert multiply_accumulates(nn.Sequential(nn.MaxPool2d(2), nn.BatchNorm2d(2)), torch.zeros(1, 2, 4, 4)) == 0


@needs_torchvision
def test_weights_of_another_network_do_not_fit(torchvision: Any) -> None:
    class Other:
        """torchvision.models, with another network under a name."""

        list_models = staticmethod(torchvision.list_models)

        @staticmethod
        def get_model(name: str, **options: Any) -> nn.Module:
            return torchvision.resnet34(**options)

    assert takes_torchvisions("resnet18", torchvision) == "yes"
    assert takes_torchvisions("resnet18", Other) == "no"
    assert takes_torchvisions("lenet5", torchvision) == "–"


def test_a_network_without_a_paper() -> None:
    class Nameless(models.LeNet5):
        """A network.

        Source:
            None.
        """

    assert paper(models.LeNet5) == ("Gradient-based learning applied to document recognition", "1998")
    with pytest.raises(ValueError, match="Nameless must name a paper with its year, got 'None.'"):
        paper(Nameless)
