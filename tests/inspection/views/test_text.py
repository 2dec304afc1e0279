"""An inspection as lines of text."""

from dataclasses import replace

import pytest
import torch
from tests.inspection.networks import HOSTILE, Residual, altered, chain, hostile
from torch import Tensor, nn

from striate.inspection.counting.counts import CONVENTION
from striate.inspection.finding import Finding
from striate.inspection.inspection import InspectionError, inspect
from striate.inspection.report import Total
from striate.inspection.views.text import coloured, render


def cells(text: str, first: str) -> list[str]:
    """The words of the row that begins with one."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [first])


def test_table_of_a_chain() -> None:
    text = render(inspect(chain(), (2, 3, 32, 32)), width=62)
    assert text.splitlines()[0] == "Sequential on 2×3×32×32"
    assert cells(text, "layer") == ["layer", "operator", "output", "window", "params", "MACs", "field", "jump"]
    assert cells(text, "0") == ["0", "Conv2d", "8×14×14", "5×5", "s2", "608", "235", "k", "5", "2"]
    assert cells(text, "2") == ["2", "MaxPool2d", "8×7×7", "2×2", "s2", "0", "0", "7", "4"]
    assert "sizes without the batch of 2" in " ".join(text.split())
    # 8 filters of 5x5x3 on 14x14, and 392 features to 10 classes, twice.
    macs = 2 * (8 * 75 * 196 + 3920)
    assert f"{macs:,}" in text and f"{2 * macs:,}" in text
    assert " ".join(CONVENTION.split()) in " ".join(text.split())


@pytest.mark.parametrize("view", ["tree", "flat", "operator"])
@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("name", ["lenet5", "googlenet", "r3d_18"])
def test_no_line_is_wider_than_the_terminal(name: str, width: int, view: str) -> None:
    text = inspect(name).to_text(view, width)
    assert max(map(len, text.splitlines())) <= width
    assert text.isascii() or text.replace("\n", "").isprintable()


def test_the_width_shows_every_column() -> None:
    for name in ("vgg16", "resnet152"):
        head = cells(inspect(name).to_text(), "layer")
        assert head == ["layer", "operator", "output", "window", "params", "MACs", "field", "jump"]
    head = cells(inspect("lenet5").to_text(width=120), "layer")
    assert head == ["layer", "operator", "input", "output", "window", "params", "MACs", "field", "jump", "kept"]


def test_tree_has_modules_in_modules_and_flat_only_layers() -> None:
    found = inspect(nn.Sequential(nn.Conv2d(1, 4, 3), Residual(4)), (1, 1, 9, 9))
    tree, flat = render(found, "tree").splitlines(), render(found, "flat").splitlines()
    assert any(line.startswith("1 ") and "Residual" in line for line in tree)
    assert any(line.startswith("  first ") for line in tree)
    assert any(line.startswith("1.first ") for line in flat)
    assert not any("Residual" in line for line in flat)


def test_view_by_operator_adds_up() -> None:
    text = render(inspect(chain(), (1, 3, 32, 32)), "operator")
    assert cells(text, "Conv2d") == ["Conv2d", "1", "608", "118", "k", "96.8%"]
    assert cells(text, "Linear")[1:4] == ["1", "3.93", "k"]


def test_repeated_shared_and_uncalled_layers() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.twice = nn.Conv2d(2, 2, 1)
            self.tied = nn.Conv2d(2, 2, 1)
            self.tied.weight = self.twice.weight
            self.spare = nn.Linear(3, 3)

        def forward(self, maps: Tensor) -> Tensor:
            return self.tied(self.twice(self.twice(maps)))

    text = render(inspect(Odd(), (1, 2, 4, 4)), width=60)
    assert cells(text, "twice")[:3] == ["twice", "Conv2d", "2×4×4"]
    assert "twice (2)" in text
    assert "tied shares twice" in text
    assert cells(text, "spare")[:4] == ["spare", "Linear", "not", "run"]


def test_state_of_every_total_is_said() -> None:
    found = inspect(chain(), (1, 3, 32, 32))
    missing = ("aten.foo", "other.bar")
    totals = replace(
        found.totals,
        macs=Total(value=1_200_000_000, state="lower bound", missing=missing),
        flops=Total(value=None, state="unavailable", missing=missing),
    )
    text = " ".join(render(altered(chain(), (1, 3, 32, 32), totals=totals)).split())
    assert "MACs at least 1.20 G 1,200,000,000 could not count aten.foo, other.bar" in text
    assert "FLOPs not known two a MAC could not count aten.foo, other.bar" in text


def test_findings_with_fixes() -> None:
    finding = Finding(kind="unread", layer="0", text="one column is left " * 9, fixes=("padding=1", "stride=1"))
    text = render(altered(chain(), (1, 3, 32, 32), findings=(finding,) * 14))
    assert "findings: 14\nunread at 0\n  one column" in text
    assert "\n  - padding=1\n  - stride=1\n" in text
    assert text.endswith("and 2 more\n")


def test_unread_columns_are_told() -> None:
    text = render(inspect(nn.Sequential(nn.Conv2d(1, 1, 3, stride=2)), (1, 1, 8, 8)))
    assert "unread at 0" in text


def test_names_cannot_steer_the_terminal() -> None:
    for view in ("tree", "flat", "operator"):
        text = render(inspect(hostile(), (1, 1, 8, 8)), view)  # type: ignore[arg-type]
        assert text.replace("\n", "").isprintable()
    text = render(altered(chain(), (1, 3, 32, 32), findings=(Finding(kind="hooks", layer=HOSTILE, text=HOSTILE),)))
    assert text.replace("\n", "").isprintable()


def test_what_failed_is_shown_up_to_there() -> None:
    with pytest.raises(InspectionError) as caught:
        inspect(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(5, 6)), (1, 3, 8, 8))
    text = render(caught.value.inspection, width=60)
    assert cells(text, "0")[:3] == ["0", "Conv2d", "4×6×6"]
    assert "failure at 1" in text


def test_colours_change_no_letter() -> None:
    text = inspect("lenet5").to_text()
    styled = coloured(text)
    assert styled.plain == text
    assert styled.spans


def test_bad_arguments() -> None:
    found = inspect("lenet5")
    with pytest.raises(ValueError, match="view must be tree, flat or operator, got 'list'"):
        render(found, "list")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="width must be at least 40, got 12"):
        render(found, width=12)


def test_several_inputs() -> None:
    class Sum(nn.Module):
        def forward(self, one: Tensor, other: Tensor) -> Tensor:
            return torch.relu(one + other)

    assert render(inspect(Sum(), [(1, 2, 3), (1, 2, 3)])).startswith("Sum on 1×2×3 and 1×2×3\n")


def test_a_long_name_is_shortened() -> None:
    found = altered(chain(), (1, 3, 31, 31), name="conv 4 3x3, relu, " * 20)
    title = render(found).splitlines()[0]
    assert len(title) == 80
    assert title.startswith("conv 4 3x3")
    assert title.endswith(" on 1×3×31×31")
