"""The extra memory, of contenders that hold what everyone can count."""

import os
import subprocess

import pytest
from benchmarks.runner import memory
from benchmarks.runner.case import Case, Peer, Work
from benchmarks.runner.memory import extra_memory, peak, with_memory
from benchmarks.runner.timing import Outcome, Times
from tests.benchmarks.known_memory import MIB, TOPIC

on_linux = pytest.mark.skipif(not os.access(memory._PEAK, os.W_OK), reason="needs Linux's peak of resident pages")


@on_linux
def test_what_is_held_is_found_by_whatever_way_and_thread() -> None:
    nothing, *held, absent, no_operator = extra_memory("tests.benchmarks.known_memory", 0)
    assert nothing is not None
    assert nothing == pytest.approx(0, abs=MIB / 2)
    assert held == pytest.approx([32 * MIB] * len(held), abs=MIB / 2)
    assert len(held) == len(TOPIC.cases[0].peers) - 2
    assert absent is None
    assert no_operator is None


def test_without_the_systems_peak_there_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PEAK", memory.ROOT / "nowhere")
    assert peak(lambda: ()) is None


def test_a_contender_that_fails_is_not_passed_over(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        extra_memory("tests.benchmarks.known_memory", 1)
    assert "IndexError" in capfd.readouterr().err


def test_each_contender_gets_its_own() -> None:
    peers = tuple(Peer(name=name, make=lambda: Work(run=lambda: None)) for name in ("first", "refused", "last"))
    case = Case(name="a case", ours=lambda: Work(run=lambda: None), peers=peers, floor="")
    times = Times(run=[1.0])
    outcome = with_memory(Outcome(case=case, ours=times, peers=[times, "refused", times]), [1, 2, None, 4])
    assert outcome.ours == Times(run=[1.0], memory=1)
    assert outcome.peers == [Times(run=[1.0], memory=2), "refused", Times(run=[1.0], memory=4)]
