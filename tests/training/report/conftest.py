from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from striate.training.report import LayerRow, RunSummary


@pytest.fixture
def some_run() -> Callable[..., RunSummary]:
    """Make a run of three epochs whose predictions are partly wrong."""
    return _some_run


def _some_run(
    *, samples: int = 40, classes: Sequence[str] = ("cat", "dog", "owl"), seed: int = 0, **changes: Any
) -> RunSummary:
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(classes), samples)
    scores = random.normal(size=(samples, len(classes)))
    scores[np.arange(samples), labels] += 1.5
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    values = {
        "name": "some-run",
        "model": "lenet5",
        "source": "photos",
        "classes": tuple(classes),
        "counts": {"train": 1234, "val": 50, "test": samples},
        "input_size": (1, 28, 20),
        "settings": {"epochs": 3, "lr": 0.1, "seed": 0, "threads": None, "augment": {"rotation": 10.0, "flip": True}},
        "epochs": [
            {"epoch": n, "step": 10 * n, "lr": 0.1, "train_loss": 2 / n, "train_accuracy": 1 - 0.5 / n,
             "val_loss": 2.2 / n, "val_accuracy": 1 - 0.6 / n}
            for n in (1, 2, 3)
        ],
        "best_epoch": 3,
        "seconds": 192.0,
        "part": "test",
        "names": [f"test/{n}.png" for n in range(samples)],
        "labels": labels,
        "probabilities": probabilities.astype(np.float32),
        "pictures": _grey_pictures,
        "filters": random.normal(size=(6, 1, 5, 5)).astype(np.float32),
        "layers": [
            LayerRow(name="0", operator="Conv2d", output_size=(6, 24, 16), parameters=1156),
            LayerRow(name="1", operator="Flatten", output_size=(2304,), parameters=0),
        ],
        "notes": ["Two folders were empty."],
        "environment": {"PyTorch": "2.13.0"},
    }  # fmt: skip
    return RunSummary(**(values | changes))


def _grey_pictures(positions: Sequence[int]) -> NDArray[np.uint8]:
    """Pictures whose grey level is the position."""
    return np.stack([np.full((28, 20, 1), position % 256, np.uint8) for position in positions])
