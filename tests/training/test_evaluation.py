import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from striate.data import Dataset, Normalization
from striate.training import Evaluation, evaluate_part


class Constant(nn.Module):
    """Gives the same scores for every picture, and counts pictures."""

    def __init__(self, *scores: float) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.tensor(scores))
        self.sizes: list[int] = []

    def forward(self, input: Tensor) -> Tensor:
        assert not self.training
        self.sizes.append(len(input))
        return self.scores.expand(len(input), -1)


@pytest.fixture
def normalization(toy_data: Dataset) -> Normalization:
    return Normalization.of(toy_data)


def test_measures():
    answers = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    found = Evaluation(part="test", labels=torch.tensor([0, 1, 1, 1]), probabilities=answers, loss=0.5)
    assert found.predictions.tolist() == [0, 0, 1, 1]
    assert found.wrong == 1
    assert found.accuracy == 0.75


def test_values(toy_data: Dataset, normalization: Normalization):
    found = evaluate_part(Constant(1.0, 0.0, -1.0), toy_data, "train", normalization)
    samples = toy_data.parts["train"]
    total = math.e + 1 + 1 / math.e
    assert torch.equal(found.labels, toy_data.labels[samples])
    torch.testing.assert_close(found.probabilities[5], torch.tensor([math.e, 1, 1 / math.e]) / total)
    assert found.accuracy == pytest.approx((found.labels == 0).float().mean().item())
    share = torch.bincount(found.labels) / len(found.labels)
    expected = math.log(total) - share[0].item() + share[2].item()
    assert found.loss == pytest.approx(expected)


def test_mode_is_restored(toy_data: Dataset, normalization: Normalization):
    model = Constant(0.0, 0.0, 0.0)
    for training in (True, False):
        model.train(training)
        evaluate_part(model, toy_data, "test", normalization)
        assert model.training is training


def test_batches(toy_data: Dataset, normalization: Normalization):
    model = Constant(0.0, 0.0, 0.0)
    evaluate_part(model, toy_data, "train", normalization, batch_size=7)
    assert sum(model.sizes) == len(toy_data.parts["train"])
    assert max(model.sizes) <= 8


def test_bfloat16(toy_data: Dataset, normalization: Normalization):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    single = evaluate_part(model, toy_data, "train", normalization)
    brief = evaluate_part(model, toy_data, "train", normalization, precision="bfloat16")
    assert brief.probabilities.dtype == torch.float32
    assert not torch.equal(single.probabilities, brief.probabilities)
    torch.testing.assert_close(single.probabilities, brief.probabilities, rtol=0.1, atol=0.02)


def test_empty_part(toy_data: Dataset, normalization: Normalization):
    data = dataclasses.replace(toy_data, parts={**toy_data.parts, "val": torch.tensor([], dtype=torch.int64)})
    with pytest.raises(ValueError, match="has no samples in its val part"):
        evaluate_part(Constant(0.0, 0.0, 0.0), data, "val", normalization)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_scores_that_are_not_finite(toy_data: Dataset, normalization: Normalization, score: float):
    with pytest.raises(ValueError, match=r"the loss on the test part of .*toy.* is nan"):
        evaluate_part(Constant(score, 0.0, 0.0), toy_data, "test", normalization)
