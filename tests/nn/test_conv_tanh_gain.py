import copy
import pickle

import pytest
import torch
from torch import nn

from ops.checks import check_compiles, check_gradients, check_onnx
from striate.nn import ConvTanhGain1d, ConvTanhGain2d, ConvTanhGain3d


@pytest.mark.parametrize("layer", [ConvTanhGain1d, ConvTanhGain2d, ConvTanhGain3d])
def test_is_gain_times_tangent_of_the_convolution(layer):
    one = layer(2, 3, 3, stride=2, padding="same", groups=1, dtype=torch.float64)
    input = torch.randn(2, 2, *[6] * one._axes, dtype=torch.float64)
    torch.testing.assert_close(one(input), one.conv(input).tanh())
    with torch.no_grad():
        one.gain.copy_(torch.tensor([0.5, -2.0, 0.0]))
    output = one(input)
    torch.testing.assert_close(output[:, 1], -2 * one.conv(input)[:, 1].tanh())
    assert (output[:, 0].abs() < 0.5).all()
    assert not output[:, 2].any()
    torch.testing.assert_close(one(input[0]), output[0])


def test_one_gain_a_map_is_learned():
    layer = ConvTanhGain2d(1, 64, 9)
    assert {name: parameter.numel() for name, parameter in layer.named_parameters()} == {
        "gain": 64, "conv.weight": 64 * 81, "conv.bias": 64,
    }  # fmt: skip
    layer(torch.randn(1, 1, 12, 12)).sum().backward()
    assert layer.gain.grad.count_nonzero() == 64


def test_gradients():
    layer = ConvTanhGain2d(1, 2, 2, dtype=torch.float64)
    check_gradients(
        lambda input, gain: torch.func.functional_call(layer, {"gain": gain}, (input,)),
        torch.randn(1, 1, 3, 3, dtype=torch.float64),
        torch.randn(2, dtype=torch.float64),
    )


def test_copies_pickles_compiles_and_exports(tmp_path):
    layer = ConvTanhGain2d(2, 3, 3, padding="same", padding_mode="learned")
    input = torch.randn(1, 2, 6, 6)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(input), layer(input))
    check_compiles(layer, lambda size: (torch.randn(1, 2, size, size + 1),), (6, 9))
    check_onnx(layer, tmp_path, input)


def test_made_without_memory_then_initialised():
    layer = ConvTanhGain2d(2, 3, 3, device="meta").to_empty(device="cpu")
    for module in layer.modules():
        module.reset_parameters()
    assert layer.gain.tolist() == [1, 1, 1]
    assert layer.conv.weight.abs().max() <= 1 / 18**0.5
    assert isinstance(layer.gain, nn.Parameter)


def test_refuses():
    with pytest.raises(ValueError, match="out_channels must be a multiple of groups=2, got 3"):
        ConvTanhGain2d(2, 3, 3, groups=2)
