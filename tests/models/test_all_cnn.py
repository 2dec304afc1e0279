from typing import Any

import pytest
import torch
from tests.models.layer_sizes import layer_sizes, on_meta, parameters, stage_sizes
from torch import nn

from striate.models import all_cnn_c


def test_parameters():
    assert parameters(on_meta(all_cnn_c)) == 1_369_738


def test_sizes():
    network = on_meta(all_cnn_c)
    assert stage_sizes(network) == {"bank1": (96, 16, 16), "bank2": (192, 8, 8), "bank3": (192, 6, 6)}
    assert layer_sizes(network)["scores"] == (10, 6, 6)


def test_nothing_but_convolutions():
    network = on_meta(all_cnn_c)
    leaves = {type(layer) for layer in network.modules() if not list(layer.children())}
    assert leaves == {nn.Conv2d, nn.ReLU, nn.Dropout}
    strides = [layer.stride[0] for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert strides == [1, 1, 2, 1, 1, 2, 1, 1, 1]


def test_any_size():
    network = all_cnn_c().eval()
    for size in ((9, 9), (10, 61)):
        assert network(torch.zeros(1, 3, *size)).shape == (1, 10)


def test_scores_are_averages_over_places():
    torch.manual_seed(0)
    network = all_cnn_c().eval()
    pictures = torch.randn(1, 3, 32, 32)
    places = network.scores(network.features(pictures)["bank3"])
    torch.testing.assert_close(network(pictures), places.flatten(2).mean(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": (8, 32)}, "all_cnn_c needs pictures of at least 9x9 pixels, got a side of 8"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"input_dropout": 1.1}, "dropout probability"),
        ({"dropout": -1.0}, "dropout probability"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        all_cnn_c(**options)
