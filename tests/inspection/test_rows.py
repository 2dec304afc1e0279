"""The layers of a run: one a call, and what forwards compute by themselves."""

import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from striate.inspection.rows import Row, rows
from striate.inspection.tracing.trace import trace


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4, 3, 3, 3))
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        maps = F.relu(F.conv2d(input, self.weight, padding=1))
        maps = maps + self.conv(maps)
        return F.max_pool2d(torch.cat([maps, maps], 1), 2).flatten(1)


def read(model: nn.Module, *size: int) -> list[Row]:
    return rows(trace(model, [torch.empty(size)]))


def outline(found: list[Row]) -> list[tuple[int, str, str]]:
    return [(row.depth, row.name, row.operator) for row in found]


def test_modules_in_modules() -> None:
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Flatten())
    found = read(model, 1, 3, 8, 8)
    assert outline(found) == [
        (0, "", "Sequential"),
        (1, "0", "Sequential"),
        (2, "0.0", "Conv2d"),
        (2, "0.1", "ReLU"),
        (1, "1", "Flatten"),
    ]
    assert [row.leaf for row in found] == [False, False, True, True, True]
    assert [row.parent for row in found] == [None, 0, 1, 1, 0]


def test_what_a_forward_computes_by_itself() -> None:
    found = read(Functional(), 1, 3, 8, 8)
    assert outline(found)[1:] == [
        (1, "convolution", "convolution"),
        (1, "relu", "relu"),
        (1, "conv", "Conv2d"),
        (1, "add", "add"),
        (1, "cat", "cat"),
        (1, "max_pool2d", "max_pool2d"),
        (1, "flatten", "flatten"),
    ]
    assert [row.parameters for row in found[1:4]] == [["weight"], [], ["conv.weight", "conv.bias"]]


def test_a_module_that_runs_twice() -> None:
    linear = nn.Linear(4, 4)
    found = read(nn.Sequential(linear, nn.ReLU(), linear), 1, 4)
    assert [(row.name, row.repeat, row.parameters) for row in found[1:]] == [
        ("0", 1, ["0.weight", "0.bias"]),
        ("1", 1, []),
        ("0", 2, []),
    ]


def test_modules_that_do_not_run_come_last() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.spare, self.used = nn.Linear(3, 3), nn.Linear(4, 2)

        def forward(self, input: Tensor) -> Tensor:
            output: Tensor = self.used(input)
            return output

    found = read(Idle(), 1, 4)
    assert [(row.name, row.call is None, row.parameters) for row in found[1:]] == [
        ("used", False, ["used.weight", "used.bias"]),
        ("spare", True, ["spare.weight", "spare.bias"]),
    ]


@pytest.mark.parametrize(
    "model",
    [
        nn.MultiheadAttention(8, 2, batch_first=True),
        parametrizations.weight_norm(nn.Linear(8, 8)),
        nn.LSTM(8, 4, batch_first=True),
    ],
    ids=["attention", "weight_norm", "lstm"],
)
def test_a_layer_of_pytorch_is_one_row(model: nn.Module) -> None:
    class Wraps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = model

        def forward(self, input: Tensor) -> Tensor:
            output = self.layer(input, input, input) if isinstance(model, nn.MultiheadAttention) else self.layer(input)
            output = output if isinstance(output, Tensor) else output[0]
            return output

    found = read(Wraps(), 2, 5, 8)
    assert [(row.name, row.leaf) for row in found] == [("", False), ("layer", True)]
    assert sorted(found[1].parameters) == sorted(f"layer.{name}" for name, _ in model.named_parameters())


class Holds(nn.Module):
    """A layer with a buffer in a module without parameters, which its forward reads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.statistics = nn.BatchNorm1d(3, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        running: Tensor = self.statistics.running_mean  # type: ignore[assignment]
        return x - running


def test_buffers_of_modules_without_parameters() -> None:
    found = rows(trace(Holds(), [torch.empty(2, 3)]))
    assert [row.parameters for row in found] == [[], []]


def test_a_long_network_is_read_in_linear_time() -> None:
    with torch.device("meta"):
        model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(1000)))
    found = trace(model, [torch.empty(1, 2)])
    asked = sys.getprofile(), [0]

    def count(frame: object, event: str, argument: object) -> None:
        asked[1][0] += 1

    sys.setprofile(count)
    try:
        rows(found)
    finally:
        sys.setprofile(asked[0])
    assert asked[1][0] < 200 * 1000
