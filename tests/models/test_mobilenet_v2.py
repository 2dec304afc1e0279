from typing import Any

import pytest
import torch
from tests.models.layer_sizes import on_meta, parameters, stage_sizes
from torch import nn

from striate.models import mobilenet_v2
from striate.nn.conv import DepthwiseConv2d


@pytest.mark.parametrize(("width", "count"), [(1.0, 3_504_872), (1.4, 6_108_776), (0.5, 1_968_680)])
def test_parameters_are_torchvisions(width: float, count: int):
    assert parameters(on_meta(mobilenet_v2, width_mult=width)) == count


def test_sizes():
    assert stage_sizes(on_meta(mobilenet_v2)) == {
        "conv1": (32, 112, 112), "bottleneck1": (16, 112, 112), "bottleneck2": (24, 56, 56),
        "bottleneck3": (32, 28, 28), "bottleneck4": (64, 14, 14), "bottleneck5": (96, 14, 14),
        "bottleneck6": (160, 7, 7), "bottleneck7": (320, 7, 7), "conv2": (1280, 7, 7),
    }  # fmt: skip


def test_shortcuts_lie_between_narrow_ends_of_equal_size():
    blocks = list(on_meta(mobilenet_v2).features)[1:-1]
    assert len(blocks) == 17
    assert [place for place, block in enumerate(blocks, 1) if block.residual] == [3, 5, 6, 8, 9, 10, 12, 13, 15, 16]
    for block in blocks:
        depthwise = [layer for layer in block.modules() if isinstance(layer, DepthwiseConv2d)]
        assert len(depthwise) == 1 and depthwise[0].groups == depthwise[0].in_channels
        assert isinstance(block.conv[-2], nn.Conv2d) and isinstance(block.conv[-1], nn.BatchNorm2d)


@pytest.mark.parametrize("size", [(1, 1), (40, 33)])
def test_any_size(size: tuple[int, int]):
    network = mobilenet_v2(width_mult=0.35, num_classes=5).eval()
    assert network(torch.zeros(1, 3, *size)).shape == (1, 5)


def test_the_maps_of_a_stage_stay_as_they_are():
    torch.manual_seed(0)
    network = mobilenet_v2(width_mult=0.35, num_classes=5)
    picture = torch.randn(2, 3, 32, 32)
    maps = network.features(picture)
    alone = network.train(False).features(picture)
    before = {name: found.clone() for name, found in alone.items()}
    network.head(alone["conv2"])
    assert maps.keys() == alone.keys()
    for (name, stage), below in zip(network.stages(), [picture, *before.values()], strict=False):
        assert torch.equal(stage(below), alone[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width_mult": -1.0}, "width_mult must be above 0, got -1.0"),
        ({"input_size": (32,)}, r"input_size must be \(H, W\), each at least 1, got \(32,\)"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"dropout": 1.5}, "dropout probability"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        mobilenet_v2(**options)
