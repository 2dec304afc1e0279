import math

import pytest
import torch
from torch import nn

from striate.export.comparison import answers, check, error_of, sample, sizes_of, still
from striate.models import create


@pytest.mark.parametrize(
    ("found", "expected", "error"),
    [
        ([[1.0, 2.0]], [[1.0, 4.0]], 0.5),
        ([[1.0], [3.0]], [[1.0], [2.0]], 0.5),
        ([[0.0]], [[0.0]], 0.0),
        ([[1e-9]], [[0.0]], math.inf),
        ([[math.nan]], [[1.0]], math.inf),
        ([[math.inf]], [[1.0]], math.inf),
        ([[]], [[]], 0.0),
        ([[1.0]], [[1.0, 1.0]], math.inf),
        ([[1.0]], [[1.0], [1.0]], math.inf),
    ],
)
def test_errors(found: list[list[float]], expected: list[list[float]], error: float):
    assert error_of([torch.tensor(one) for one in found], [torch.tensor(one) for one in expected]) == error


def test_what_is_accepted():
    check(1e-4, 1e-4, "a.onnx")
    for error in (1.1e-4, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"a\.onnx does not give what the network gives"):
            check(error, 1e-4, "a.onnx")


def test_samples_are_the_same_at_every_call_and_differ_among_one_another():
    first = sample(3, (2, 5), torch.float16)
    assert first.dtype == torch.float16 and first.shape == (3, 2, 5)
    assert torch.equal(first, sample(3, (2, 5), torch.float16))
    assert not torch.equal(first[0], first[1])


def test_a_still_copy_shares_nothing():
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    copy = still(network)
    assert not copy.training and not any(parameter.requires_grad for parameter in copy.parameters())
    with torch.no_grad():
        copy[0].weight.zero_()
    assert network.training and network[0].weight.requires_grad and network[0].weight.abs().sum() > 0


def test_sizes_of_a_network():
    assert sizes_of(create("lenet5"), None) == (1, 28, 28)
    assert sizes_of(create("lenet5"), [1, 30, 30]) == (1, 30, 30)


def test_answers_in_their_order():
    class Two(nn.Module):
        def forward(self, input: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
            return input, [2 * input, 3 * input]

    assert [float(one) for one in answers(Two(), torch.ones(1))] == [1, 2, 3]
