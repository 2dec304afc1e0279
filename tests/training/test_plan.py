from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from striate.data import Dataset
from striate.models import lenet5
from striate.training import Config, fit, plan

Toy = Callable[[], nn.Module]


def test_a_network_by_name(toy_folder: Path):
    planned = plan("lenet5", toy_folder, Config(batch_size=10, epochs=3), size=(14, 20))
    assert planned.data.size == (14, 20)
    assert planned.model.config.input_size == (14, 20)
    assert (planned.model.config.in_channels, planned.model.config.num_classes) == (3, 3)
    assert planned.steps == 3 * planned.steps_an_epoch == 3 * 4
    assert planned.model.c1.weight.is_contiguous(memory_format=torch.channels_last)
    assert planned.config.threads == torch.get_num_threads()
    assert planned.config.device == "cpu"
    assert planned.model_options == {
        "in_channels": 3, "num_classes": 3, "input_size": (14, 20), "activation": "tanh", "pooling": "average",
        "dropout": 0.0,
    }  # fmt: skip


def test_the_networks_own_size(toy_folder: Path):
    assert plan("lenet5", toy_folder).data.size == (28, 28)
    assert plan(lenet5(in_channels=3, num_classes=3, input_size=(16, 12)), toy_folder).data.size == (16, 12)


def test_first_weights_depend_on_the_seed_alone(toy_data: Dataset):
    torch.manual_seed(5)
    random = torch.get_rng_state()
    first, again, other = (plan("lenet5", "digits", Config(seed=seed)).model.f6.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), random)


def test_describe(toy_network: Toy, toy_data: Dataset):
    model = toy_network()
    model.output.weight.requires_grad_(False)
    planned = plan(model, toy_data, Config(epochs=2, batch_size=6, lr=0.05, schedule="step", augment=None, threads=1))
    assert planned.model_options is None
    text = planned.describe()
    for part in (
        "train 36, val 6, test 6; held in memory",
        "3: blue, green, red",
        f"ToyNetwork: {planned.parameters} parameters, input 3x8x8",
        "2 epochs of 6 steps, 12 in all; batch 6, lr 0.05 step, momentum 0.9",
        "augmentation off, seed 0, precision auto, 1 threads, cpu",
    ):
        assert part in text
    assert planned.parameters == sum(p.numel() for p in model.parameters()) - 12


def test_files_that_do_not_fit_in_memory(toy_files: Dataset, toy_network: Toy):
    assert "read from disk as needed" in plan(toy_network(), toy_files).describe()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(toy_data: Dataset):
    with pytest.raises(ValueError, match="device is cuda, but PyTorch finds no such GPU here"):
        plan("lenet5", "digits", Config(device="cuda"))


def test_unknown_network(toy_folder: Path):
    with pytest.raises(ValueError, match="there is no network named 'lenet6': did you mean lenet5"):
        plan("lenet6", toy_folder)


class Scoring(nn.Module):
    """Gives any number of scores."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape
        self.layer = nn.Linear(3, 1)

    def forward(self, input: Tensor) -> Tensor:
        return self.layer(input.mean((2, 3))).view(-1, *[1] * len(self.shape)).expand(-1, *self.shape)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Scoring(2), r"one score a class, \(2, 3\) for 2 pictures, got \(2, 2\)"),
        (Scoring(10), r"one score a class, \(2, 3\) for 2 pictures, got \(2, 10\)"),
        (Scoring(3, 4, 4), r"one score a class, \(2, 3\) for 2 pictures, got \(2, 3, 4, 4\)"),
        (nn.Conv2d(1, 3, 8), r"the network cannot take pictures of shape \(2, 3, 8, 8\): .*expected input.* 1 channel"),
    ],
)
def test_a_network_that_does_not_fit(tmp_path: Path, toy_data: Dataset, model: nn.Module, message: str):
    model.eval()
    with pytest.raises(ValueError, match=message):
        fit(model, toy_data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not model.training
