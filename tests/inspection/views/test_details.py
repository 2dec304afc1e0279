import json

import pytest
import torch
from torch import nn

import striate
from striate.inspection.views.details import details, render


class Twice(nn.Module):
    """A layer that runs twice, one that does not run, and one of which the bias alone is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Conv2d(2, 2, 3, padding=1)
        self.last = nn.Conv2d(2, 2, 3, dilation=2, stride=2)
        self.last.weight.requires_grad_(False)
        self.spare = nn.Linear(2, 2)

    def forward(self, x):
        return self.last(torch.relu(self.turn(self.turn(x))))


@pytest.fixture
def inspection() -> striate.inspection.Inspection:
    return striate.inspect(Twice(), (1, 2, 10, 10))


def test_every_call_is_told(inspection: striate.inspection.Inspection):
    text = render(inspection, "turn")
    assert text.startswith("turn, Conv2d, of Twice\n") and "\nturn, Conv2d, of Twice, call 2\n" in text
    found = details(inspection, "turn")
    assert [(call["repeat"], call["parameters"], call["receptive_field"]) for call in found["calls"]] == [
        (1, 38, [3, 3]),
        (2, 0, [5, 5]),
    ]
    assert json.loads(json.dumps(found)) == found


def test_weights_that_are_not_trained_and_rows_that_are_not_read(inspection: striate.inspection.Inspection):
    text = render(inspection, "last")
    for words in ("38, 2 of them trainable", "window      3×3", "4 between windows, 1 at the high end", "  unread "):
        assert words in text
    assert [finding["layer"] for finding in details(inspection, "last")["findings"] if finding["kind"] == "unread"] == [
        "last"
    ]


def test_a_unit_with_gaps():
    inspection = striate.inspect(nn.Conv2d(1, 1, 3, dilation=2, padding=1), (1, 1, 8, 8))
    text = render(inspection, "", (0, 1))
    assert "(0, 1) reads the inputs 1 … 3 × 0 … 4, 2×3 of them; were the input endless, -1 … 3 × 0 … 4" in " ".join(
        text.split()
    )
    unit = details(inspection, "", (0, 1))["unit"]
    assert (unit["first"], unit["last"], unit["covered"]) == ([1, 0], [3, 4], [2, 3])


def test_parts_of_a_cost():
    text = render(striate.inspect("resnet18_deform"), "layer4.1.conv2")
    for words in ("offset branch 6,096,384", "product 115,605,504", "sampling 903,168", "not exact: it is moved"):
        assert words in text


def test_a_layer_that_does_not_run(inspection: striate.inspection.Inspection):
    assert "no: it does not run on this input" in render(inspection, "spare")
    assert details(inspection, "spare")["calls"][0]["called"] is False


def test_lines_fit_and_names_are_shown_as_they_are():
    model = nn.Sequential()
    model.add_module("a\x1b[2J" + "b" * 30, nn.Conv2d(1, 1, 3))
    inspection = striate.inspect(model, (1, 1, 8, 8))
    text = render(inspection, "a\x1b[2J" + "b" * 30, (0, 0), width=60)
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 80


def test_no_such_layer_or_unit(inspection: striate.inspection.Inspection):
    with pytest.raises(ValueError, match="there is no layer 'tur': did you mean turn"):
        render(inspection, "tur")
    with pytest.raises(ValueError, match="spare"):
        render(inspection, "spare", (0,))
    with pytest.raises(ValueError, match="unit"):
        details(inspection, "turn", (10, 0))
