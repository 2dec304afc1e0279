from typing import Any

import pytest
import torch
from tests.models.layer_sizes import layer_sizes, on_meta, parameters, stage_sizes

from striate.models import zfnet


def test_parameters():
    assert parameters(on_meta(zfnet)) == 62_357_608


def test_sizes_are_those_of_figure_3():
    network = on_meta(zfnet)
    inner = layer_sizes(network)
    assert (inner["conv1"], inner["conv2"]) == ((96, 110, 110), (256, 26, 26))
    assert stage_sizes(network) == {
        "pool1": (96, 55, 55), "pool2": (256, 13, 13), "conv3": (384, 13, 13), "conv4": (384, 13, 13),
        "pool5": (256, 6, 6),
    }  # fmt: skip


def test_response_normalisation_follows_pooling():
    network = zfnet(input_size=(47, 47), num_classes=2).eval()
    order: list[str] = []
    for name in ("conv1", "conv2", "conv3", "norm", "pool"):
        network.get_submodule(name).register_forward_hook(lambda _, __, ___, name=name: order.append(name))
    network(torch.randn(1, 3, 47, 47))
    assert order[:7] == ["conv1", "pool", "norm", "conv2", "pool", "norm", "conv3"]


def test_made_for_one_size():
    network = zfnet(input_size=(47, 60), num_classes=2)
    assert network(torch.zeros(1, 3, 47, 60)).shape == (1, 2)
    with pytest.raises(ValueError, match="this zfnet is made for pictures of 47x60 pixels"):
        network(torch.zeros(1, 3, 60, 60))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": (46, 224)}, "zfnet needs pictures of at least 47x47 pixels, got a side of 46"),
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"dropout": 1.5}, "dropout probability"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        on_meta(zfnet, **options)
