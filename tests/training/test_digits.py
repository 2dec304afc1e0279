"""The main job on real input: LeNet-5 on the handwritten digits, with the default settings."""

import statistics
from pathlib import Path

import pytest

from striate.training import Config, fit


@pytest.mark.sweep
def test_accuracy_over_seeds(tmp_path: Path) -> None:
    accuracies = []
    for seed in range(5):
        result = fit("lenet5", "digits", Config(seed=seed, threads=2), out=tmp_path / str(seed), report=False)
        accuracies.append(100 * result.evaluation.accuracy)
        print(f"seed {seed}: test accuracy {accuracies[-1]:.2f} %")
    print(f"median {statistics.median(accuracies):.2f} %, least {min(accuracies):.2f} %")
    assert statistics.median(accuracies) >= 99.4
    assert min(accuracies) >= 98.8


def test_a_few_epochs_learn(tmp_path: Path) -> None:
    result = fit(
        "lenet5", "digits", Config(epochs=5, threads=1, precision="float32"), out=tmp_path / "run", report=False
    )
    assert result.evaluation.accuracy > 0.9
