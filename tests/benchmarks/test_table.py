"""What a person reads: nothing left out, lost or won."""

import io
from collections.abc import Callable

import pytest
from benchmarks.runner.case import Case, Peer, Target, Work
from benchmarks.runner.memory import with_memory
from benchmarks.runner.table import HEADERS, duration, print_table, rows_of, undecided, verdicts
from benchmarks.runner.timing import Outcome, Times, measure
from tests.benchmarks.conftest import FakeClock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def named(row: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(HEADERS, row, strict=True))


def test_rows_hold_times_ratios_targets_and_floor(clock: FakeClock, make_case: Callable[..., Case]) -> None:
    outcome = with_memory(measure(make_case(), clock=clock), [3 * 2**20, 2**19, None])
    ours, peer, slow = map(named, rows_of(outcome))
    assert ours["case"] == "a case"
    assert ours["contender"] == "striate"
    assert ours["floor"] == "a floor"
    assert ours["rate"] == "100 samples/s"
    assert (ours["extra memory"], peer["extra memory"], slow["extra memory"]) == ("3.0 MiB", "0.5 MiB", "")
    assert peer["time (IQR)"] == "3 s (3 s to 3 s)"
    assert peer["ratio"] == "3×"
    assert peer["fwd+bwd ratio"] == "4×"
    assert peer["target"] == "≥ 2×, fwd+bwd ≥ 5×"
    assert peer["more"] == ""
    assert slow["target"] == "≤ 500 ms more"
    assert slow["more"] == "-2 s"


def test_a_lost_target_is_shown_like_one_that_is_met(clock: FakeClock, make_case: Callable[..., Case]) -> None:
    _, lost, met = rows_of(measure(make_case(), clock=clock))
    assert "missed" in lost
    assert "met" in met
    assert len(lost) == len(met) == len(HEADERS)


def test_each_wish_has_its_verdict() -> None:
    ours, peer = Times(run=[1.0], with_backward=[1.0]), Times(run=[1.9], with_backward=[3.0])
    assert verdicts(Target(ratio=2.0, with_backward=3.0), ours, peer) == {"run": False, "with_backward": True}
    assert verdicts(Target(extra_seconds=0.1), peer, ours) == {"extra_seconds": False}
    assert verdicts(Target(extra_seconds=1.0), peer, ours) == {"extra_seconds": True}


def test_a_verdict_that_noise_could_turn_is_marked(clock: FakeClock, make_case: Callable[..., Case]) -> None:
    noisy, quiet = Times(run=[1.0, 2.0, 3.0, 4.0]), Times(run=[1.0] * 4)
    assert undecided(Target(ratio=2.0), quiet, noisy)
    assert not undecided(Target(ratio=4.5), quiet, noisy)
    assert undecided(Target(extra_seconds=1.0), noisy, quiet)
    assert not undecided(Target(ratio=1.0), quiet, quiet)
    _, row, _ = map(named, rows_of(measure(make_case(theirs=(1.0, 5.0)), clock=clock)))
    assert row[""].endswith("(noisy)")


def test_a_wish_that_was_not_measured_is_missed() -> None:
    assert verdicts(Target(with_backward=1.0), Times(run=[1.0]), Times(run=[2.0])) == {"with_backward": False}


def test_a_peer_that_is_not_installed_keeps_its_row(clock: FakeClock, make_case: Callable[..., Case]) -> None:
    _, absent, _ = map(named, rows_of(measure(make_case(needs=("no_such_package",)), clock=clock)))
    assert absent["contender"] == "a peer"
    assert absent["time (IQR)"] == "not installed: no_such_package"
    assert absent["target"] == "≥ 2×, fwd+bwd ≥ 5×"


def test_a_peer_without_targets_is_shown_without_a_verdict() -> None:
    case = Case(name="a case", ours=_nothing, peers=(Peer(name="a peer", make=_nothing),), floor="")
    ours = Times(run=[1.0], with_backward=[2.0], memory=2**20)
    outcome = Outcome(case=case, ours=ours, peers=[Times(run=[2.0], memory=2**20)])
    _, peer = map(named, rows_of(outcome))
    assert (peer["ratio"], peer["target"], peer[""]) == ("2×", "", "")
    assert peer["extra memory"] == "1.0 MiB (fwd)"


def _nothing() -> Work:
    return Work(run=lambda: None)


def test_plain_where_the_output_is_no_terminal(clock: FakeClock, make_case: Callable[..., Case]) -> None:
    stream = io.StringIO()
    print_table("a topic", [measure(make_case(), clock=clock)], stream)
    lines = stream.getvalue().splitlines()
    assert lines[1] == "a topic"
    assert lines[2].startswith("case ")
    assert len(lines) == 6
    assert "\x1b" not in stream.getvalue()
    assert lines[4].index("3 s (") == lines[3].index("1 s (")


def test_by_rich_in_a_terminal(
    clock: FakeClock, make_case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    print_table("a topic", [measure(make_case(), clock=clock)], stream)
    assert "━" in stream.getvalue()
    for text in ("a peer", "missed", "met", "≥ 2×", "a floor", "100 samples/s"):
        assert text in stream.getvalue()


def test_columns_with_nothing_are_left_out() -> None:
    case = Case(name="bare", ours=lambda: Work(run=lambda: None), peers=(), floor="")
    stream = io.StringIO()
    print_table("a topic", [Outcome(case=case, ours=Times(run=[0.5]), peers=[])], stream)
    assert stream.getvalue().splitlines()[2].split() == ["case", "contender", "time", "(IQR)"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.234, "1.23 s"),
        (0.0456, "45.6 ms"),
        (7.89e-6, "7.89 us"),
        (-0.02, "-20 ms"),
        (0.0, "0 us"),
        (1234.0, "1,234 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
