import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from striate.cli import main
from striate.data import Augmentation
from striate.training import Config, fit


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def striate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["striate", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Answer(ended.value.code or 0, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of three digits, 20 each."""
    folder = tmp_path_factory.mktemp("pictures")
    digits = load_digits()
    for label, name in enumerate(("nought", "one", "two")):
        (folder / name).mkdir()
        for index in np.flatnonzero(digits.target == label)[:20]:
            Image.fromarray((digits.images[index] * 15).astype(np.uint8)).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A finished run on the pictures; not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    augment = Augmentation(rotation=3.0)
    config = Config(epochs=6, batch_size=10, lr=0.05, warmup=0.5, precision="float32", threads=1, augment=augment)
    fit("lenet5", pictures, config, out=folder, size=14, report=False)
    return folder
