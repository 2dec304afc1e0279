from typing import Any

import pytest
import torch
from tests.models.layer_sizes import on_meta, parameters, stage_sizes
from torch import nn

from striate.models import mobilenet_v1
from striate.nn.conv import DepthwiseConv2d


@pytest.mark.parametrize(
    ("width", "count", "millions"),
    [(1.0, 4_231_976, 4.2), (0.75, 2_585_560, 2.6), (0.5, 1_331_592, 1.3), (0.25, 470_072, 0.5)],
)
def test_parameters_are_those_of_table_6(width: float, count: int, millions: float):
    network = on_meta(mobilenet_v1, width_mult=width)
    assert parameters(network) == count
    assert round(count / 1e6, 1) == millions


def test_sizes():
    sizes = stage_sizes(on_meta(mobilenet_v1))
    assert list(sizes) == ["conv1", *(f"block{place}" for place in range(1, 14))]
    assert [maps[0] for maps in sizes.values()] == [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    assert [maps[1] for maps in sizes.values()] == [112, 112, 56, 56, 28, 28, *[14] * 6, 7, 7]


def test_blocks_are_depthwise_and_pointwise():
    for block in on_meta(mobilenet_v1).blocks:
        depthwise, pointwise = block[0][0], block[1][0]
        assert isinstance(depthwise, DepthwiseConv2d) and depthwise.kernel_size == (3, 3)
        assert depthwise.groups == depthwise.in_channels
        assert pointwise.kernel_size == (1, 1) and pointwise.groups == 1
        assert all(isinstance(part[1], nn.BatchNorm2d) and isinstance(part[2], nn.ReLU) for part in block)


@pytest.mark.parametrize("size", [(1, 1), (31, 50)])
def test_any_size(size: tuple[int, int]):
    network = mobilenet_v1(width_mult=0.25, num_classes=5).eval()
    assert network(torch.zeros(1, 3, *size)).shape == (1, 5)


def test_first_weights_pass_the_picture_on():
    torch.manual_seed(0)
    network = mobilenet_v1(width_mult=0.25, num_classes=5).eval()
    maps = network.features(torch.randn(2, 3, 128, 128))
    assert 0.05 < maps["block13"].std() < 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width_mult": 0.0}, "width_mult must be above 0, got 0.0"),
        ({"width_mult": float("nan")}, "width_mult must be above 0, got nan"),
        ({"input_size": (0, 32)}, r"input_size must be \(H, W\), each at least 1, got \(0, 32\)"),
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"dropout": 1.5}, "dropout probability"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        mobilenet_v1(**options)
