import math
from typing import Any

import pytest
import torch
from tests.models.layer_sizes import layer_sizes, on_meta, parameters, stage_sizes
from torch import nn

from striate import models
from striate.geometry import Window, receptive_field
from striate.models import vgg11_bn, vgg16

COUNTS = {
    "vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16": 138_357_544, "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840, "vgg13_bn": 133_053_736, "vgg16_bn": 138_365_992, "vgg19_bn": 143_678_248,
}  # fmt: skip


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_parameters(name: str, count: int):
    network = on_meta(models.builder_of(name))
    assert parameters(network) == count
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) == network.config.depth == int(name[3:5])
    assert models.name_of(network) == name


def test_sizes():
    assert stage_sizes(on_meta(vgg16)) == {
        "pool1": (64, 112, 112), "pool2": (128, 56, 56), "pool3": (256, 28, 28), "pool4": (512, 14, 14),
        "pool5": (512, 7, 7),
    }  # fmt: skip


def test_where_the_parameters_are():
    network = on_meta(vgg16)
    fc6 = network.classifier[0]
    assert parameters(fc6) == 102_764_544
    assert round(100 * parameters(fc6) / parameters(network), 1) == 74.3
    assert round(100 * parameters(network.classifier) / parameters(network), 1) == 89.4


def test_where_the_memory_goes():
    network = on_meta(vgg16)
    rectified_in_place = {
        name: math.prod(size)
        for name, size in layer_sizes(network).items()
        if isinstance(network.get_submodule(name), nn.Conv2d | nn.MaxPool2d | nn.Linear)
    }
    assert sum(rectified_in_place.values()) + 3 * 224 * 224 == 15_237_608
    first_two = rectified_in_place["features.0"] + rectified_in_place["features.2"]
    assert round(100 * first_two / sum(rectified_in_place.values()), 1) == 42.6


def test_three_small_windows_see_as_much_as_one_large():
    windows = [
        Window(2, 2) if isinstance(layer, nn.MaxPool2d) else Window(3)
        for layer in on_meta(vgg16).features
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d)
    ]
    assert len(windows) == 18
    assert receptive_field(windows).size == 212
    assert receptive_field([Window(3)] * 3).size == receptive_field([Window(7)]).size


def test_first_weights_are_torchvisions():
    torch.manual_seed(0)
    network = vgg11_bn(num_classes=3)
    conv, linear = network.features[11], network.classifier[3]
    assert math.isclose(conv.weight.detach().std(), math.sqrt(2 / (9 * conv.out_channels)), rel_tol=0.01)
    assert math.isclose(linear.weight.detach().std(), 0.01, rel_tol=0.01)
    assert not conv.bias.any() and not linear.bias.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 12}, "depth must be one of 11, 13, 16, 19, got 12"),
        ({"input_size": (31, 64)}, "vgg16 needs pictures of at least 32x32 pixels, got a side of 31"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"dropout": -0.1}, "dropout probability"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        on_meta(vgg16, **options)
