"""Rounds in which all contenders take their turn, until the medians are known well enough."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch

from benchmarks.runner.agreement import disagreement
from benchmarks.runner.case import Case, Run, Work

Clock = Callable[[], float]

_WARM_UP = 2
_LEAST_ROUNDS = 3
_MOST_ROUNDS = 200
# Quick repeats are taken several at a time: a sample shorter than this says more of the machine than of the code.
_LEAST_SECONDS = 0.005
_PRECISION = 0.01
# The threads of OpenMP spin for some milliseconds after their last product, and would do so in the next one's time.
_REST = 0.02
# Threads that have slept can take milliseconds to wake, longer than quick work: that runs once before it is timed.
_QUICK = 0.1


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of some measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Self:
        """Quartiles include the ends, so that one value is its own."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds of each round."""

    run: list[float]
    with_backward: list[float] | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was measured of a case: `peers[i]` of `case.peers[i]`, or in words why it was not timed."""

    case: Case
    ours: Times
    peers: list[Times | str]


def ratio(peer: list[float] | None, ours: list[float] | None) -> Spread | None:
    """The peer's time / ours, round by round: what slows a whole round slows both."""
    if not peer or not ours:
        return None
    return Spread.of([theirs / mine for theirs, mine in zip(peer, ours, strict=True)])


def extra(ours: list[float], peer: list[float]) -> Spread:
    """Ours - the peer's time, round by round."""
    return Spread.of([mine - theirs for mine, theirs in zip(ours, peer, strict=True)])


def known_well(values: list[float]) -> bool:
    """Whether the median would hardly move: McGill's notch, 1.57 IQR / √n, is within 1 % of it."""
    spread = Spread.of(values)
    return 1.57 * (spread.high - spread.low) / math.sqrt(len(values)) <= _PRECISION * spread.median


def measure(case: Case, *, budget: float | None = None, clock: Clock = time.perf_counter) -> Outcome:
    """Time ours and every peer that is installed and whose results agree with ours.

    Args:
        case: the case.
        budget: seconds instead of the case's own.
        clock: seconds.
    """
    ours = made(case.ours)
    expected = ours.results() if ours.results is not None else None
    peers: list[Work | str] = []
    for peer in case.peers:
        missing = peer.missing()
        work = f"not installed: {', '.join(missing)}" if missing else made(peer.make)
        if isinstance(work, Work) and work.results is not None and expected is not None:
            work = disagreement(expected, work.results()) or work
        peers.append(work)
    works = [ours, *(work for work in peers if isinstance(work, Work))]
    del expected
    times = iter(take_turns(works, case.budget if budget is None else budget, clock))
    first = next(times)
    return Outcome(case=case, ours=first, peers=[work if isinstance(work, str) else next(times) for work in peers])


def take_turns(works: Sequence[Work], budget: float, clock: Clock) -> list[Times]:
    """Warm everything up, then repeat round after round, every other time in reverse."""
    begun = clock()
    samplers = [_sampler(run, clock) for work in works for run in (work.run, work.with_backward) if run is not None]
    samples: list[list[float]] = [[] for _ in samplers]
    for number in range(_MOST_ROUNDS):
        turns = list(zip(samplers, samples, strict=True))
        for sample, taken in reversed(turns) if number % 2 else turns:
            taken.append(sample())
        if number + 1 >= _LEAST_ROUNDS and (clock() - begun > budget or all(map(known_well, samples))):
            break
    remaining: Iterator[list[float]] = iter(samples)
    return [
        Times(run=next(remaining), with_backward=None if work.with_backward is None else next(remaining))
        for work in works
    ]


def made(make: Callable[[], Work]) -> Work:
    """The contender, from the same random numbers as every other of its case."""
    torch.manual_seed(0)
    return make()


def _sampler(run: Run, clock: Clock) -> Callable[[], float]:
    """Warm up, and decide how many repeats make a sample."""
    seconds = [_sample(run, 1, clock) for _ in range(_WARM_UP)][-1]
    calls = max(1, math.ceil(_LEAST_SECONDS / max(seconds, 1e-7)))
    return partial(_sample, run, calls, clock, wake=seconds < _QUICK)


def _sample(run: Run, calls: int, clock: Clock, *, wake: bool = False) -> float:
    """Seconds of one repeat, the mean of a few."""
    time.sleep(_REST)
    if wake:
        run()
    begun = clock()
    told = [run() for _ in range(calls)]
    passed = clock() - begun
    counted = [seconds for seconds in told if seconds is not None]
    return (sum(counted) if counted else passed) / calls
