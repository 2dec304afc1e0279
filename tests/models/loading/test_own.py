import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from striate import models
from striate.models import LeNet5

OPTIONS: dict[str, Any] = {"num_classes": 3, "input_size": (20, 33), "activation": "relu", "pooling": "max"}


@pytest.fixture
def network() -> LeNet5:
    torch.manual_seed(0)
    return models.lenet5(**OPTIONS).eval()


def save(of: LeNet5, file: Path, **words: str) -> Path:
    config = json.dumps(dataclasses.asdict(of.config))
    save_file(of.state_dict(), file, {"library": "striate", "network": "lenet5", "config": config} | words)
    return file


def test_options_travel_in_the_file(network: LeNet5, tmp_path: Path):
    file = save(network, tmp_path / "own.safetensors")
    found, report = models.load("lenet5", file)
    assert report.complete and not report.changed
    assert found.config == network.config
    pictures = torch.randn(2, 1, 20, 33)
    assert torch.equal(found(pictures), network(pictures))


def test_options_that_are_given_come_first(network: LeNet5, tmp_path: Path):
    found, report = models.load("lenet5", save(network, tmp_path / "own.safetensors"), num_classes=5)
    assert found.config == dataclasses.replace(network.config, num_classes=5)
    assert report.changed == ("output begins anew: 3 classes in the file, 5 wanted",)


def test_a_text_takes_the_sizes_of_its_file(tmp_path: Path):
    text, file = "conv 4 3x3, flatten, linear classes", tmp_path / "own.safetensors"
    network = models.create(f"w = 4; {text.replace('4', 'w')}", in_channels=3, input_size=(8, 9), num_classes=3)
    words = {"library": "striate", "network": "notation", "config": json.dumps(dataclasses.asdict(network.config))}
    save_file(network.state_dict(), file, words)
    found, report = models.load(text, file)
    assert found.config == network.config
    assert report.complete and not report.changed
    with pytest.raises(ValueError, match="wrongly sized"):
        models.load(f"{text}, softmax", file)


@pytest.mark.parametrize(
    "words",
    [
        {"library": "other"},
        {"network": "mlp"},
        {"config": ""},
        {"config": "[" * 5000},
        {"config": "[]"},
        {"config": '{"num_classes": "many"}'},
        {"config": '{"colours": 3}'},
        {"config": '{"num_classes": 1000000000000}'},
        {"config": '{"num_classes": 4}'},
        {"config": '{"layers": [1000000, 1, 1, 1]}'},
        {"config": '{"layers": 3}'},
        {"config": '{"depth": 1000000}'},
        {"config": '{"depth": "deep"}'},
        {"config": '{"layers": ["deep"]}'},
        {"config": " " * 20_000},
    ],
)
def test_words_that_do_not_fit_the_tensors_are_no_options(network: LeNet5, tmp_path: Path, words: dict[str, str]):
    file = save(network, tmp_path / "own.safetensors", **words)
    with pytest.raises(ValueError, match="wrongly sized"):
        models.load("lenet5", file)
    assert models.load("lenet5", file, **OPTIONS).report.complete
