"""Parameters, each counted once by the memory that it lies in."""

import pytest
import torch
from tests.inspection.counting.networks import counted, named, ones
from torch import nn

import striate
import striate.nn
from striate.inspection.counting.counts import count_parameters
from striate.inspection.tracing.trace import trace


def test_numbers_of_the_lectures() -> None:
    def stack(*kernels: int) -> nn.Module:
        return nn.Sequential(*(nn.Conv2d(6, 6, k, bias=False) for k in kernels))

    assert count_parameters(stack(7)).total == 49 * 6**2
    assert count_parameters(stack(3, 3, 3)).total == 27 * 6**2
    separable = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3, bias=False), nn.Conv2d(3, 128, 1, bias=False))
    ordinary = nn.Conv2d(3, 128, 3, bias=False)
    for network, weights, products in ((separable, 411, 10_275), (ordinary, 3_456, 86_400)):
        assert count_parameters(network).total == weights
        assert counted(network, ones(1, 3, 7, 7)).macs == products
    deformable = count_parameters(striate.nn.DeformConv2d(64, 64, 3, bias=False, predict=True, mask=False))
    assert deformable.of("") == (36_864, 36_864)
    assert deformable.of("conv_offset") == (10_386, 10_386)
    lenet = named("lenet5")
    table = next(name for name, module in lenet.named_modules() if isinstance(module, striate.nn.TableConv2d))
    assert count_parameters(lenet).of(table) == (1_516, 1_516)
    assert max(total for total, _ in count_parameters(named("vgg16")).owned.values()) == 102_764_544
    assert count_parameters(striate.models.create("alexnet_2012", groups=1)).total == 62_378_344


def test_parameters_frozen_and_trainable() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 5))
    network[0].requires_grad_(False)
    for source in (network, trace(network, [ones(2, 3)])):
        found = count_parameters(source)
        assert (found.total, found.trainable, found.frozen) == (16 + 8 + 25, 8 + 25, 16)
        assert (found.of("0"), found.of("1"), found.of("3")) == ((16, 0), (8, 8), (0, 0))
        assert found.shared == {}


def test_shared_parameters_count_once() -> None:
    embedding, head = nn.Embedding(9, 4), nn.Linear(4, 9)
    head.weight = embedding.weight
    network = nn.Sequential(embedding, nn.ReLU(), head, nn.Sequential(head))
    for source in (network, trace(network[:3], [torch.zeros(2, dtype=torch.long)])):
        found = count_parameters(source)
        assert (found.total, found.of("0"), found.of("2")) == (45, (36, 36), (9, 9))
        assert found.shared["2.weight"] == "0.weight"
    assert count_parameters(network).shared["3.0.bias"] == "2.bias"


def test_parameters_that_are_views() -> None:
    numbers = torch.zeros(20)
    network = nn.Module()
    network.first = nn.Parameter(numbers[:12].view(3, 4))
    network.second = nn.Parameter(numbers[12:])
    network.turned = nn.Parameter(network.first.detach().t())
    network.across = nn.Parameter(numbers[8:16])
    network.spread = nn.Parameter(torch.zeros(1).expand(5))
    network.none = nn.Parameter(torch.zeros(0, 3))
    found = count_parameters(network)
    assert found.total == 20 + 1
    assert found.shared == {"turned": "first", "across": "first"}
    whole = nn.Module()
    whole.middle, whole.all = nn.Parameter(numbers[5:8]), nn.Parameter(numbers)
    assert count_parameters(whole).total == 20


def test_parameters_without_a_size() -> None:
    with pytest.raises(ValueError, match=r"0\.weight has no size yet"):
        count_parameters(nn.Sequential(nn.LazyLinear(3)))
