import pytest
import torch

from striate.models import ResNet1dConfig, resnet1d18


def test_sizes():
    with torch.device("meta"):
        maps = resnet1d18().features(torch.empty(2, 1, 1000))
    assert {stage: tuple(found.shape[1:]) for stage, found in maps.items()} == {
        "conv1": (64, 500), "layer1": (64, 250), "layer2": (128, 125), "layer3": (256, 63), "layer4": (512, 32),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "length"),
    [({"kernel_size": 15}, 40), ({"layers": (1,)}, 9), ({"layers": (1, 1, 2), "in_channels": 12}, 1)],
)
def test_other_shapes(options: dict[str, object], length: int):
    network = resnet1d18(width=4, num_classes=3, **options).eval()
    series = torch.randn(2, network.config.in_channels, length)
    assert network(series).shape == (2, 3)
    assert list(network.features(series))[1:] == [f"layer{i + 1}" for i in range(len(network.config.layers))]
    assert network.layer1[0].conv1.kernel_size == (network.config.kernel_size,)


def test_is_resnet18_along_one_axis():
    with torch.device("meta"):
        network = resnet1d18(in_channels=3, num_classes=1000)
    weights = {name: tuple(value.shape) for name, value in network.state_dict().items() if value.ndim > 1}
    assert weights["conv1.weight"] == (64, 3, 7)
    assert weights["layer4.1.conv2.weight"] == (512, 512, 3)
    assert weights["layer3.0.downsample.0.weight"] == (256, 128, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"kernel_size": 0}, "kernel_size must be at least 1, got 0"),
        ({"kernel_size": 4}, "kernel_size must be odd, got 4"),
        ({"layers": ()}, r"layers must be numbers of blocks, each at least 1, got \(\)"),
        ({"layers": (2, 0)}, r"layers must be numbers of blocks, each at least 1, got \(2, 0\)"),
        ({"input_size": (2, 3)}, r"input_size must be \(L,\), each at least 1, got \(2, 3\)"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        ResNet1dConfig(**options)
