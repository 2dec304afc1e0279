from typing import Any

import pytest
import torch
from tests.models.layer_sizes import on_meta, parameters, stage_sizes

from striate.models import deepface


def test_parameters():
    network = on_meta(deepface)
    assert parameters(network) == 118_923_774
    unshared = [parameters(layer) for layer in (network.l4, network.l5, network.l6)]
    assert unshared == [62_774_800, 7_850_000, 2_829_456]
    assert sum(unshared) == 73_454_256
    # The paper: more than 95 % are in the locally and the fully connected layers.
    assert parameters(network.c1) + parameters(network.c3) < 0.05 * parameters(network)


def test_sizes_are_those_of_figure_2():
    assert stage_sizes(on_meta(deepface)) == {
        "c1": (32, 142, 142), "m2": (32, 71, 71), "c3": (16, 63, 63), "l4": (16, 55, 55), "l5": (16, 25, 25),
        "l6": (16, 21, 21),
    }  # fmt: skip


def test_every_place_has_filters_of_its_own():
    torch.manual_seed(0)
    network = deepface(input_size=(72, 73), num_classes=2).eval()
    maps = torch.ones(1, 16, 23, 23)
    assert network.l4.weight.shape == (15, 15, 16, 16, 9, 9)
    answers = network.l4(maps)[0, 0]
    assert answers.unique().numel() == answers.numel()


def test_made_for_one_size():
    network = deepface(input_size=(72, 80), num_classes=2)
    assert network(torch.zeros(1, 3, 72, 80)).shape == (1, 2)
    with pytest.raises(ValueError, match="this deepface is made for pictures of 72x80 pixels"):
        network(torch.zeros(1, 3, 80, 80))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": (71, 152)}, "deepface needs pictures of at least 72x72 pixels, got a side of 71"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"dropout": 1.5}, "dropout probability"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        on_meta(deepface, **options)
