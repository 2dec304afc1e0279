import copy
import pickle

import pytest
import torch

import striate
from ops.checks import check_compiles, check_onnx
from striate import nn


@pytest.mark.parametrize("reduction", ["max", "average"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_function(axes, reduction):
    input = torch.randn(2, 3, *[7] * axes)
    layer = getattr(nn, f"SpatialPyramidPool{axes}d")([3, 1], reduction=reduction)
    function = getattr(striate, f"spatial_pyramid_pool{axes}d")
    assert torch.equal(layer(input), function(input, (3, 1), reduction=reduction))
    assert torch.equal(pickle.loads(pickle.dumps(copy.deepcopy(layer)))(input), layer(input))


def test_a_network_takes_pictures_of_any_size():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), nn.SpatialPyramidPool2d((2, 1)), torch.nn.Linear(20, 5))
    for size in (3, 8, 13):
        assert network(torch.randn(2, 1, size, size + 2)).shape == (2, 5)


def test_shows_its_settings():
    assert repr(nn.SpatialPyramidPool2d((2, 1))) == "SpatialPyramidPool2d(levels=(2, 1), reduction='max')"


def test_compiles_and_exports(tmp_path):
    layer = nn.SpatialPyramidPool2d((2, (1, 3)))
    check_compiles(layer, lambda size: (torch.randn(1, 2, size, size + 1),), (6, 9))
    check_onnx(layer, tmp_path, torch.randn(1, 2, 5, 7))


def test_refuses_when_called():
    with pytest.raises(ValueError, match="reduction must be one of max, average, got 'sum'"):
        nn.SpatialPyramidPool2d((1,), reduction="sum")(torch.zeros(1, 2, 2))
