import pytest
import torch
from torch import Tensor, nn

from striate.inspection.memory.batches import OfBatch, of_batch
from striate.inspection.tracing.trace import trace


def test_the_fullest_moment_changes_with_the_batch() -> None:
    found = OfBatch(lines=((0, 10), (100, 8)), exact=True)
    assert [found(batch) for batch in (1, 50, 51)] == [108, 500, 510]
    assert [found.largest(memory) for memory in (107, 108, 500, 509, 510)] == [0, 1, 50, 50, 51]
    assert found.largest(500, 2) == 40


def test_bad_batches() -> None:
    with pytest.raises(ValueError, match="batch must be positive, got 0"):
        OfBatch(lines=((0, 1),), exact=True)(0)
    with pytest.raises(ValueError, match="the memory does not grow with the batch: every batch fits"):
        OfBatch(lines=((5, 0),), exact=True).largest(10)


def test_lines_are_those_of_the_moments() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    input = torch.randn(2, 3, 8, 8)
    found = of_batch(model, trace(model, [input]), "inference", lambda run: run.live)
    assert found == OfBatch(lines=((0, 2 * 4 * 6 * 6 * 4),), exact=True)


class Products(nn.Module):
    """Compares all samples with all."""

    def forward(self, input: Tensor) -> Tensor:
        return (input @ input.t()).exp()


def test_what_is_no_line_is_said_to_be_none() -> None:
    model = Products()
    found = of_batch(model, trace(model, [torch.randn(4, 3)]), "inference", lambda run: run.live)
    assert not found.exact and len(found.lines) == 1
    assert found(4) >= 2 * 4 * 4 * 4 and found(11) >= 2 * 11 * 11 * 4


def test_the_order_of_axes_is_kept() -> None:
    model = nn.Conv2d(3, 4, 3)
    strides: list[tuple[int, ...]] = []
    first = trace(model, [torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)])
    of_batch(model, first, "forward", lambda run: strides.append(run.given[0].stride()) or run.live)
    assert strides == [(192, 1, 24, 3)] * 3


def test_inputs_with_another_first_axis_stay() -> None:
    class Two(nn.Module):
        def forward(self, input: Tensor, weight: Tensor) -> Tensor:
            return input @ weight

    shapes: list[tuple[int, ...]] = []
    model = Two()
    first = trace(model, [torch.randn(2, 3), torch.randn(3, 5)])
    of_batch(model, first, "forward", lambda run: shapes.append(tuple(run.given[1].shape)) or run.live)
    assert set(shapes) == {(3, 5)}


def test_a_network_of_one_batch_only() -> None:
    class Fixed(nn.Module):
        def forward(self, input: Tensor) -> Tensor:
            return input.view(2, 3, 8)

    model = Fixed()
    with pytest.raises(ValueError, match="the network does not run with a batch of 3"):
        of_batch(model, trace(model, [torch.randn(2, 24)]), "forward", lambda run: run.live)
    with pytest.raises(ValueError, match="the network takes no tensor with a batch"):
        of_batch(model, trace(model, []), "forward", lambda run: run.live)
