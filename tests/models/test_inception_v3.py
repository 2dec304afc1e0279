import pytest
import torch
from torch.nn import functional as F

from striate.geometry import Window
from striate.models import InceptionV3Config, Outputs, inception_v3

# The windows that change sizes.
WINDOWS = (Window(3, 2), Window(3), Window(3, 2), Window(3), Window(3, 2), Window(3, 2), Window(3, 2))


def last_size(size: int) -> int:
    for window in WINDOWS:
        size = window.output_size(size) if size and window.fits(size) else 0
    return size


def test_sizes():
    with torch.device("meta"):
        maps = inception_v3().features(torch.empty(2, 3, 299, 299))
    assert {stage: tuple(found.shape[1:]) for stage, found in maps.items()} == {
        "Conv2d_1a_3x3": (32, 149, 149),
        "Conv2d_2a_3x3": (32, 147, 147),
        "Conv2d_2b_3x3": (64, 147, 147),
        "Conv2d_3b_1x1": (80, 73, 73),
        "Conv2d_4a_3x3": (192, 71, 71),
        "Mixed_5b": (256, 35, 35),
        "Mixed_5c": (288, 35, 35),
        "Mixed_5d": (288, 35, 35),
        **{f"Mixed_6{letter}": (768, 17, 17) for letter in "abcde"},
        "Mixed_7a": (1280, 8, 8),
        "Mixed_7b": (2048, 8, 8),
        "Mixed_7c": (2048, 8, 8),
    }


def test_parameters_without_an_auxiliary_head():
    with torch.device("meta"):
        network = inception_v3(aux_logits=False)
        assert isinstance(network(torch.empty(2, 3, 75, 75)), torch.Tensor)
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_834_568


def test_the_least_size():
    assert [last_size(size) for size in (74, 75, 299)] == [0, 1, 8]
    with torch.device("meta"):
        network = inception_v3(num_classes=2, transform_input=True).eval()
        assert network(torch.empty(1, 3, 75, 75)).shape == (1, 2)
        for call in (network, network.features):
            with pytest.raises(ValueError, match=r"H and W at least 75, got \(1, 3, 75, 74\)"):
                call(torch.empty(1, 3, 75, 74))


@pytest.mark.parametrize("side", [75, 160, 299])
def test_auxiliary_scores_in_training(side: int):
    with torch.device("meta"):
        found = inception_v3(num_classes=6)(torch.empty(2, 3, side, side))
    assert isinstance(found, Outputs)
    assert [tuple(scores.shape) for scores in (found.scores, *found.auxiliary)] == [(2, 6)] * 2
    assert found.weight == 0.4


def test_the_auxiliary_head_pools_as_published_from_17x17_on():
    with torch.device("meta"):
        head = inception_v3(num_classes=2).AuxLogits
    head.to_empty(device="cpu")
    pooled: list[torch.Tensor] = []
    head.conv0 = torch.nn.Identity()
    head.conv1 = torch.nn.Identity()
    head.fc = torch.nn.Identity()
    head.conv0.register_forward_hook(lambda _, given, __: pooled.append(given[0]))
    large, small = torch.randn(1, 8, 17, 18), torch.randn(1, 8, 3, 16)
    head(large), head(small)
    assert torch.equal(pooled[0], F.avg_pool2d(large, 5, 3))
    assert torch.equal(pooled[1], F.adaptive_avg_pool2d(small, 5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"input_size": (299, 74)}, r"input_size must be \(H, W\), each at least 75, got \(299, 74\)"),
        ({"in_channels": 1, "transform_input": True}, "transform_input goes with 3 channels, got in_channels=1"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        InceptionV3Config(**options)
