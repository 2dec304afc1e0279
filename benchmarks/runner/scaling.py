"""How our time grows with the work, and shrinks with the threads."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.runner.case import Run, Scaling, Varied, Work
from benchmarks.runner.timing import Clock, Spread, Times, made, ratio, take_turns

LINEAR = 0.1
"""The time of a unit of work may differ from the smallest size's by this part."""
SPEED_UP = 1.7
"""At least this many times as fast on 2 threads as on 1."""

_FACTORS = (1, 4, 16)
_THREADS = (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One size, or one number of threads, and what was measured there.

    Args:
        at: the size or number.
        factor: of the first step's work; of its threads.
        times: None where it cannot be measured.
    """

    at: str
    factor: int
    times: Times | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One thing that was varied."""

    scaling: Scaling
    varied: Varied
    steps: list[Step]


def grow(scaling: Scaling, varied: Varied, *, budget: float | None = None, clock: Clock = time.perf_counter) -> Growth:
    """Time the steps of one thing that is varied, all in the same rounds.

    Args:
        scaling: what is done.
        varied: what is varied.
        budget: seconds instead of the scaling's own.
        clock: seconds.
    """
    budget = scaling.budget if budget is None else budget
    if varied != "threads":
        steps = _sizes(scaling, varied)
        measured: list[Times | None] = [*take_turns([made(make) for _, make in steps], budget, clock)]
        named = zip((at for at, _ in steps), _FACTORS, measured, strict=True)
    else:
        usual = torch.get_num_threads()
        possible = [threads for threads in _THREADS if threads <= len(os.sched_getaffinity(0))]
        work = made(lambda: scaling.make(scaling.batch, scaling.channels, scaling.side))
        try:
            measured = [*take_turns([_on_threads(work, threads) for threads in possible], budget, clock)]
        finally:
            torch.set_num_threads(usual)
        measured += [None] * (len(_THREADS) - len(measured))
        named = zip(map(str, _THREADS), _THREADS, measured, strict=True)
    return Growth(scaling=scaling, varied=varied, steps=[Step(at=a, factor=f, times=t) for a, f, t in named])


def _sizes(scaling: Scaling, varied: Varied) -> list[tuple[str, Callable[[], Work]]]:
    """What each size is called, and its maker, from a quarter of the usual layer to four times."""
    batch, channels, side = scaling.batch, scaling.channels, scaling.side
    sizes = {
        "area": [(batch, channels, half) for half in (side // 2, side, side * 2)],
        "channels": [(batch, part, side) for part in (channels // 4, channels, channels * 4)],
        "batch": [(part, channels, side) for part in (batch // 4, batch, batch * 4)],
    }[varied]
    return [(f"{n}×{c}×{size}²", lambda n=n, c=c, size=size: scaling.make(n, c, size)) for n, c, size in sizes]


def _on_threads(work: Work, threads: int) -> Work:
    def on(run: Run) -> Run:
        def repeat() -> float | None:
            torch.set_num_threads(threads)
            return run()

        return repeat

    return Work(run=on(work.run), with_backward=None if work.with_backward is None else on(work.with_backward))


def compared(growth: Growth, step: Step, name: str) -> Spread | None:
    """The time of a unit of work over that of the first step; of threads, how many times as fast; None of the first.

    Args:
        growth: what was varied.
        step: a later step.
        name: of the times, "run" or "with_backward".
    """
    first = growth.steps[0]
    if step is first or step.times is None or first.times is None:
        return None
    before, now = getattr(first.times, name), getattr(step.times, name)
    if growth.varied == "threads":
        return ratio(before, now)
    found = ratio(now, before)
    return found and Spread(*(value / step.factor for value in (found.median, found.low, found.high)))


def verdicts(growth: Growth, step: Step) -> dict[str, bool]:
    """Whether the step keeps what is wished, of forward and of forward and backward."""
    low, high = _wished(growth)
    return {name: low <= spread.median <= high for name, spread in _spreads(growth, step).items()}


def undecided(growth: Growth, step: Step) -> bool:
    """Whether a bound lies between the quartiles of what was measured: another run may decide otherwise."""
    spreads = _spreads(growth, step).values()
    return any(spread.low < bound < spread.high for spread in spreads for bound in _wished(growth))


def _spreads(growth: Growth, step: Step) -> dict[str, Spread]:
    found = {name: compared(growth, step, name) for name in ("run", "with_backward")}
    return {name: spread for name, spread in found.items() if spread is not None}


def _wished(growth: Growth) -> tuple[float, float]:
    return (SPEED_UP, math.inf) if growth.varied == "threads" else (1 - LINEAR, 1 + LINEAR)


def wish(growth: Growth) -> str:
    """The target in words."""
    return f"≥ {SPEED_UP:g}×" if growth.varied == "threads" else f"{1 - LINEAR:g} to {1 + LINEAR:g} a unit"
