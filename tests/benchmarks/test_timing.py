"""The statistics and the rounds, on a clock that stands still but for the contenders."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from benchmarks.runner import timing
from benchmarks.runner.case import Case, Peer, Target, Work
from benchmarks.runner.timing import Spread, Times, extra, known_well, measure, ratio
from tests.benchmarks.conftest import FakeClock


def alone(work: Work, budget: float = 20.0) -> Case:
    return Case(name="alone", ours=lambda: work, peers=(), floor="", budget=budget)


def test_spread_is_median_and_quartiles() -> None:
    assert Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(3.0, 2.0, 4.0)
    assert Spread.of([1.0, 2.0]) == Spread(1.5, 1.25, 1.75)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0)


def test_ratio_is_taken_round_by_round() -> None:
    # The machine slows to a half, then to a tenth, of its speed: the ratio stays.
    assert ratio([4.0, 8.0, 40.0], [1.0, 2.0, 10.0]) == Spread(4.0, 4.0, 4.0)
    assert ratio(None, [1.0]) is None
    assert extra([1.5, 2.5, 9.0], [1.0, 2.0, 4.0]) == Spread(0.5, 0.5, 2.75)


def test_median_is_known_well_when_the_notch_is_narrow() -> None:
    assert known_well([1.0, 1.0, 1.0])
    assert not known_well([1.0, 1.1, 1.2])
    wide = [1.0, 1.02]
    assert not known_well(wide * 3)
    assert known_well(wide * 100)


def test_contenders_take_turns_and_every_other_round_runs_in_reverse(
    clock: FakeClock, make_case: Callable[..., Case]
) -> None:
    outcome = measure(make_case(), clock=clock)
    there = ["ours", "ours back", "peer", "peer back", "peer", "peer back"]
    warm_up = [name for name in there for _ in range(2)]
    assert clock.log == warm_up + there + there[::-1] + there
    assert outcome.ours.run == [1.0] * 3
    assert outcome.ours.with_backward == [2.0] * 3
    assert outcome.peers == [Times(run=[3.0] * 3, with_backward=[8.0] * 3)] * 2


def test_noise_is_met_with_more_rounds_within_the_budget(clock: FakeClock) -> None:
    quiet = measure(alone(Work(run=clock.run("quiet", [0.1]))), clock=clock)
    noisy = measure(alone(Work(run=clock.run("noisy", [0.1, 0.104]))), clock=clock)
    assert len(quiet.ours.run) == 3
    assert 3 < len(noisy.ours.run) < timing._MOST_ROUNDS
    assert known_well(noisy.ours.run)
    before = clock.now
    wild = measure(alone(Work(run=clock.run("wild", [1.0, 2.0])), budget=10.0), clock=clock)
    assert len(wild.ours.run) > 3
    assert 10.0 < clock.now - before <= 12.0


def test_no_budget_is_so_small_that_nothing_is_measured(clock: FakeClock) -> None:
    outcome = measure(alone(Work(run=clock.run("slow", [50.0, 90.0])), budget=1.0), clock=clock)
    assert len(outcome.ours.run) == 3


def test_a_budget_that_is_given_stands_for_the_cases_own(clock: FakeClock) -> None:
    case = alone(Work(run=clock.run("wild", [1.0, 2.0])), budget=10.0)
    assert len(measure(case, budget=0.0, clock=clock).ours.run) == 3
    assert len(measure(case, budget=50.0, clock=clock).ours.run) > len(measure(case, clock=clock).ours.run) > 3


def test_quick_repeats_are_sampled_several_at_a_time(clock: FakeClock) -> None:
    outcome = measure(alone(Work(run=clock.run("quick", [0.001]))), clock=clock)
    assert outcome.ours.run == pytest.approx([0.001] * 3)
    # Each sample is of five, after one that is not timed.
    assert clock.log.count("quick") == 2 + 3 * 6


def test_seconds_that_a_repeat_returns_are_the_ones_that_count(clock: FakeClock) -> None:
    def run() -> float:
        clock.now += 5.0
        return 0.25

    assert measure(alone(Work(run=run)), clock=clock).ours.run == [0.25] * 3


def test_seconds_returned_count_for_quick_repeats_too(clock: FakeClock) -> None:
    def run() -> float:
        clock.now += 5.0
        return 0.001

    assert measure(alone(Work(run=run)), clock=clock).ours.run == [0.001] * 3


def test_a_peer_that_is_not_installed_is_not_made(clock: FakeClock) -> None:
    def never() -> Work:
        raise AssertionError("made")

    peer = Peer(name="absent", make=never, target=Target(ratio=1.0), needs=("no_such_package",))
    case = Case(name="a case", ours=lambda: Work(run=clock.run("ours", [1.0])), peers=(peer,), floor="")
    outcome = measure(case, clock=clock)
    assert outcome.peers == ["not installed: no_such_package"]
    assert peer.missing() == ["no_such_package"]


def test_a_peer_that_gives_something_else_is_not_timed(clock: FakeClock) -> None:
    def giving(name: str, *numbers: float) -> Work:
        return Work(run=clock.run(name, [1.0]), results=lambda: tuple(map(np.array, numbers)))

    peers = tuple(
        Peer(name=name, make=lambda work=work: work)
        for name, work in (
            ("right", giving("right", 1.0, 2.0)),
            ("wrong", giving("wrong", 1.0, 2.1)),
            ("only forward", giving("only forward", 1.0)),
            ("unknown", Work(run=clock.run("unknown", [1.0]))),
        )
    )
    case = Case(name="a case", ours=lambda: giving("ours", 1.0, 2.0), peers=peers, floor="")
    right, wrong, only_forward, unknown = measure(case, clock=clock).peers
    assert wrong == "disagrees: gradient 1 differs by 5e-02"
    assert "wrong" not in clock.log
    assert right == only_forward == unknown == Times(run=[1.0] * 3)


def test_the_threads_of_the_last_contender_come_to_rest_before_the_next_is_timed(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(seconds: float) -> None:
        clock.now += seconds
        clock.log.append("rest")

    monkeypatch.setattr(timing, "_REST", 0.5)
    monkeypatch.setattr(time, "sleep", sleep)
    assert measure(alone(Work(run=clock.run("ours", [1.0]))), clock=clock).ours.run == [1.0] * 3
    assert clock.log == ["rest", "ours"] * 5
