"""The page of operators says what runs say, of every operator."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from operators_page import cells, page, speeds
from operators_page.peers import Peer
from operators_page.rows import Example, Row, rows
from ops.test_sweep import CHECKS
from striate.ops import OPERATORS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "operators.md"


def written_lines() -> dict[str, list[str]]:
    """The cells of our own lines of the page, without the numbers of notes, by operator."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        shown = re.match(r"\| `([^`]+)` \| striate \|(.*)\|$", line)
        if shown:
            found[shown[1]] = [re.sub(r"\[\^\d+\]", "", cell).strip() for cell in shown[2].split("|")]
    return found


def test_every_operator_has_a_row() -> None:
    names = {operator for row in rows() for operator in row.operators}
    assert names == set(OPERATORS) - {"explain_dispatch"}
    assert list(written_lines()) == [row.name for row in rows()]


@pytest.mark.parametrize("name", ["convolve", "table_conv{n}d"])
def test_the_page_says_what_a_run_says(name: str) -> None:
    (row,) = (row for row in rows() if row.name == name)
    found = cells.cells_of(row)
    assert list(found) == [*cells.AXES, *cells.COLUMNS]
    assert [cell.text for cell in found.values()] == written_lines()[name]


def test_the_sweep_on_the_page_drew_all_of_its_checks_and_none_failed() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## Random configurations")[2].partition("## Speed")[0]
    shown = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \|", text, re.MULTILINE)
    assert [name for name, _, _ in shown] == [*CHECKS, "all"]
    assert all(drawn == agreed for _, drawn, agreed in shown)
    assert int(shown[-1][1]) >= 5000


def row_of(function: Any, *peers: Peer) -> Row:
    example = Example(
        function=function, make=lambda batch, size: (torch.ones(batch, size).double(),), small=2, two=(2, 3), large=4
    )
    return Row(name="wrong{n}d", examples={1: example, 2: example}, peers=peers)


class _Square(torch.autograd.Function):
    """A square whose gradient is half of what it should be, once only, without tangents."""

    @staticmethod
    def forward(ctx: Any, input: Tensor) -> Tensor:
        ctx.save_for_backward(input)
        return input * input

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.saved_tensors[0]


def test_what_is_wrong_is_found() -> None:
    found = cells.cells_of(row_of(_Square.apply))
    assert [found[name].text for name in ("1-D", "2-D", "3-D")] == ["no", "no", "–"]
    assert found["double backward"].text == found["forward-mode"].text == "no"
    assert found["deterministic"].text == "yes"
    noisy = cells.cells_of(row_of(lambda x: x * torch.rand(())))
    assert noisy["deterministic"] == cells.Cell("no", ("1-D, 2-D: other bits at the second run",))

    def refuses(input: Tensor) -> Tensor:
        raise NotImplementedError("no such kernel\nand much more")

    assert cells.cells_of(row_of(refuses))["bfloat16"].reasons == ("1-D, 2-D: NotImplementedError: no such kernel",)


def test_a_peer_must_give_our_results() -> None:
    right, wrong = Peer(name="right", functions={1: torch.sin}), Peer(name="wrong", functions={2: torch.cos})
    absent = Peer(name="absent", functions={1: torch.sin}, needs=("no_such_package",))
    row = row_of(torch.sin, right, wrong, absent)
    assert [cell.text for cell in cells.cells_of_peer(row, right).values()] == ["yes", "–", "–"] + ["yes"] * 7
    found = cells.cells_of_peer(row, wrong)
    assert (found["1-D"].text, found["3-D"].text) == ("–", "–")
    assert found["2-D"] == cells.Cell("no", ("2-D: neither our results nor the derivatives of finite differences",))
    assert {cell.text for cell in cells.cells_of_peer(row, absent).values()} == {"not run"}


def test_notes_are_numbered_once() -> None:
    no = cells.Cell("no", ("1-D: slow",))
    text = page.table([("a", "striate", {"1-D": no, "2-D": cells.Cell("yes")}), ("", "peer", {"1-D": no})])
    assert text.splitlines()[2:] == ["| `a` | striate | no[^1] | yes |", "| | peer | no[^1] |", "", "[^1]: 1-D: slow"]


def test_draws_are_counted() -> None:
    def check(dice: random.Random) -> None:
        assert dice.random() > 0.5

    counts = page.count({"coins": check, "sure": lambda dice: None}, 20)
    failed = [seed for seed in range(1000, 1020) if random.Random(f"coins {seed}").random() <= 0.5]
    assert counts["coins"] == page.Count(20, tuple(failed))
    assert 0 < len(failed) < 20
    assert page.sweep(counts).splitlines()[-1] == f"| all | 40 | {40 - len(failed)} | |"


def spread(seconds: float) -> dict[str, float]:
    return {"median": seconds, "low": seconds, "high": seconds}


def recorded(date: str, seconds: float, **changes: Any) -> dict[str, Any]:
    target = {"ratio": 2.0, "with_backward": None, "extra_seconds": None}
    ours = {"seconds": spread(seconds), "seconds_with_backward": None, "rounds": 3, "memory": 2**20}
    peer = {**ours, "seconds": spread(3 * seconds), "ratio": spread(3.0), "ratio_with_backward": None, "memory": None}
    peers = [
        {"name": "fast", "target": target, "not_timed": None, "met": {"run": True}, **peer},
        {"name": "absent", "target": target, "not_timed": "not installed: x"},
    ]
    steps = [
        {"at": "1", "factor": 1, **ours, "against_first": None, "against_first_with_backward": None, "met": {}},
        {"at": "2", "factor": 2},
    ]
    versions = {"torch": "2", "jax": None}
    return {
        "machine": {"cpu": "a processor", "cores": 2, "threads": 1, "versions": versions, "date": date},
        "tested": True,
        "topics": {
            "conv": {
                "cases": [{"case": "3×3", "ours": ours, "peers": peers}],
                "scalings": [{"scaling": "3×3", "varied": "threads", "target": "≥ 1.7×", "steps": steps}],
            }
        },
        **changes,
    }  # fmt: skip


def test_the_newest_timing_is_shown(tmp_path: Path) -> None:
    for name, record in {
        "new": recorded("2026-02-01", 0.002),
        "old": recorded("2026-01-01", 0.001),
        "untested": recorded("2026-03-01", 0.003, tested=False),
        "red": recorded("2026-04-01", 0.004, topics={"conv": {"refused": "a test fails"}}),
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    ((name, (machine, topic)),) = speeds.newest(tmp_path).items()
    text = speeds.markdown(name, machine, topic)
    assert text.startswith("### conv\n\na processor, 2 cores, 1 threads; torch 2; 2026-02-01.\n\n| case |")
    assert "| 3×3 | striate | 2 ms | | | | 1.0 MiB | | |" in text
    assert "| | fast | 6 ms | 3× | | | | ≥ 2× | met |" in text
    assert "| | absent | not installed: x | | | | | ≥ 2× | |" in text
    assert "| threads | 3×3 | 1 | 2 ms | | | | | |" in text
    assert "| | | 2 | not measured | | | | | |" in text
    assert speeds.newest(tmp_path / "none") == {}


def test_no_path_and_no_host_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "/work" not in text and "/tmp" not in text and "/home" not in text
