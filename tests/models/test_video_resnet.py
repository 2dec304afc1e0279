import pytest
import torch
from torch import nn

from striate import models
from striate.models import VideoResNetConfig, r2plus1d_18, r3d_18


@pytest.mark.parametrize("name", ["r3d_18", "r2plus1d_18"])
def test_sizes(name: str):
    with torch.device("meta"):
        maps = models.create(name).features(torch.empty(2, 3, 16, 112, 112))
    assert {stage: tuple(found.shape[1:]) for stage, found in maps.items()} == {
        "stem": (64, 16, 56, 56),
        "layer1": (64, 16, 56, 56),
        "layer2": (128, 8, 28, 28),
        "layer3": (256, 4, 14, 14),
        "layer4": (512, 2, 7, 7),
    }


def windows(network: models.VideoResNet) -> set[tuple[int, ...]]:
    return {layer.kernel_size for layer in network.modules() if isinstance(layer, nn.Conv3d)}


def test_space_and_time_together_or_apart():
    with torch.device("meta"):
        assert windows(r3d_18()) == {(3, 7, 7), (3, 3, 3), (1, 1, 1)}
        assert windows(r2plus1d_18()) == {(1, 7, 7), (1, 3, 3), (3, 1, 1), (1, 1, 1)}
        block = r2plus1d_18().layer2[0].conv1[0]
    # (27 * 64 * 128) / (9 * 64 + 3 * 128), for as many weights as the whole convolution has.
    assert block[0].out_channels == 230
    assert sum(weight.numel() for weight in (block[0].weight, block[3].weight)) == 220_800 <= 27 * 64 * 128 == 221_184


@pytest.mark.parametrize("build", [r3d_18, r2plus1d_18])
def test_a_single_frame(build):
    with torch.device("meta"):
        assert build(num_classes=3, in_channels=1).eval()(torch.empty(1, 1, 1, 1, 2)).shape == (1, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"input_size": (112, 112)}, r"input_size must be \(T, H, W\), each at least 1, got \(112, 112\)"),
        ({"layers": (2, 2, 2)}, r"layers must be four numbers of blocks, each at least 1, got \(2, 2, 2\)"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        VideoResNetConfig(**options)
