import json
import re
from fractions import Fraction

import pytest
import torch
from torch import nn

import striate
from striate.inspection import Comparison, compare


def both(first: nn.Module, second: nn.Module, *sizes: tuple[int, ...]) -> Comparison:
    """Two networks on one input size, or on one each."""
    return compare(striate.inspect(first, sizes[0]), striate.inspect(second, sizes[-1]))


def pair(found: Comparison, what: str) -> tuple[object, object]:
    row = found.row(what)
    return row.first, row.second


@pytest.mark.parametrize("channels", [1, 8, 64])
def test_one_large_filter_against_three_small_ones(channels: int):
    large = nn.Conv2d(channels, channels, 7, bias=False)
    small = nn.Sequential(*(nn.Conv2d(channels, channels, 3, bias=False) for _ in range(3)))
    found = both(large, small, (1, channels, 32, 32))
    assert pair(found, "parameters") == (49 * channels**2, 27 * channels**2)
    assert pair(found, "receptive_field") == ((7, 7), (7, 7))
    assert pair(found, "jump") == ((1, 1), (1, 1))
    assert found.output_sizes == ((1, channels, 26, 26), (1, channels, 26, 26))
    assert found.row("parameters").ratio == 49 / 27
    assert found.row("receptive_field").ratio == 1
    assert found.ends == ("", "2")


def test_ordinary_against_depthwise_separable():
    ordinary = nn.Conv2d(3, 128, 3, bias=False)
    separable = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3, bias=False), nn.Conv2d(3, 128, 1, bias=False))
    found = both(ordinary, separable, (1, 3, 7, 7))
    assert pair(found, "parameters") == (3456, 411)
    assert pair(found, "macs") == (86_400, 10_275)
    assert pair(found, "flops") == (172_800, 20_550)
    assert pair(found, "receptive_field") == ((3, 3), (3, 3))
    assert found.row("macs").ratio == 86_400 / 10_275


def test_fully_connected_against_convolutional():
    dense, shared = nn.Linear(5, 5, bias=False), nn.Conv1d(1, 1, 3, padding=1, bias=False)
    assert pair(both(dense, shared, (1, 5), (1, 1, 5)), "parameters") == (25, 3)
    with torch.device("meta"):
        dense = nn.Sequential(nn.Flatten(), nn.Linear(200 * 200 * 3, 40_000, bias=False))
        shared = nn.Conv2d(3, 20, 5, padding=4, bias=False)
    found = both(dense, shared, (1, 3, 200, 200))
    assert pair(found, "parameters") == (4_800_000_000, 1500)
    assert found.output_sizes == ((1, 40_000), (1, 20, 204, 204))
    # 832,320 units of 75 weights each.
    assert pair(found, "macs") == (4_800_000_000, 832_320 * 75)


def test_fully_connected_local_and_shared():
    with torch.device("meta"):
        dense = nn.Sequential(nn.Flatten(), nn.Linear(200 * 200, 40_000, bias=False))
        shared = nn.Conv2d(1, 100, 10, bias=False)
        local = striate.nn.LocalConv2d(1, 1, 10, input_size=(200, 200), padding="same", bias=False)
    size = (1, 1, 200, 200)
    assert pair(both(dense, local, size), "parameters") == (1_600_000_000, 4_000_000)
    assert pair(both(local, shared, size), "parameters") == (4_000_000, 10_000)


def test_the_last_map_of_features_counts():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 2),
    )  # fmt: skip
    found = both(network, nn.Conv1d(1, 1, 2, stride=2), (1, 3, 33, 33), (1, 1, 8))
    assert found.ends == ("2", "")
    assert pair(found, "receptive_field") == ((11, 11), (2,))
    assert pair(found, "jump") == ((2, 2), (2,))
    assert (found.row("jump").ratio, found.row("receptive_field").ratio) == (1, 5.5)


def test_fields_that_cannot_be_compared():
    tall = nn.Conv2d(1, 1, (3, 5), bias=False)
    found = both(tall, nn.Sequential(nn.Flatten(), nn.Linear(81, 2)), (1, 1, 9, 9))
    assert (found.row("receptive_field").first, found.row("receptive_field").ratio) == ((3, 5), None)
    assert re.search(r"receptive field +3×5 +\S+ +–\n", str(found))
    wide = both(nn.ConvTranspose2d(1, 1, 2, stride=2), tall, (1, 1, 9, 9))
    assert wide.row("jump").first == (Fraction(1, 2), Fraction(1, 2))
    assert wide.row("jump").ratio == 0.5
    assert json.loads(wide.to_json())["rows"][-1]["first"] == [0.5, 0.5]


class Odd(nn.Module):
    """An operation that no rule counts."""

    def forward(self, x):
        return torch.special.airy_ai(x)


def test_a_lower_bound_has_no_ratio():
    found = both(nn.Sequential(nn.Conv2d(1, 1, 3), Odd()), nn.Conv2d(1, 1, 3), (1, 1, 9, 9))
    assert found.row("macs").states == ("lower bound", "complete")
    assert found.row("macs").ratio is None
    assert re.search(r"MACs +at least 441 +441 +–\n", str(found))
    assert "at least: not all operators could be counted" in str(found)


def test_text_in_eighty_columns():
    found = compare(striate.inspect("vgg16"), striate.inspect("resnet18"))
    text = found.to_text()
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"^ +vgg16 +resnet18 +ratio$", text, re.MULTILINE)
    assert re.search(r"^parameters +138,357,544 +11,689,512 +11\.8$", text, re.MULTILINE)
    assert re.search(r"^receptive field +212 +435 ", text, re.MULTILINE)
    assert "FLOPs = 2 MACs" in text
    assert str(found) == text
    long = compare(striate.inspect("vgg16"), striate.inspect("resnet18"))
    object.__setattr__(long, "names", ("a" * 100, "b\x1b[2J"))
    assert max(map(len, long.to_text().splitlines())) <= 80
    assert "\x1b" not in long.to_text()


def test_markdown_and_json():
    found = compare(striate.inspect("vgg16"), striate.inspect("resnet18"))
    object.__setattr__(found, "names", ("a|b", "c"))
    lines = found.to_markdown().splitlines()
    assert lines[0] == r"|  | a\|b | c | ratio |"
    assert len({line.replace(r"\|", "").count("|") for line in lines if line.startswith("|")}) == 1
    content = json.loads(found.to_json())
    assert content == found.to_dict()
    assert content["schema"] == 1
    assert content["input_sizes"] == [[[1, 3, 224, 224]], [[1, 3, 224, 224]]]
    row = next(row for row in content["rows"] if row["what"] == "parameters")
    assert (row["first"], row["second"], row["states"]) == (138357544, 11689512, ["complete", "complete"])


def test_no_such_row():
    found = both(nn.ReLU(), nn.ReLU(), (1, 2))
    assert pair(found, "parameters") == (0, 0) and found.row("parameters").ratio is None
    with pytest.raises(ValueError, match="what must be one of parameters, macs, .*, got 'weight'"):
        found.row("weight")
