"""An inspection as a page."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from tests.inspection.networks import HOSTILE, Residual, altered, chain, hostile
from torch import nn

from striate.inspection.finding import Finding
from striate.inspection.inspection import InspectionError, inspect
from striate.inspection.views.page import render

VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Checks that tags nest, and collects what the page holds."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.script = ""
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.script += data
        elif self.open[-1:] != ["style"]:
            self.text += data
            if {"td", "th"} & set(self.open):
                self.rows[-1][-1] += data


def test_rows_totals_and_sections() -> None:
    page = Reader(render(inspect(chain(), (1, 3, 32, 32))))
    rows = {row[0]: row[1:] for row in page.rows}
    assert rows["0"][:8] == ["Conv2d", "3×32×32", "8×14×14", "5×5, stride 2", "608", "117,600", "5", "2"]
    assert [a["href"] for tag, a in page.tags if tag == "a"] == ["#picture", "#findings", "#tree", "#layers", "#memory"]
    assert rows["Weights"] == ["18.15 kB"]
    for text in ("4.54 k", "122 k", "243 k", "FLOPs = 2"):
        assert text in page.text


def test_the_page_loads_nothing_and_runs_its_own_script_only() -> None:
    html = render(inspect(chain(), (1, 3, 32, 32)))
    page = Reader(html)
    assert [tag for tag, _ in page.tags].count("script") == 1
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    digest = b64encode(sha256(page.script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not re.search(r"(src|href)=\"(?!#)|url\(|@import", html)


def test_names_cannot_leave_their_place() -> None:
    finding = Finding(kind="merge", layer=HOSTILE, text=HOSTILE, fixes=(HOSTILE,))
    inspection = altered(hostile(), (1, 1, 8, 8), name=HOSTILE, findings=(finding,))
    page, plain = Reader(render(inspection)), Reader(render(inspect(chain(), (1, 3, 32, 32))))
    kinds = [tag for tag, _ in page.tags]
    assert kinds.count("script") == kinds.count("svg") == kinds.count("body") == 1
    assert page.script == plain.script
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert '<script>alert("1")</script>' in page.text


def test_modules_fold() -> None:
    page = Reader(render(inspect(nn.Sequential(nn.Conv2d(1, 4, 3), Residual(4), Residual(4)), (1, 1, 9, 9))))
    details = [attributes for tag, attributes in page.tags if tag == "details"]
    assert ["open" in each for each in details] == [True, False, False]
    assert [tag for tag, _ in page.tags].count("summary") == 3


def test_readable_without_seeing() -> None:
    page = Reader(render(inspect("lenet5")))
    tags = [tag for tag, _ in page.tags]
    assert dict(page.tags)["html"] == {"lang": "en"}
    assert tags.count("caption") == tags.count("table") == 2
    heads = [attributes for tag, attributes in page.tags if tag == "th"]
    assert all(attributes.get("scope") in ("col", "row") for attributes in heads)
    svg = dict(page.tags)["svg"]
    assert svg["role"] == "img"
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert all(a["aria-labelledby"] in identifiers for tag, a in page.tags if tag == "section")


def test_every_cell_that_sorts_has_a_number() -> None:
    page = Reader(render(inspect("googlenet")))
    for tag, attributes in page.tags:
        if "data-value" in attributes:
            assert tag in ("td", "th")
            assert float(attributes["data-value"] or "") >= -1


@pytest.mark.parametrize("part", ["ground", "raised"])
@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast(scheme: int, part: str) -> None:
    colours = [
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in render(inspect("lenet5")).split(":root {")[1:]
    ]

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for name in ("ink", "quiet", "accent", "warned"):
        bright, dim = sorted((luminance(colours[scheme][name]), luminance(colours[scheme][part])), reverse=True)
        # What the guidelines for accessible content ask of small text.
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, name


def test_what_failed_is_shown_up_to_there() -> None:
    with pytest.raises(InspectionError) as caught:
        inspect(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(5, 6)), (1, 3, 8, 8))
    page = Reader(render(caught.value.inspection))
    assert "failure" in page.text and "4×6×6" in page.text and "at least" in page.text
