"""A toy task that trains in a moment: a network with dropout, and data that lie in files or in memory."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from striate.data import Augmentation, Dataset, load
from striate.training import Config, fit


class ToyNetwork(nn.Module):
    """Convolution, batch normalisation, dropout and two tied weights: all that makes resuming hard."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)
        self.normalisation = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.3)
        self.first = nn.Linear(4, 4, bias=False)
        self.second = nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight
        self.output = nn.Linear(4, 3)

    def forward(self, input: Tensor) -> Tensor:
        maps = self.normalisation(self.convolution(input)).relu()
        features = self.second(self.first(self.dropout(maps.mean((2, 3)))))
        scores: Tensor = self.output(features)
        return scores


@pytest.fixture(scope="session")
def toy_config() -> Config:
    """Two epochs of six steps, with augmentation."""
    augment = Augmentation(flip=True)
    return Config(epochs=2, batch_size=6, lr=0.05, warmup=0.5, seed=3, precision="float32", threads=1, augment=augment)


@pytest.fixture(scope="session")
def toy_network() -> Callable[[], ToyNetwork]:
    """Makes the network, always with the same first weights."""

    def make() -> ToyNetwork:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return ToyNetwork()

    return make


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three classes in files, 48 in all."""
    folder = tmp_path_factory.mktemp("toy")
    random = np.random.default_rng(0)
    for label, name in enumerate(("blue", "green", "red")):
        (folder / name).mkdir()
        for index in range(16):
            values = random.integers(0, 120, (8, 8, 3), dtype=np.uint8)
            values[..., 2 - label] += 80
            Image.fromarray(values).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def toy_data(toy_folder: Path) -> Dataset:
    """The pictures, held in memory."""
    return load(toy_folder, seed=3)


@pytest.fixture(scope="session")
def toy_files(toy_folder: Path) -> Dataset:
    """The pictures, read from their files whenever they are needed."""
    return load(toy_folder, seed=3, memory=0)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path, toy_config: Config) -> Path:
    """A finished run of LeNet-5 on the pictures, with its report; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    fit("lenet5", toy_folder, toy_config, out=folder, size=12)
    return folder
