from typing import Any

import pytest
import torch
from tests.models.layer_sizes import parameters, stage_sizes

from striate.models import mlp


def test_parameters():
    network = mlp()
    counts = [parameters(layer) for layer in (*network.hidden, network.output)]
    assert counts == [401_920, 262_656, 5_130]
    assert parameters(network) == sum(counts) == 669_706


@pytest.mark.parametrize("hidden", [(7,), (9, 8, 7, 6, 5)])
def test_any_depth(hidden: tuple[int, ...]):
    network = mlp(hidden=hidden, input_size=(4, 5), in_channels=2).to("meta")
    assert stage_sizes(network) == {f"hidden{place}": (units,) for place, units in enumerate(hidden, 1)}
    assert network.hidden[0].in_features == 40
    assert network.output.in_features == hidden[-1]


def test_knows_nothing_of_neighbours():
    torch.manual_seed(0)
    network = mlp(hidden=(6, 5), input_size=(4, 5)).double()
    pictures, order = torch.randn(3, 1, 4, 5, dtype=torch.float64), torch.randperm(20)
    expected = network(pictures)
    shuffled = pictures.flatten(1)[:, order].view_as(pictures)
    with torch.no_grad():
        network.hidden[0].weight.copy_(network.hidden[0].weight[:, order])
    torch.testing.assert_close(network(shuffled), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("activation", "function"), [("relu", torch.relu), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid)]
)
def test_activation(activation: str, function: Any):
    torch.manual_seed(0)
    network = mlp(hidden=(6,), input_size=(4, 5), activation=activation)
    pictures = torch.randn(3, 1, 4, 5)
    units = function(network.hidden[0](pictures.flatten(1)))
    assert torch.equal(network.features(pictures)["hidden1"], units)
    assert torch.equal(network(pictures), network.output(units))


def test_made_for_one_size():
    with pytest.raises(ValueError, match=r"this mlp is made for pictures of 28x28 pixels \(input_size\), got"):
        mlp()(torch.zeros(1, 1, 14, 56))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": ()}, r"hidden must have at least one layer, of at least 1 unit each, got \(\)"),
        ({"hidden": (5, 0)}, r"hidden must have at least one layer, of at least 1 unit each, got \(5, 0\)"),
        ({"activation": "gelu"}, "activation must be one of relu, tanh, sigmoid, got 'gelu'"),
        ({"input_size": (0, 5)}, r"input_size must be \(H, W\), each at least 1, got \(0, 5\)"),
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"dropout": 1.5}, "dropout probability"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        mlp(**options)
