import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from ops.checks import check_compiles, check_onnx
from striate.nn import (
    Conv2d,
    DepthwiseSeparableConv1d,
    DepthwiseSeparableConv2d,
    DepthwiseSeparableConv3d,
    SpatiallySeparableConv2d,
)
from striate.ops.conv import conv1d, conv2d, conv3d


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("layer", "function"),
    [(DepthwiseSeparableConv1d, conv1d), (DepthwiseSeparableConv2d, conv2d), (DepthwiseSeparableConv3d, conv3d)],
)
def test_depthwise_separable_is_two_convolutions(layer, function):
    one = layer(3, 5, 3, stride=2, padding="half", dilation=2, multiplier=2, dtype=torch.float64)
    input = torch.randn(2, 3, *[7] * one._axes, dtype=torch.float64)
    middle = function(input, one.depthwise.weight, None, 2, 2, 2, 3)
    torch.testing.assert_close(one(input), function(middle, one.pointwise.weight, one.pointwise.bias))


def test_depthwise_separable_counts_of_the_lecture():
    layer = DepthwiseSeparableConv2d(3, 128, 3, bias=False)
    assert (layer.depthwise.weight.numel(), layer.pointwise.weight.numel()) == (27, 384)
    assert parameters(layer) == 411
    assert parameters(Conv2d(3, 128, 3, bias=False)) == 3456
    assert layer(torch.zeros(1, 3, 7, 7)).shape == (1, 128, 5, 5)


def test_depthwise_separable_learns_its_border():
    layer = DepthwiseSeparableConv2d(2, 3, 3, padding=1, padding_mode="learned", border=(1.0, 2.0))
    assert layer.depthwise.border.tolist() == [1, 2]
    assert sorted(layer.state_dict()) == ["depthwise.border", "depthwise.weight", "pointwise.bias", "pointwise.weight"]


def whole_weight(layer: SpatiallySeparableConv2d) -> Tensor:
    """The outer products that the layer never forms."""
    return torch.einsum("ociu,ovj->ocij", layer.column.weight, layer.row.weight.squeeze(1))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    "settings",
    [
        {"padding": 1},
        {"padding": ((1, 2), (2, 0)), "stride": (2, 1), "groups": 2},
        {"padding": ("same", "causal"), "dilation": (1, 2), "stride": 2},
    ],
    ids=str,
)
def test_spatially_separable_is_one_convolution_of_outer_products(mode: str, settings: dict[str, object]):
    layer = SpatiallySeparableConv2d(2, 4, (3, 2), padding_mode=mode, dtype=torch.float64, **settings)
    input = torch.randn(2, 2, 7, 8, dtype=torch.float64)
    expected = conv2d(input, whole_weight(layer), layer.row.bias, **settings, padding_mode=mode)
    torch.testing.assert_close(layer(input), expected)
    assert (torch.linalg.matrix_rank(whole_weight(layer)) == 1).all()


def test_spatially_separable_saves_three_numbers_of_nine():
    assert parameters(SpatiallySeparableConv2d(1, 1, 3, bias=False)) == 6
    assert parameters(Conv2d(1, 1, 3, bias=False)) == 9
    assert parameters(SpatiallySeparableConv2d(8, 16, 5)) == 16 * (8 * 5 + 5) + 16


def test_sobel_in_two_passes():
    layer = SpatiallySeparableConv2d(1, 1, 3, bias=False)
    with torch.no_grad():
        layer.column.weight.copy_(torch.tensor([1.0, 2.0, 1.0]).view(1, 1, 3, 1))
        layer.row.weight.copy_(torch.tensor([1.0, 0.0, -1.0]).view(1, 1, 1, 3))
    input = torch.arange(25.0).view(1, 1, 5, 5).square()
    sobel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]).view(1, 1, 3, 3)
    assert torch.equal(layer(input), conv2d(input, sobel))


@pytest.mark.parametrize("layer", [DepthwiseSeparableConv2d, SpatiallySeparableConv2d])
def test_copies_pickles_compiles_and_exports(layer, tmp_path):
    one = layer(2, 3, 3, padding="same")
    input = torch.randn(1, 2, 6, 6)
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert torch.equal(other(input), one(input))
    assert all(parameter.is_meta for parameter in layer(2, 3, 3, device="meta").parameters())
    check_compiles(one, lambda size: (torch.randn(1, 2, size, size + 1),), (6, 9))
    check_onnx(one, tmp_path, input)


@pytest.mark.parametrize("layer", [DepthwiseSeparableConv2d, SpatiallySeparableConv2d])
def test_refuses(layer):
    with pytest.raises(ValueError, match="out_channels must be an integer of at least 1, got 0"):
        layer(2, 0, 3)
    with pytest.raises(ValueError, match="kernel_size must be one number or one an axis"):
        layer(2, 2, (3, 3, 3))
