"""An inspection as Markdown."""

import re

import pytest
from tests.inspection.networks import HOSTILE, altered, chain, hostile
from torch import nn

from striate.inspection.finding import Finding
from striate.inspection.inspection import InspectionError, inspect
from striate.inspection.views.markdown import render, words


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each table."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_rows_and_totals() -> None:
    totals, layers = tables(render(inspect(chain(), (1, 3, 32, 32))))
    assert {row[0]: row[1:] for row in totals}["parameters"] == ["4,538", "complete"]
    assert {row[0]: row[1] for row in totals}["FLOPs"] == f"{2 * (8 * 75 * 196 + 3920):,}"
    assert layers[2] == ["0", "Conv2d", "3×32×32", "8×14×14", "5×5, stride 2", "608", "117,600", "5", "2"]
    assert {len(row) for row in layers} == {9}
    assert len(layers) == 2 + 5


def test_names_stay_words() -> None:
    text = render(inspect(hostile(), (1, 1, 8, 8)))
    for table in tables(text):
        assert len({len(row) for row in table}) == 1
    assert "<" not in text and "@" not in text
    assert not re.search(r"(?<!\\)`x", text)


def test_escaped_words() -> None:
    assert words("a|b *c* _d_ [e](f) <g> & @h\n#1") == (r"a\|b \*c\* \_d\_ \[e\](f) &lt;g&gt; &amp; &#64;h\\n\#1")


def test_findings() -> None:
    finding = Finding(kind="unread", layer=HOSTILE, text="one row", fixes=("padding=1",))
    text = render(altered(chain(), (1, 3, 32, 32), findings=(finding, Finding(kind="hooks", layer="", text="none"))))
    assert ": one row\n  - padding=1\n- **hooks** in the network: none\n" in text
    assert "<script" not in text


def test_what_failed_is_shown_up_to_there() -> None:
    with pytest.raises(InspectionError) as caught:
        inspect(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(5, 6)), (1, 3, 8, 8))
    text = render(caught.value.inspection)
    assert "| 0 | Conv2d | 3×8×8 | 4×6×6 |" in text
    assert "lower bound" in text and "- **failure** at 1:" in text
