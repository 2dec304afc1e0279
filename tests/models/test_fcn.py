import pytest
import torch
from torch.nn import functional as F

from striate.models import FCNConfig, Outputs, fcn_resnet50


def test_sizes():
    with torch.device("meta"):
        network = fcn_resnet50()
        pictures = torch.empty(2, 3, 520, 520)
        maps = network.features(pictures)
        assert network.head(maps["layer4"]).shape == (2, 21, 65, 65)
        assert network(pictures).shape == (2, 21, 520, 520)
    assert {stage: tuple(found.shape[1:]) for stage, found in maps.items()} == {
        "conv1": (64, 260, 260),
        "layer1": (256, 130, 130),
        "layer2": (512, 65, 65),
        "layer3": (1024, 65, 65),
        "layer4": (2048, 65, 65),
    }


def test_parameters():
    with torch.device("meta"):
        network = fcn_resnet50(aux_loss=True)
    assert sum(parameter.numel() for parameter in network.parameters()) == 35_322_218
    assert not any("fc" in name for name in network.state_dict())


def test_auxiliary_scores_in_training():
    with torch.device("meta"):
        network = fcn_resnet50(num_classes=4, aux_loss=True)
        pictures = torch.empty(2, 3, 33, 50)
        found = network(pictures)
        assert isinstance(found, Outputs)
        assert [scores.shape for scores in (found.scores, *found.auxiliary)] == [(2, 4, 33, 50)] * 2
        assert found.weight == 0.5
        assert network.eval()(pictures).shape == (2, 4, 33, 50)


def test_scores_are_enlarged_between_neighbours():
    network = fcn_resnet50(num_classes=3).eval()
    pictures = torch.randn(1, 3, 24, 31)
    with torch.no_grad():
        scores = network.head(network.features(pictures)["layer4"])
        found = network(pictures)
    assert scores.shape == (1, 3, 3, 4)
    assert torch.equal(found, F.interpolate(scores, (24, 31), mode="bilinear", align_corners=False))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"input_size": (0, 9)}, r"input_size must be \(H, W\), each at least 1, got \(0, 9\)"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        FCNConfig(**options)
