import json

import pytest
from torch import nn

import striate
from striate import models
from striate.export.metadata import metadata
from striate.models.loading.preprocessing import Preprocessing


def test_a_network_of_ours():
    network = models.create("lenet5", num_classes=2, input_size=(20, 32), activation="relu")
    words = metadata(network, ["a", "ü"], None)
    assert words.keys() == {"library", "version", "network", "config", "classes"}
    assert (words["library"], words["version"], words["network"]) == ("striate", striate.__version__, "lenet5")
    assert models.rebuild(words["network"], json.loads(words["config"])).config == network.config
    assert json.loads(words["classes"]) == ["a", "ü"]


def test_any_module():
    assert metadata(nn.Linear(1, 1), [], None) == {"library": "striate", "version": striate.__version__}


def test_preprocessing():
    given = Preprocessing(mean=(0.5,), std=(0.25,), size=(2, 3), channels="L")
    words = metadata(nn.Linear(1, 1), [], given)
    assert Preprocessing.from_json(words["preprocessing"]) == given


def test_no_preprocessing():
    with pytest.raises(TypeError, match="preprocessing must be a Preprocessing, got dict"):
        metadata(nn.Linear(1, 1), [], {"mean": [0.5]})  # type: ignore[arg-type]


def test_as_many_classes_as_outputs():
    with pytest.raises(ValueError, match="classes must be 10, one an output, got 1"):
        metadata(models.create("lenet5"), ["a"], None)
