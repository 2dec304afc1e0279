import dataclasses
import json

import pytest
import torch
from torch import nn

from striate import models


def test_names():
    assert models.names() == sorted(models.names())
    for name in models.names():
        with torch.device("meta"):
            network = models.create(name)
        assert models.name_of(network) == name
        assert network.config == models.config_of(name)


def test_name_of_another_module():
    class Special(models.LeNet5):
        """A network of the user's own: ours could not be built in its place."""

    assert models.name_of(nn.Linear(1, 1)) is None
    assert models.name_of(Special(models.LeNet5Config())) is None


def test_rebuild_from_json():
    network = models.create("lenet5", in_channels=3, num_classes=4, input_size=(20, 30), activation="relu", dropout=0.2)
    options = json.loads(json.dumps(dataclasses.asdict(network.config)))
    again = models.rebuild("lenet5", options)
    assert again.config == network.config
    again.load_state_dict(network.state_dict())


def test_rebuild_of_a_module_that_is_not_ours():
    with pytest.raises(ValueError, match=r"Net is not a network of striate.models: give the module itself as model="):
        models.rebuild("Net", None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lenet", "there is no network named 'lenet': did you mean lenet5 or "),
        ("LeNet-5", "there is no network named 'LeNet-5': did you mean lenet5?"),
        ("ResNet 18", "there is no network named 'ResNet 18': did you mean resnet18?"),
        ("quux", "there is no network named 'quux': expected one of alexnet, alexnet_2012"),
    ],
)
def test_unknown_network(name: str, message: str):
    for ask in (models.create, models.config_of):
        with pytest.raises(ValueError, match=message.replace("?", r"\?")):
            ask(name)


def test_unknown_option():
    with pytest.raises(TypeError, match="lenet5 has no option 'classes': expected some of in_channels, num_classes"):
        models.create("lenet5", classes=3)
