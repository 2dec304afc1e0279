from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from typing_extensions import override

from striate.models import Network, Outputs
from striate.models.network import Stage, check_at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    in_channels: int = 2
    num_classes: int = 3
    input_size: tuple[int, int] = (8, 8)
    heads: int = 2

    def __post_init__(self) -> None:
        check_at_least(1, num_classes=self.num_classes)


class Branched(Network):
    """Two stages, a head and auxiliary heads, which may be left out."""

    FIRST: ClassVar[str] = "stem.0"
    LAST: ClassVar[tuple[str, ...]] = ("scores", "others.0", "others.1", "absent.layer")

    def __init__(self, config: Options) -> None:
        super().__init__(config)
        self.stem = nn.Sequential(nn.Conv2d(config.in_channels, 4, 3), nn.ReLU())
        self.body = nn.Conv2d(4, 5, 3)
        self.scores = nn.Conv2d(5, config.num_classes, 1, bias=False)
        self.others = nn.ModuleList(nn.Linear(4, config.num_classes) for _ in range(config.heads))

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        return (("stem", self.stem), ("body", self.body))

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.scores(maps)
        return scores


@pytest.fixture
def network() -> Branched:
    torch.manual_seed(0)
    return Branched(Options())


def test_forward_is_the_stages_and_the_head(network: Branched):
    input = torch.randn(1, 2, 8, 8)
    expected = network.scores(network.body(network.stem(input)))
    assert torch.equal(network(input), expected)
    maps = network.features(input)
    assert {name: tuple(found.shape) for name, found in maps.items()} == {"stem": (1, 4, 6, 6), "body": (1, 5, 4, 4)}
    assert torch.equal(network.head(maps["body"]), expected)


def test_reset_classifier(network: Branched):
    network.double().eval()
    body = network.body.weight
    network.reset_classifier(6)
    assert network.config == Options(num_classes=6)
    assert network.scores.weight.shape == (6, 5, 1, 1)
    assert network.scores.weight.dtype == torch.float64
    assert network.scores.bias is None
    assert [tuple(head.weight.shape) for head in network.others] == [(6, 4), (6, 4)]
    assert network.body.weight is body


def test_reset_classifier_without_auxiliary_heads():
    network = Branched(Options(heads=0))
    network.reset_classifier(1)
    assert network.scores.weight.shape == (1, 5, 1, 1)
    assert len(network.others) == 0


def test_a_classifier_in_three_dimensions_and_with_settings(network: Branched):
    network.scores = nn.Conv3d(4, 2, (1, 3, 3), stride=2, padding=(0, 1, 1), dilation=2, groups=2)
    network.reset_classifier(8)
    layer = network.scores
    assert layer.weight.shape == (8, 2, 1, 3, 3)
    settings = (layer.stride, layer.padding, layer.dilation, layer.groups)
    assert settings == ((2, 2, 2), (0, 1, 1), (2, 2, 2), 2)
    assert layer.bias is not None


def test_no_class(network: Branched):
    before = network.config, network.scores
    with pytest.raises(ValueError, match="num_classes must be at least 1, got 0"):
        network.reset_classifier(0)
    assert (network.config, network.scores) == before


def test_a_classifier_of_another_kind(network: Branched):
    before = network.config
    network.scores = nn.BatchNorm2d(5)
    with pytest.raises(TypeError, match="a classifier is a linear layer or a convolution, got BatchNorm2d"):
        network.reset_classifier(4)
    assert network.config == before


def test_a_network_needs_stages_and_a_head():
    with pytest.raises(TypeError, match=r"abstract method.*head.*stages"):
        Network(Options())


def test_outputs_are_a_tuple():
    scores, auxiliary, weight = Outputs(torch.ones(1), (torch.zeros(1),), 0.4)
    assert (scores, auxiliary, weight) == (torch.ones(1), (torch.zeros(1),), 0.4)


def test_check_at_least():
    check_at_least(1, width=1, depth=3)
    with pytest.raises(ValueError, match="depth must be at least 2, got 1"):
        check_at_least(2, width=2, depth=1)
