"""How the time grows, on a clock that only the contenders move."""

import io
import os
from collections.abc import Callable

import pytest
import torch
from benchmarks.runner.case import Scaling, Varied, Work
from benchmarks.runner.scaling import Growth, Step, compared, grow, undecided, verdicts, wish
from benchmarks.runner.table import GROWTH_HEADERS, print_growths, rows_of_growth
from benchmarks.runner.timing import Spread, Times
from tests.benchmarks.conftest import FakeClock


@pytest.fixture
def layer(clock: FakeClock) -> Callable[..., Scaling]:
    """Makes a layer whose forward is linear in batch and area and whose backward is not."""

    def work(batch: int, channels: int, side: int) -> Work:
        name = f"{batch} {channels} {side}"

        def forward() -> None:
            clock.log.append(f"{name} on {torch.get_num_threads()}")
            clock.now += batch * channels**2 * side**2 / torch.get_num_threads()

        def both() -> None:
            clock.now += batch * channels * side**3 / torch.get_num_threads() ** 0.5

        return Work(run=forward, with_backward=both)

    return lambda **settings: Scaling(
        **{"name": "a layer", "make": work, "batch": 8, "channels": 4, "side": 6, **settings}
    )


def growth(varied: Varied, *times: list[float] | None) -> Growth:
    scaling = Scaling(name="a layer", make=lambda *_: Work(run=lambda: None), batch=4, channels=4, side=4)
    factors = (1, 2) if varied == "threads" else (1, 4, 16)
    steps = [
        Step(at=str(factor), factor=factor, times=None if run is None else Times(run=run))
        for factor, run in zip(factors, times, strict=False)
    ]
    return Growth(scaling=scaling, varied=varied, steps=steps)


@pytest.mark.parametrize(
    ("varied", "places", "forward", "both"),
    [
        ("area", ["8×4×3²", "8×4×6²", "8×4×12²"], [1, 1], [2, 4]),
        ("channels", ["8×1×6²", "8×4×6²", "8×16×6²"], [4, 16], [1, 1]),
        ("batch", ["2×4×6²", "8×4×6²", "32×4×6²"], [1, 1], [1, 1]),
    ],
)
def test_each_thing_grows_by_itself_and_counts_by_the_unit(
    layer: Callable[..., Scaling],
    clock: FakeClock,
    varied: Varied,
    places: list[str],
    forward: list[float],
    both: list[float],
) -> None:
    grown = grow(layer(), varied, clock=clock)
    assert [step.at for step in grown.steps] == places
    assert [step.factor for step in grown.steps] == [1, 4, 16]
    assert compared(grown, grown.steps[0], "run") is None
    for name, expected in (("run", forward), ("with_backward", both)):
        assert [compared(grown, step, name) for step in grown.steps[1:]] == [Spread(n, n, n) for n in expected]


def test_threads_are_set_for_each_and_put_back(
    layer: Callable[..., Scaling], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    before = torch.get_num_threads()
    grown = grow(layer(), "threads", clock=clock)
    assert torch.get_num_threads() == before
    assert set(clock.log) == {"8 4 6 on 1", "8 4 6 on 2"}
    one, two = grown.steps
    assert (one.at, two.at, two.factor) == ("1", "2", 2)
    assert compared(grown, two, "run") == Spread(2.0, 2.0, 2.0)
    assert verdicts(grown, two) == {"run": True, "with_backward": False}


def test_on_one_core_two_threads_are_not_measured(
    layer: Callable[..., Scaling], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    grown = grow(layer(), "threads", clock=clock)
    assert grown.steps[1].times is None
    assert verdicts(grown, grown.steps[1]) == {}
    assert rows_of_growth(grown)[1][4] == "not measured: too few cores"


def test_a_budget_that_is_given_stands_for_its_own(layer: Callable[..., Scaling], clock: FakeClock) -> None:
    def work(*sizes: int) -> Work:
        return Work(run=clock.run("wild", [0.1, 0.2]))

    rounds = [
        len(times.run)
        for budget in (0.0, None)
        if (times := grow(layer(make=work), "batch", budget=budget, clock=clock).steps[0].times)
    ]
    assert rounds[0] == 3 < rounds[1]


@pytest.mark.parametrize(
    ("varied", "times", "met", "noisy"),
    [
        ("area", ([1.0] * 4, [4.4] * 4), True, False),
        ("area", ([1.0] * 4, [4.5] * 4), False, False),
        ("area", ([1.0] * 4, [3.5] * 4), False, False),
        ("area", ([1.0] * 4, [4.0, 4.2, 4.6, 4.8]), True, True),
        ("threads", ([1.7] * 4, [1.0] * 4), True, False),
        ("threads", ([1.6] * 4, [1.0] * 4), False, False),
        ("threads", ([9.0] * 4, [1.0] * 4), True, False),
    ],
)
def test_verdicts(varied: Varied, times: tuple[list[float], ...], met: bool, noisy: bool) -> None:
    grown = growth(varied, *times)
    assert verdicts(grown, grown.steps[0]) == {}
    assert verdicts(grown, grown.steps[1]) == {"run": met}
    assert undecided(grown, grown.steps[1]) == noisy


def test_rows_show_a_miss_like_a_hit() -> None:
    rows = rows_of_growth(growth("area", [1.0] * 3, [4.0] * 3, [32.0] * 3))
    first, met, missed = (dict(zip(GROWTH_HEADERS, row, strict=True)) for row in rows)
    assert (first["what grows"], first["of"], first["at"], first["target"], first[""]) == (
        "area",
        "a layer",
        "1",
        "",
        "",
    )
    assert first["against the first"] == ""
    assert (met["factor"], met["against the first"], met[""]) == ("4×", "1 a unit", "met")
    assert (missed["factor"], missed["against the first"], missed[""]) == ("16×", "2 a unit", "missed")
    assert missed["target"] == wish(growth("area")) == "0.9 to 1.1 a unit"
    faster = rows_of_growth(growth("threads", [1.0] * 3, [0.5] * 3))[1]
    assert faster[5] == "2×"
    assert wish(growth("threads")) == "≥ 1.7×"


def test_the_table_of_growth_leaves_empty_columns_out() -> None:
    stream = io.StringIO()
    print_growths("a topic", [growth("area", [1.0] * 3, [4.0] * 3)], stream)
    lines = stream.getvalue().splitlines()
    assert lines[1] == "a topic"
    assert "fwd+bwd" not in lines[2]
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch": 6}, "a layer: batch must be a multiple of 4, got 6"),
        ({"channels": 2}, "a layer: channels must be a multiple of 4, got 2"),
        ({"side": 7}, "a layer: side must be a multiple of 2, got 7"),
    ],
)
def test_a_quarter_must_be_whole(layer: Callable[..., Scaling], settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        layer(**settings)
    assert layer(vary=("threads",), **settings).vary == ("threads",)
