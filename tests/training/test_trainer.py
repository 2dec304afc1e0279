import dataclasses
import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from striate.data import Dataset
from striate.training import Config, checkpoint, fit, resume
from striate.training.run import Run
from striate.training.trainer import step_seed

Toy = Callable[[], nn.Module]


class Breaking(nn.Module):
    """Gives scores that are not numbers from some call in training on."""

    def __init__(self, network: nn.Module, call: int) -> None:
        super().__init__()
        self.network, self.call, self.calls = network, call, 0

    def forward(self, input: Tensor) -> Tensor:
        self.calls += self.training
        scores: Tensor = self.network(input)
        return scores * math.nan if self.calls >= self.call else scores


def digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_loss_that_is_not_a_number(tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config):
    folder = tmp_path / "run"
    seen = {}

    def remember(step: int) -> None:
        if step == 7:
            seen.update(digests(folder / "checkpoints"))

    message = r"the loss is nan at step 9 \(epoch 2\), lr 0.0\d+: try a lower lr than 0.05; .* checkpoint are untouched"
    with pytest.raises(ValueError, match=message):
        fit(Breaking(toy_network(), 9), toy_data, toy_config, out=folder, report=False, on_step=remember)
    assert checkpoint.saved_steps(folder / "checkpoints") == [0, 6]
    assert digests(folder / "checkpoints") == seen
    assert [record["epoch"] for record in Run(folder).epochs()] == [1]
    assert not (folder / "result.json").exists()
    result = resume(folder, model=Breaking(toy_network(), 1000), data=toy_data, report=False)
    assert math.isfinite(result.evaluation.loss)


def test_weights_that_break_at_the_end_of_an_epoch(
    tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config
):
    folder, model = tmp_path / "run", toy_network()

    def spoil(step: int) -> None:
        if step == 12:
            nn.init.constant_(model.output.bias, math.inf)

    with pytest.raises(ValueError, match=r"the loss on the val part of .* is nan: a lower lr may train better"):
        fit(model, toy_data, toy_config, out=folder, report=False, on_step=spoil)
    assert checkpoint.saved_steps(folder / "checkpoints") == [0, 6]


def test_nothing_to_train(tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config):
    model = toy_network().requires_grad_(False)
    with pytest.raises(ValueError, match="the model has no parameter to train: all are frozen, or there are none"):
        fit(model, toy_data, toy_config, out=tmp_path / "run", report=False)


def test_frozen_parameters_stay(tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config):
    model = toy_network()
    model.convolution.requires_grad_(False)
    before = model.convolution.weight.clone()
    output = model.output.weight.clone()
    fit(model, toy_data, toy_config, out=tmp_path / "run", report=False)
    assert torch.equal(model.convolution.weight, before)
    assert not torch.equal(model.output.weight, output)


def test_checkpoints_by_time(tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config):
    config, found = dataclasses.replace(toy_config, checkpoint_seconds=0.0), []
    folder = tmp_path / "run"

    def look(step: int) -> None:
        found.append(checkpoint.saved_steps(folder / "checkpoints"))

    straight = fit(toy_network(), toy_data, toy_config, out=tmp_path / "straight", report=False)
    often = fit(toy_network(), toy_data, config, out=folder, report=False, on_step=look)
    assert found[:4] == [[0], [0, 1], [1, 2], [2, 3]]
    assert torch.equal(straight.evaluation.probabilities, often.evaluation.probabilities)


def test_weight_decay_spares_biases_and_normalisation(
    tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config
):
    config = dataclasses.replace(toy_config, epochs=1, batch_size=100, warmup=0, schedule="constant", momentum=0)
    updated = {}
    for decay in (0.0, 0.5):
        model = toy_network()
        chosen = dataclasses.replace(config, weight_decay=decay)
        fit(model, toy_data, chosen, out=tmp_path / str(decay), report=False)
        updated[decay] = dict(model.named_parameters())
    for name, start in toy_network().named_parameters():
        expected = updated[0.0][name] - (0.05 * 0.5 * start if start.ndim > 1 else 0)
        torch.testing.assert_close(updated[0.5][name], expected)


def test_the_best_weights_are_those_of_the_best_validation(
    tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config
):
    config = dataclasses.replace(toy_config, epochs=8, lr=0.3)
    result = fit(toy_network(), toy_data, config, out=tmp_path / "run", report=False)
    records = Run(tmp_path / "run").epochs()
    best = max(records, key=lambda record: (record["val_accuracy"], -record["val_loss"]))
    assert result.best_epoch == best["epoch"]
    stored = checkpoint.read(checkpoint.step_folder(tmp_path / "run" / "checkpoints", best["step"])).model
    assert all(torch.equal(value, stored[name]) for name, value in result.model.state_dict().items())


def test_step_seeds_differ():
    seeds = {step_seed(seed, step) for seed in range(20) for step in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**56 for seed in seeds)
