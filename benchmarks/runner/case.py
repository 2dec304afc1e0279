"""What a benchmark declares: topics, cases, peers, targets."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Run = Callable[[], float | None]
"""One repeat. It is timed from outside, unless it returns the seconds that count."""

Varied = Literal["area", "channels", "batch", "threads"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one contender does, with its inputs made and ready.

    Args:
        run: one repeat; of an operator, its forward.
        with_backward: one repeat of forward and backward, for operators.
        results: one repeat (of forward and backward where there is one) that returns the output and the gradients, as
            anything that NumPy takes. By these a peer is compared with ours, and the extra memory is measured.
    """

    run: Run
    with_backward: Run | None = None
    results: Callable[[], tuple[Any, ...]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is wished of ours against one peer; None where nothing is, and all None for a peer that is only shown.

    Args:
        ratio: the peer's time / ours, at least.
        with_backward: the same of forward and backward together.
        extra_seconds: ours - the peer's time, at most.
    """

    ratio: float | None = None
    with_backward: float | None = None
    extra_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Someone else's way to the same result.

    Args:
        name: what the table calls it.
        make: makes its inputs; called just before the timing.
        target: what is wished of ours against it.
        needs: packages without which it is shown as not installed.
    """

    name: str
    make: Callable[[], Work]
    target: Target = Target()
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """The packages that it needs and that are not installed."""
        return [package for package in self.needs if importlib.util.find_spec(package) is None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison.

    Args:
        name: what is done, with its sizes.
        ours: makes our inputs; called just before the timing.
        peers: those that are compared.
        floor: what no implementation can go below, in words.
        amount: things done in a repeat and their name, for a column of things a second.
        budget: seconds after which no further round is begun.
    """

    name: str
    ours: Callable[[], Work]
    peers: tuple[Peer, ...]
    floor: str
    amount: tuple[int, str] | None = None
    budget: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How our time grows: each size once at a quarter of a usual layer and once at four times, and 1 thread against 2.

    Args:
        name: what is done.
        make: takes batch, channels and the side of the square picture; called just before the timing.
        batch: of the usual layer, a multiple of 4, as are the
        channels.
        side: of the usual layer, a multiple of 2.
        vary: what is varied, each by itself.
        budget: seconds for each, after which no further round is begun.

    Raises:
        ValueError: if a quarter of the usual layer is not whole.
    """

    name: str
    make: Callable[[int, int, int], Work]
    batch: int
    channels: int
    side: int
    vary: tuple[Varied, ...] = ("area", "channels", "batch", "threads")
    budget: float = 20.0

    def __post_init__(self) -> None:
        for name, number, parts in (("batch", self.batch, 4), ("channels", self.channels, 4), ("side", self.side, 2)):
            if number % parts and ("area" if name == "side" else name) in self.vary:
                raise ValueError(f"{self.name}: {name} must be a multiple of {parts}, got {number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """The cases of one operator or subject, and the tests that must pass before they are timed.

    Args:
        cases: what is timed.
        tests: files or folders for pytest, from the root of the repository.
        scalings: how the time grows.
    """

    cases: tuple[Case, ...]
    tests: tuple[str, ...]
    scalings: tuple[Scaling, ...] = ()
