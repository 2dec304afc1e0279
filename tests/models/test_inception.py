import pytest
import torch
from torch import nn

from striate.models.inception import ConvNorm, begin_truncated, check_transform, prepared


def test_a_convolution_is_normalised_and_rectified():
    layer = ConvNorm(3, 4, (1, 3), stride=2, padding=(0, 1))
    found = layer(torch.randn(2, 3, 6, 7))
    assert found.shape == (2, 4, 3, 4)
    assert found.min() == 0
    assert layer.conv.bias is None and layer.bn.eps == 0.001


def test_normalised_anew():
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    pictures = torch.rand(2, 3, 5, 4)
    expected = (pictures - 0.5) / 0.5
    given = (pictures - mean) / deviation
    torch.testing.assert_close(prepared(given, 1, transform=True), expected)
    assert prepared(given, 4, transform=False) is given


def test_too_small_a_picture():
    with pytest.raises(ValueError, match=r"input must be \(N, C, H, W\) with H and W at least 5, got \(1, 3, 5, 4\)"):
        prepared(torch.zeros(1, 3, 5, 4), 5, transform=False)


def test_three_channels_to_normalise_anew():
    check_transform(False, 1)
    check_transform(True, 3)
    with pytest.raises(ValueError, match="transform_input goes with 3 channels, got in_channels=4"):
        check_transform(True, 4)


def test_first_weights():
    torch.manual_seed(0)
    network = nn.Sequential(ConvNorm(8, 16, 7), nn.Linear(50, 60))
    begin_truncated(network, 0.1)
    for layer in (network[0].conv, network[1]):
        assert layer.weight.std().item() == pytest.approx(0.1, rel=0.05)
    begin_truncated(network[1], 10.0)
    assert network[1].weight.abs().max() <= 2
