import math

import pytest
import torch
from torch import nn

from striate.models import UNetConfig, unet


def sizes(side: int, **options: object) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        network = unet(input_size=(side, side), **options)
        maps = network.features(torch.empty(1, 1, side, side))
        scores = network.head(maps["up1"])
        assert network(torch.empty(1, 1, side, side)).shape == scores.shape
    return {stage: tuple(found.shape[1:]) for stage, found in (*maps.items(), ("scores", scores))}


def test_sizes_of_the_paper():
    assert sizes(572, padding="valid") == {
        "down1": (64, 568, 568),
        "down2": (128, 280, 280),
        "down3": (256, 136, 136),
        "down4": (512, 64, 64),
        "bottom": (1024, 28, 28),
        "up4": (512, 52, 52),
        "up3": (256, 100, 100),
        "up2": (128, 196, 196),
        "up1": (64, 388, 388),
        "scores": (2, 388, 388),
    }


def test_sizes():
    assert sizes(512) == {
        "down1": (64, 512, 512),
        "down2": (128, 256, 256),
        "down3": (256, 128, 128),
        "down4": (512, 64, 64),
        "bottom": (1024, 32, 32),
        "up4": (512, 64, 64),
        "up3": (256, 128, 128),
        "up2": (128, 256, 256),
        "up1": (64, 512, 512),
        "scores": (2, 512, 512),
    }


@pytest.mark.parametrize(
    ("options", "parameters"), [({"padding": "valid"}, 31_030_658), ({"depth": 2, "width": 32}, 465_986)]
)
def test_parameters(options: dict[str, object], parameters: int):
    with torch.device("meta"):
        network = unet(**options)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize("size", [(1, 1), (7, 16), (33, 21)])
@pytest.mark.parametrize("depth", [1, 3])
def test_any_size(size: tuple[int, int], depth: int):
    network = unet(depth=depth, width=2, num_classes=3, input_size=size).eval()
    scores = network(torch.randn(1, 1, *size))
    assert scores.shape == (1, 3, *size)
    assert scores.isfinite().all()


@pytest.mark.parametrize(("size", "left"), [(45, 8), (46, 8), (49, 12)])
def test_other_sizes_without_padding(size: int, left: int):
    network = unet(depth=2, width=2, padding="valid", input_size=(size, size + 4))
    assert network(torch.randn(1, 1, size, size + 4)).shape[2] == left


def test_the_middle_of_the_way_down_is_joined():
    network = unet(depth=1, width=1, padding="valid", input_size=(20, 20)).eval()
    pictures = torch.randn(1, 1, 20, 20)
    joined: list[torch.Tensor] = []
    network.up[0].register_forward_pre_hook(lambda _, given: joined.append(given[0]))
    maps = network.features(pictures)
    assert torch.equal(joined[0][:, :1], maps["down1"][..., 4:12, 4:12])
    assert torch.equal(joined[0][:, 1:], network.enlarge[0](maps["bottom"]))


def test_stages_can_be_run_again():
    network = unet(depth=2, width=2).eval()
    pictures = torch.randn(1, 1, 9, 9)
    stages = network.stages()
    found = []
    for _ in range(2):
        maps = pictures
        for _, stage in stages:
            maps = stage(maps)
        found.append(maps)
    assert torch.equal(*found)


def test_first_weights_and_normalisation():
    torch.manual_seed(0)
    network = unet(depth=2)
    layer = network.bottom[2]
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.01)
    assert not layer.bias.any()
    normalised = unet(depth=1, width=2, batch_norm=True)
    assert [type(layer) for layer in normalised.bottom[:3]] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert normalised.bottom[0].bias is None


def test_dropout_at_the_bottom():
    torch.manual_seed(0)
    network = unet(depth=1, width=2, dropout=0.5)
    maps = torch.rand(1, 2, 64, 64)
    dropped = (network.stages()[1][1](maps) == 0).float().mean()
    kept = (network.eval().stages()[1][1](maps) == 0).float().mean()
    assert dropped > kept + 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"padding": "full"}, "padding must be one of same, valid, got 'full'"),
        ({"input_size": (0, 512)}, r"input_size must be \(H, W\), each at least 1, got \(0, 512\)"),
        (
            {"input_size": (572, 172), "padding": "valid"},
            r"input_size must leave something of the picture at depth 4 with padding valid, got \(572, 172\)",
        ),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        UNetConfig(**options)


def test_the_least_size_without_padding():
    assert UNetConfig(input_size=(173, 173), padding="valid").depth == 4
    assert sizes(173, padding="valid", width=1)["scores"] == (2, 4, 4)
