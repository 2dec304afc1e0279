import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from striate.models.stack import Stack


@pytest.fixture
def stack() -> Stack:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2))
    return Stack(layers, {"first": 2, "second": 5})


@pytest.fixture
def picture() -> Tensor:
    return torch.randn(1, 1, 8, 8)


def test_gives_the_maps_of_every_stage(stack: Stack, picture: Tensor):
    maps = stack(picture)
    assert {name: tuple(found.shape) for name, found in maps.items()} == {"first": (1, 2, 6, 6), "second": (1, 3, 2, 2)}
    assert torch.equal(maps["first"], nn.Sequential(*stack[:2])(picture))
    assert torch.equal(maps["second"], nn.Sequential(*stack)(picture))


def test_a_part_is_an_ordinary_sequence(stack: Stack, picture: Tensor):
    assert type(stack[:2]) is nn.Sequential
    assert torch.equal(stack[:2](picture), stack(picture)["first"])
    assert stack[2] is stack.get_submodule("2") and stack[-1] is stack[4]


def test_a_layer_may_be_replaced(stack: Stack, picture: Tensor):
    before = stack(picture)
    stack[2] = nn.Conv2d(2, 5, 1)
    after = stack(picture)
    assert torch.equal(after["first"], before["first"])
    assert after["second"].shape == (1, 5, 3, 3)


def test_copies(stack: Stack, picture: Tensor):
    for other in (copy.deepcopy(stack), pickle.loads(pickle.dumps(stack))):
        assert torch.equal(other(picture)["second"], stack(picture)["second"])
        nn.init.zeros_(other[0].weight)
        assert stack[0].weight.any()
