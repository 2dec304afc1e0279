from typing import Any

import pytest
import torch
from tests.models.layer_sizes import on_meta, parameters, stage_sizes
from torch import nn

from striate.geometry import Window, receptive_field
from striate.models import DilatedContext, dilated_context


@pytest.fixture
def network() -> DilatedContext:
    torch.manual_seed(0)
    return dilated_context(width=2, num_classes=5).eval()


def convolutions(layers: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d)]


def windows(layers: nn.Module) -> list[Window]:
    return [Window(layer.kernel_size[0], dilation=layer.dilation[0]) for layer in convolutions(layers)]


def test_parameters():
    network = on_meta(dilated_context)
    assert parameters(network) == 8_443_853
    # The paper's, which counts no more than 64 C^2 weights: seven of 9 C^2 and one of C^2.
    weights = [layer.weight for layer in (*convolutions(network.context), network.scores)]
    assert sum(weight.numel() for weight in weights) == 64 * 21**2


def test_with_a_width_of_64_the_front_end_is_that_of_vgg_16():
    network = on_meta(dilated_context, width=64)
    shapes = [tuple(layer.weight.shape) for layer in convolutions(network.banks)]
    assert [shape[0] for shape in shapes] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    assert tuple(network.wide[0].weight.shape) == (4096, 512, 7, 7)


def test_sizes():
    assert stage_sizes(on_meta(dilated_context)) == {
        "bank1": (16, 112, 112), "bank2": (32, 56, 56), "bank3": (64, 28, 28), "bank4": (128, 28, 28),
        "bank5": (128, 28, 28), "wide": (1024, 28, 28), "front": (21, 28, 28), "context": (21, 28, 28),
    }  # fmt: skip


def test_what_a_place_sees(network: DilatedContext):
    along = windows(network.context)
    assert [receptive_field(along[:depth]).size for depth in range(1, 8)] == [3, 5, 9, 17, 33, 65, 67]
    maps = torch.rand(1, 21, 101, 101, requires_grad=True)
    with torch.no_grad():
        for layer in convolutions(network.context):
            layer.weight.fill_(1e-3)
    network.context(maps)[0, 0, 50, 50].backward()
    reached = maps.grad[0, 0].nonzero()
    assert reached.min() == 50 - 33 and reached.max() == 50 + 33


def test_begins_by_passing_on(network: DilatedContext):
    maps = torch.randn(2, 21, 9, 13)
    assert torch.equal(network.context(maps), maps.relu())
    assert torch.equal(network.head(maps), maps[:, :5])


@pytest.mark.parametrize("size", [(8, 8), (33, 50), (64, 9)])
def test_scores_for_every_pixel(network: DilatedContext, size: tuple[int, int]):
    assert network(torch.zeros(2, 3, *size)).shape == (2, 5, *size)


def test_maps_are_enlarged_bilinearly(network: DilatedContext):
    picture = torch.randn(1, 3, 32, 40)
    maps = network.head(network.features(picture)["context"])
    assert maps.shape == (1, 5, 4, 5)
    expected = nn.functional.interpolate(maps, scale_factor=8, mode="bilinear")
    torch.testing.assert_close(network(picture), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": (7, 32)}, r"input_size must be \(H, W\), each at least 8, got \(7, 32\)"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"channels": 0}, "channels must be at least 1, got 0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"dropout": 1.5}, "dropout probability"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        dilated_context(**options)
