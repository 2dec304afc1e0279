import pytest
import torch

from striate.geometry import Window
from striate.models import GoogLeNetConfig, Outputs, googlenet


def test_sizes():
    with torch.device("meta"):
        maps = googlenet().features(torch.empty(2, 3, 224, 224))
    assert {stage: tuple(found.shape[1:]) for stage, found in maps.items()} == {
        "conv1": (64, 112, 112),
        "conv3": (192, 56, 56),
        "inception3a": (256, 28, 28),
        "inception3b": (480, 28, 28),
        "inception4a": (512, 14, 14),
        "inception4b": (512, 14, 14),
        "inception4c": (512, 14, 14),
        "inception4d": (528, 14, 14),
        "inception4e": (832, 14, 14),
        "inception5a": (832, 7, 7),
        "inception5b": (1024, 7, 7),
    }


def test_parameters_without_auxiliary_heads():
    with torch.device("meta"):
        network = googlenet(aux_logits=False)
        assert isinstance(network(torch.empty(2, 3, 32, 32)), torch.Tensor)
    assert sum(parameter.numel() for parameter in network.parameters()) == 6_624_904
    network.reset_classifier(3)
    assert network.aux1 is None


def test_auxiliary_scores_in_training():
    with torch.device("meta"):
        network = googlenet(num_classes=6)
        pictures = torch.empty(2, 3, 64, 48)
        heads = dict(network.auxiliary_heads())
        found = network(pictures)
    assert heads == {"inception4a": network.aux1, "inception4d": network.aux2}
    assert isinstance(found, Outputs)
    assert [tuple(scores.shape) for scores in (found.scores, *found.auxiliary)] == [(2, 6)] * 3
    assert found.weight == 0.3


def test_the_least_size():
    windows = (Window(7, 2, 3), *(Window(3, 2, ceil_mode=True),) * 3, Window(2, 2, ceil_mode=True))

    def passes(size: int) -> bool:
        for window in windows:
            if not window.fits(size):
                return False
            size = window.output_size(size)
        return True

    assert [passes(size) for size in (14, 15)] == [False, True]
    with torch.device("meta"):
        network = googlenet(num_classes=2, input_size=(15, 15), transform_input=True).eval()
        assert network(torch.empty(1, 3, 15, 15)).shape == (1, 2)
        with pytest.raises(ValueError, match=r"H and W at least 15, got \(1, 3, 15, 14\)"):
            network(torch.empty(1, 3, 15, 14))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"input_size": (14, 32)}, r"input_size must be \(H, W\), each at least 15, got \(14, 32\)"),
        ({"in_channels": 1, "transform_input": True}, "transform_input goes with 3 channels, got in_channels=1"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        GoogLeNetConfig(**options)


@pytest.mark.parametrize("option", ["dropout", "dropout_aux"])
def test_dropout_out_of_range(option: str):
    with torch.device("meta"), pytest.raises(ValueError, match=r"dropout probability.*got -1"):
        googlenet(**{option: -1})
