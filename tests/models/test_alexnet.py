from typing import Any

import pytest
import torch
from tests.models.layer_sizes import layer_sizes, on_meta, parameters, stage_sizes
from torch import nn

from striate.models import AlexNet2012, alexnet, alexnet_2012
from striate.nn.local_response_norm import LocalResponseNorm


def test_torchvisions():
    network = on_meta(alexnet)
    assert parameters(network) == 61_100_840
    assert stage_sizes(network) == {
        "pool1": (64, 27, 27), "pool2": (192, 13, 13), "conv3": (384, 13, 13), "conv4": (256, 13, 13),
        "pool5": (256, 6, 6),
    }  # fmt: skip
    assert not [layer for layer in network.modules() if isinstance(layer, LocalResponseNorm)]


def test_torchvisions_takes_any_size():
    network = on_meta(alexnet, num_classes=5)
    for size in ((63, 63), (224, 300)):
        assert network(torch.empty(2, 3, *size, device="meta")).shape == (2, 5)


def test_features_are_layers_too():
    network = on_meta(alexnet)
    assert network.features[0] is network.get_submodule("features.0")
    assert len(network.features) == 13
    assert "features.0.weight" in dict(network.named_parameters())


@pytest.mark.parametrize(("groups", "count"), [(2, 60_965_224), (1, 62_378_344)])
def test_parameters_of_2012(groups: int, count: int):
    network = on_meta(alexnet_2012, groups=groups)
    assert parameters(network) == count
    assert f"{count:,}" in AlexNet2012.__doc__


def test_sizes_of_2012():
    network = on_meta(alexnet_2012)
    assert layer_sizes(network)["conv1"] == (96, 55, 55)
    assert stage_sizes(network) == {
        "pool1": (96, 27, 27), "pool2": (256, 13, 13), "conv3": (384, 13, 13), "conv4": (384, 13, 13),
        "pool5": (256, 6, 6),
    }  # fmt: skip
    assert network.fc6.in_features == 9216


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_third_convolution_reads_all_maps(groups: int):
    network = on_meta(alexnet_2012, groups=groups)
    read = [
        layer.weight.shape[1] for layer in (network.conv1, network.conv2, network.conv3, network.conv4, network.conv5)
    ]
    assert read == [3, 96 // groups, 256, 384 // groups, 384 // groups]


def test_response_normalisation_follows_rectification_and_comes_before_pooling():
    network = alexnet_2012(input_size=(67, 67), num_classes=2).eval()
    order: list[str] = []
    for name in ("conv1", "norm1", "conv2", "norm2", "conv3", "relu", "pool"):
        network.get_submodule(name).register_forward_hook(lambda _, __, ___, name=name: order.append(name))
    network(torch.randn(1, 3, 67, 67))
    assert order[:9] == ["conv1", "relu", "norm1", "pool", "conv2", "relu", "norm2", "pool", "conv3"]
    for norm in (network.norm1, network.norm2):
        assert (norm.size, norm.k, norm.alpha, norm.beta, norm.alpha_mode) == (5, 2.0, 1e-4, 0.75, "sum")
    assert (network.pool.kernel_size, network.pool.stride) == (3, 2)


def test_the_first_maps_are_the_papers():
    torch.manual_seed(0)
    network = alexnet_2012(input_size=(67, 67), num_classes=2).double().eval()
    picture = 30 * torch.randn(1, 3, 67, 67, dtype=torch.float64)
    maps = nn.functional.conv2d(picture, network.conv1.weight, network.conv1.bias, stride=4).relu()
    squares = nn.functional.pad(maps.square(), (0, 0, 0, 0, 2, 2))
    sums = torch.stack([squares[:, offset : offset + 96] for offset in range(5)]).sum(0)
    expected = nn.functional.max_pool2d(maps / (2 + 1e-4 * sums) ** 0.75, 3, 2)
    torch.testing.assert_close(network.features(picture)["pool1"], expected, rtol=1e-9, atol=1e-12)


def test_2012_is_made_for_one_size():
    network = alexnet_2012(input_size=(67, 83), num_classes=2)
    assert network(torch.zeros(1, 3, 67, 83)).shape == (1, 2)
    with pytest.raises(ValueError, match=r"this alexnet_2012 is made for pictures of 67x83 pixels"):
        network(torch.zeros(1, 3, 83, 67))


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (alexnet, {"input_size": (62, 224)}, "alexnet needs pictures of at least 63x63 pixels, got a side of 62"),
        (alexnet, {"num_classes": 0}, "num_classes must be at least 1, got 0"),
        (alexnet, {"dropout": 2.0}, "dropout probability"),
        (
            alexnet_2012,
            {"input_size": (66, 66)},
            "alexnet_2012 needs pictures of at least 67x67 pixels, got a side of 66",
        ),
        (alexnet_2012, {"in_channels": 0}, "in_channels must be at least 1, got 0"),
        (alexnet_2012, {"groups": 3}, "groups must divide 32, got 3"),
        (alexnet_2012, {"groups": 0}, "groups must be at least 1, got 0"),
    ],
)
def test_options_out_of_range(build: Any, options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_dropout_is_of_the_hidden_linear_layers():
    torch.manual_seed(0)
    network = alexnet_2012(input_size=(67, 67), num_classes=2, dropout=1.0)
    assert torch.equal(network(torch.randn(1, 3, 67, 67))[0], network.fc8.bias)
