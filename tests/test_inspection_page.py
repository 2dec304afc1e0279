"""The page of inspection says what inspection finds."""

import doctest
import importlib
import importlib.util
import json
import re
from pathlib import Path

import pytest
from benchmarks.peers.counters import ANSWERS
from benchmarks.peers.ten_networks import TEN, total

from inspection_page import counters
from inspection_page.page import whole

PAGE = Path(__file__).parents[1] / "docs" / "inspection.md"
TEXT = PAGE.read_text(encoding="utf-8")
WITHOUT = not importlib.util.find_spec("torchvision")
needs_torchvision = pytest.mark.skipif(WITHOUT, reason="torchvision is not installed")


@needs_torchvision
def test_the_page_is_what_the_tool_writes() -> None:
    importlib.import_module("benchmarks.peers.torchvision_on_cpu")
    assert whole(json.loads(ANSWERS.read_text(encoding="utf-8"))) == TEXT, "run: make docs"


def test_examples_run() -> None:
    failed, attempted = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert attempted > 20
    assert failed == 0


def test_texts_from_the_terminal_fit_in_80_columns() -> None:
    fences = TEXT.split("```text\n")[1:]
    assert len(fences) == 5
    for fence in fences:
        assert max(map(len, fence.partition("\n```")[0].splitlines())) <= 80


@pytest.mark.parametrize(
    "number", ["15,237,608", "60.95 MB", "115.17 MB", "74.3%", "89.4%", "42.6%", "212×212", "they read 15"]
)
def test_the_numbers_of_the_lectures_are_there(number: str) -> None:
    assert number in TEXT


def test_at_their_own_sizes_only_shortcuts_leave_inputs_unread() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \(Conv\dd\) never reads .*\|$", TEXT, re.M)
    assert len(rows) == 5
    assert all("downsample" in layer for layer in rows)
    silent = next(line for line in TEXT.splitlines() if line.startswith("Nothing is left unread in"))
    assert "`alexnet`" in silent and "`vgg16`" in silent


def test_what_is_read_of_the_memory_is_what_a_run_keeps() -> None:
    rows = re.findall(r"^\| (training|evaluation) \| ([\d,]+) bytes \| ([\d,]+) bytes \|$", TEXT, re.M)
    assert [mode for mode, _, _ in rows] == ["training", "evaluation"]
    assert all(read == real for _, read, real in rows)


@needs_torchvision
@pytest.mark.parametrize("example", TEN, ids=[example.name for example in TEN])
def test_ours_is_the_truth(example: counters.Example) -> None:
    truth = {"parameters": total(example.parameters), "macs": total(example.macs), "left_out": []}
    assert counters.ours(example) == truth


@pytest.mark.parametrize(
    ("said", "truth", "left_out", "cell"),
    [
        (None, 5, False, "no answer"),
        (5, 5, False, "5"),
        (2048, 2048, True, "2,048†"),
        (20, 5, False, "20 **(4×)**"),
        (102, 100, True, "102† **(+2 %)**"),
        (97, 100, False, "97 **(-3 %)**"),
        (0, 5, False, "0 **(nothing)**"),
        (21, 100, False, "21 **(0.21×)**"),
    ],
)
def test_cells(said: int | None, truth: int, left_out: bool, cell: str) -> None:
    assert counters.cell(said, truth, left_out=left_out) == cell
