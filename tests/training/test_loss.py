import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from striate.models import Outputs
from striate.training.loss import classification_loss


@pytest.fixture
def labels() -> Tensor:
    return torch.tensor([2, 0, 1, 1])


def test_of_scores_alone(labels: Tensor):
    scores = torch.randn(4, 3)
    loss, given = classification_loss(scores, labels)
    assert torch.equal(loss, F.cross_entropy(scores, labels))
    assert torch.equal(given, scores)


def test_by_hand():
    # Both classes as likely: the loss is log 2, and each auxiliary head adds its weight of that.
    even = torch.zeros(1, 2)
    loss, scores = classification_loss(Outputs(even, (even, even), 0.3), torch.tensor([1]))
    assert loss.item() == pytest.approx(1.6 * 0.6931472)
    assert torch.equal(scores, even)


def test_auxiliary_heads_learn_by_their_weight(labels: Tensor):
    scores, *others = (torch.randn(4, 3, requires_grad=True) for _ in range(3))
    loss, given = classification_loss(Outputs(scores, tuple(others), 0.4), labels, label_smoothing=0.1)
    loss.backward()
    assert torch.equal(given, scores)
    for value, weight in zip((scores, *others), (1.0, 0.4, 0.4), strict=True):
        alone = value.detach().clone().requires_grad_()
        (weight * F.cross_entropy(alone, labels, label_smoothing=0.1)).backward()
        torch.testing.assert_close(value.grad, alone.grad)


def test_in_float32(labels: Tensor):
    low = torch.randn(4, 3, dtype=torch.bfloat16)
    loss, scores = classification_loss(Outputs(low, (low,), 1.0), labels)
    assert loss.dtype == scores.dtype == torch.float32
    assert torch.equal(loss, 2 * F.cross_entropy(low.float(), labels))
