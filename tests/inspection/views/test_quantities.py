"""Numbers and sizes as people read them."""

from fractions import Fraction

import pytest

from striate.inspection.report import Total
from striate.inspection.views.quantities import (
    brief,
    product,
    reason,
    sample,
    short,
    shortened,
    square,
    stated,
    visible,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (9994, "9.99 k"),
        (9996, "10.0 k"),
        (99_960, "100 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (138_357_544, "138 M"),
        (15_470_264_320, "15.5 G"),
        (999_999_999, "1.00 G"),
        (10**15, "1.00 P"),
        (10**19, "10000 P"),
        (None, "?"),
    ],
)
def test_three_digits_and_a_unit(value: int | None, text: str) -> None:
    assert short(value) == text


def test_bytes_in_four_digits() -> None:
    assert [short(n, "B", 4) for n in (12, 60_950_432, 999_996_000)] == ["12 B", "60.95 MB", "1.000 GB"]


def test_no_short_number_is_wrong_by_more_than_its_last_digit() -> None:
    units = {"k": 3, "M": 6, "G": 9, "T": 12, "P": 15}
    for value in [10**power * factor // 997 for power in range(6, 15) for factor in (1000, 1234, 5671, 9969, 9974)]:
        number, _, unit = short(value).partition(" ")
        assert float(number) * 10 ** units.get(unit, 0) == pytest.approx(value, rel=0.0051)
        assert len(number) <= 4


def test_sizes() -> None:
    assert product((64, 112, 112)) == "64×112×112"
    assert (sample((8, 1000)), sample((8,)), sample(()), sample(None)) == ("1000", "scalar", "scalar", "–")
    assert (square((7, 7)), square((3, 7, 7)), square(None)) == ("7", "3×7×7", "–")
    assert square((Fraction(1, 2), Fraction(1, 2))) == "1/2"
    assert square(()) == "–"


def test_window_in_letters() -> None:
    assert brief("3×3, stride 2, padding 1, dilation 4, groups 32") == "3×3 s2 p1 d4 g32"


def test_shortened_in_the_middle() -> None:
    name = "layer3.12.downsample.0"
    for width in range(1, len(name) + 2):
        text = shortened(name, width)
        assert len(text) == min(width, len(name))
        assert width >= len(name) or "…" in text
    assert shortened(name, 14) == "layer3.…mple.0"


def test_nothing_steers_the_terminal() -> None:
    hostile = "a\x1b[2J\n\r\u202eb\u2028"
    assert visible(hostile).isprintable()
    assert visible("größe_層") == "größe_層"


def test_every_total_says_what_it_is() -> None:
    whole = Total(value=1200, state="complete")
    part = Total(value=1200, state="lower bound", missing=("aten.foo", "aten.bar"))
    none = Total(value=None, state="unavailable", missing=("aten.foo",))
    cut = Total(value=7, state="lower bound")
    assert [stated(total) for total in (whole, part, none, cut)] == [
        "1.20 k",
        "at least 1.20 k",
        "not known",
        "at least 7",
    ]
    assert [reason(total) for total in (whole, part, none, cut)] == [
        "",
        "could not count aten.foo, aten.bar",
        "could not count aten.foo",
        "the run ended before it",
    ]
