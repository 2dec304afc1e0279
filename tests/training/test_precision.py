import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from striate.training.precision import faster_precision


class Clock:
    """A clock that only a network's steps move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Timed(nn.Module):
    """Takes a given time in each precision; with all that a measurement could disturb."""

    def __init__(self, advance: Callable[[bool], None]) -> None:
        super().__init__()
        self.advance = advance
        self.layers = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Dropout(), nn.Linear(12, 2))

    def forward(self, input: Tensor) -> Tensor:
        self.advance(torch.is_autocast_enabled("cpu"))
        scores: Tensor = self.layers(input)
        return scores


@pytest.mark.parametrize(
    ("single", "brief", "expected"),
    [(10, 5, "bfloat16"), (10, 9, "bfloat16"), (10, 9.5, "float32"), (10, 10, "float32"), (10, 30, "float32")],
)
def test_the_faster_one(monkeypatch: pytest.MonkeyPatch, single: float, brief: float, expected: str):
    clock = Clock()
    turns = {True: 0, False: 0}

    def advance(autocast: bool) -> None:
        clock.now += brief if autocast else single
        turns[autocast] += 1

    monkeypatch.setattr(time, "perf_counter", clock)
    found = faster_precision(Timed(advance), torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 1, 0]), seconds=90.0)
    assert found == expected
    assert turns[True] == turns[False] <= 8


def test_a_slow_network_is_measured_once(monkeypatch: pytest.MonkeyPatch):
    clock, turns = Clock(), []

    def advance(autocast: bool) -> None:
        # The first steps warm up: their times must not count.
        clock.now += 100 if len(turns) < 2 else 1 if autocast else 2
        turns.append(autocast)

    monkeypatch.setattr(time, "perf_counter", clock)
    assert faster_precision(Timed(advance), torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 1, 0])) == "bfloat16"
    assert turns == [False, True, False, True]


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_touched(training: bool):
    model = Timed(lambda autocast: None).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pictures, labels = torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 1, 0])
    random, kept = torch.get_rng_state(), pictures.clone()
    faster_precision(model, pictures, labels, seconds=0.0)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(pictures, kept)
    assert model.training is training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_network_that_cannot_run_in_bfloat16():
    def refuse(autocast: bool) -> None:
        if autocast:
            raise RuntimeError("not implemented for 'BFloat16'")

    assert faster_precision(Timed(refuse), torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 1, 0])) == "float32"


def test_a_network_that_cannot_run_at_all():
    with pytest.raises(RuntimeError, match="running_mean"):
        faster_precision(Timed(lambda autocast: None), torch.randn(4, 5, 2, 2), torch.tensor([0, 1, 1, 0]))
