import pytest
import torch
from torch import nn

from striate.models import C3DConfig, c3d


def test_sizes():
    with torch.device("meta"):
        maps = c3d().features(torch.empty(2, 3, 16, 112, 112))
    # The last pooling hangs over the end: 7 places give 4.
    assert {stage: tuple(found.shape[1:]) for stage, found in maps.items()} == {
        "pool1": (64, 16, 56, 56),
        "pool2": (128, 8, 28, 28),
        "pool3": (256, 4, 14, 14),
        "pool4": (512, 2, 7, 7),
        "pool5": (512, 1, 4, 4),
    }


def test_eight_convolutions_of_small_windows():
    with torch.device("meta"):
        network = c3d()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv3d)]
    assert [layer.out_channels for layer in layers] == [64, 128, 256, 256, 512, 512, 512, 512]
    assert {(layer.kernel_size, layer.stride, layer.padding) for layer in layers} == {((3,) * 3, (1,) * 3, (1,) * 3)}


@pytest.mark.parametrize(("classes", "parameters"), [(487, 79_991_015), (101, 78_409_573)])
def test_parameters(classes: int, parameters: int):
    with torch.device("meta"):
        network = c3d(num_classes=classes)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert parameters - sum(parameter.numel() for parameter in network.fc8.parameters()) == 77_995_776


def test_the_last_pooling_changes_nothing_at_the_paper_s_size():
    with torch.device("meta"):
        network = c3d(num_classes=2)
    maps = torch.randn(1, 512, 1, 4, 4)
    network.fc6, network.fc7, network.fc8 = nn.Identity(), nn.Identity(), nn.Identity()
    assert torch.equal(network.eval().head(maps), maps.flatten(1).relu())


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 40, 17)])
def test_clips_of_other_sizes(size: tuple[int, ...]):
    with torch.device("meta"):
        assert c3d(num_classes=3, in_channels=1)(torch.empty(1, 1, *size)).shape == (1, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"input_size": (16, 112)}, r"input_size must be \(T, H, W\), each at least 1, got \(16, 112\)"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        C3DConfig(**options)


def test_dropout_out_of_range():
    with torch.device("meta"), pytest.raises(ValueError, match=r"dropout probability.*got 1.5"):
        c3d(dropout=1.5)
