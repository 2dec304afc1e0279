"""Contenders on a clock that only they move."""

from collections.abc import Callable, Iterable, Iterator
from itertools import cycle

import pytest
from benchmarks.runner import timing
from benchmarks.runner.case import Case, Peer, Run, Target, Work


class FakeClock:
    """Seconds that pass only when a contender lets them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def run(self, name: str, seconds: Iterable[float]) -> Run:
        """A repeat that takes the given seconds in turn, again and again."""
        turns: Iterator[float] = cycle(seconds)

        def run() -> None:
            self.log.append(name)
            self.now += next(turns)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    monkeypatch.setattr(timing, "_REST", 0.0)
    return FakeClock()


@pytest.fixture
def make_case(clock: FakeClock) -> Callable[..., Case]:
    """Makes a case of ours (1 s, 2 s with backward) against a peer that takes three and four times as long."""

    def make(
        *, ours: tuple[float, ...] = (1.0,), theirs: tuple[float, ...] = (3.0,), needs: tuple[str, ...] = ()
    ) -> Case:
        work = Work(run=clock.run("ours", ours), with_backward=clock.run("ours back", (2.0,)))
        peer = Work(run=clock.run("peer", theirs), with_backward=clock.run("peer back", (8.0,)))
        return Case(
            name="a case",
            ours=lambda: work,
            peers=(
                Peer(name="a peer", make=lambda: peer, target=Target(ratio=2.0, with_backward=5.0), needs=needs),
                Peer(name="slow to start", make=lambda: peer, target=Target(extra_seconds=0.5)),
            ),
            floor="a floor",
            amount=(100, "samples"),
        )

    return make
