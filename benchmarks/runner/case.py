"""What a benchmark declares: topics, cases, peers, targets."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

Run = Callable[[], float | None]
"""One repeat. It is timed from outside, unless it returns the seconds that count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one contender does, with its inputs made and ready.

    Args:
        run: one repeat; of an operator, its forward.
        with_backward: one repeat of forward and backward, for operators.
        memory: measures the bytes held beyond inputs and outputs.
    """

    run: Run
    with_backward: Run | None = None
    memory: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is wished of ours against one peer; None where nothing is.

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
    target: Target
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
class Topic:
    """The cases of one operator or subject, and the tests that must pass before they are timed.

    Args:
        cases: what is timed.
        tests: files or folders for pytest, from the root of the repository.
    """

    cases: tuple[Case, ...]
    tests: tuple[str, ...]
