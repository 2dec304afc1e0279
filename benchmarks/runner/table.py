"""The tables: every row that was asked for, lost or won."""

from collections.abc import Iterable, Sequence
from typing import TextIO

from benchmarks.runner import scaling
from benchmarks.runner.case import Target
from benchmarks.runner.scaling import Growth
from benchmarks.runner.timing import Outcome, Spread, Times, extra, ratio

HEADERS = (
    *("case", "contender", "time (IQR)", "rate", "ratio", "more"),
    *("fwd+bwd (IQR)", "fwd+bwd ratio", "extra memory", "target", "", "floor"),
)
GROWTH_HEADERS = (
    *("what grows", "of", "at", "factor", "time (IQR)", "against the first"),
    *("fwd+bwd (IQR)", "fwd+bwd against the first", "target", ""),
)
_WORDS = {"case", "contender", "floor", "what grows", "of", ""}


def print_table(title: str, outcomes: Iterable[Outcome], stream: TextIO) -> None:
    """Print the cases of a topic."""
    _print(title, HEADERS, [row for outcome in outcomes for row in rows_of(outcome)], stream)


def print_growths(title: str, growths: Iterable[Growth], stream: TextIO) -> None:
    """Print how the time of a topic grows."""
    _print(title, GROWTH_HEADERS, [row for growth in growths for row in rows_of_growth(growth)], stream)


def _print(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO) -> None:
    """Print the rows by rich if the stream is a terminal, else as plain columns; columns with nothing are left out."""
    shown = [i for i in range(len(headers)) if any(row[i] for row in rows)]
    if stream.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title)
        for i in shown:
            table.add_column(headers[i], justify="left" if headers[i] in _WORDS else "right")
        for row in rows:
            table.add_row(*(row[i] for i in shown))
        Console(file=stream).print(table)
        return
    print(f"\n{title}", file=stream)
    widths = [max(len(row[i]) for row in (headers, *rows)) for i in range(len(headers))]
    for row in (headers, *rows):
        cells = (row[i].ljust(widths[i]) if headers[i] in _WORDS else row[i].rjust(widths[i]) for i in shown)
        print("  ".join(cells).rstrip(), file=stream)


def rows_of(outcome: Outcome) -> list[tuple[str, ...]]:
    """The cells of a case: ours, then each peer."""
    case, ours = outcome.case, outcome.ours
    rows = [(case.name, "striate", *_measured(ours, case.amount), "", "", case.floor)]
    for peer, times in zip(case.peers, outcome.peers, strict=True):
        wished = ", ".join(_wishes(peer.target))
        if isinstance(times, str):
            rows.append(("", peer.name, times, *[""] * 6, wished, "", ""))
            continue
        met = _met(verdicts(peer.target, ours, times), noisy=undecided(peer.target, ours, times))
        rows.append(("", peer.name, *_measured(times, case.amount, ours, peer.target), wished, met, ""))
    return rows


def rows_of_growth(growth: Growth) -> list[tuple[str, ...]]:
    """The cells of each step."""
    rows = []
    for step in growth.steps:
        first = step is growth.steps[0]
        names = (growth.varied, growth.scaling.name) if first else ("", "")
        if step.times is None:
            rows.append((*names, step.at, f"{step.factor}×", "not measured: too few cores", *[""] * 3, *[""] * 2))
            continue
        cells = []
        for name, times in (("run", step.times.run), ("with_backward", step.times.with_backward)):
            spread = scaling.compared(growth, step, name)
            unit = "×" if growth.varied == "threads" else " a unit"
            cells += [_spread(times), "" if spread is None else f"{spread.median:.3g}{unit}"]
        met = _met(scaling.verdicts(growth, step), noisy=scaling.undecided(growth, step))
        rows.append((*names, step.at, f"{step.factor}×", *cells, "" if first else scaling.wish(growth), met))
    return rows


def _met(found: dict[str, bool], *, noisy: bool) -> str:
    if not found:
        return ""
    return ("met" if all(found.values()) else "missed") + (" (noisy)" if noisy else "")


def verdicts(target: Target, ours: Times, peer: Times) -> dict[str, bool]:
    """Whether each wish is met."""
    found = {}
    for name, wished in (("run", target.ratio), ("with_backward", target.with_backward)):
        reached = ratio(getattr(peer, name), getattr(ours, name))
        if wished is not None:
            found[name] = reached is not None and reached.median >= wished
    if target.extra_seconds is not None:
        found["extra_seconds"] = extra(ours.run, peer.run).median <= target.extra_seconds
    return found


def undecided(target: Target, ours: Times, peer: Times) -> bool:
    """Whether a wish lies between the quartiles of what was measured: another run may decide otherwise."""
    measured = (
        (target.ratio, ratio(peer.run, ours.run)),
        (target.with_backward, ratio(peer.with_backward, ours.with_backward)),
        (target.extra_seconds, extra(ours.run, peer.run)),
    )
    return any(
        wished is not None and spread is not None and spread.low < wished < spread.high for wished, spread in measured
    )


def _wishes(target: Target) -> list[str]:
    wishes = []
    if target.ratio is not None:
        wishes.append(f"≥ {target.ratio:g}×")
    if target.with_backward is not None:
        wishes.append(f"fwd+bwd ≥ {target.with_backward:g}×")
    if target.extra_seconds is not None:
        wishes.append(f"≤ {duration(target.extra_seconds)} more")
    return wishes


def _measured(
    times: Times, amount: tuple[int, str] | None, ours: Times | None = None, target: Target | None = None
) -> tuple[str, ...]:
    """The cells of a contender from the time to the memory; of a peer, also how ours compares."""
    more = extra(ours.run, times.run) if ours and target and target.extra_seconds is not None else None
    rate = f"{amount[0] / Spread.of(times.run).median:,.0f} {amount[1]}/s" if amount else ""
    return (
        _spread(times.run),
        rate,
        _ratio(ratio(times.run, ours.run)) if ours else "",
        "" if more is None else duration(more.median),
        _spread(times.with_backward),
        _ratio(ratio(times.with_backward, ours.with_backward)) if ours else "",
        _memory(times, ours),
    )


def _memory(times: Times, ours: Times | None) -> str:
    """MiB; of a peer without gradients those of its forward, where ours are of forward and backward."""
    if times.memory is None:
        return ""
    forward_only = ours and ours.with_backward and not times.with_backward
    return f"{times.memory / 2**20:.1f} MiB{' (fwd)' if forward_only else ''}"


def _spread(values: Sequence[float] | None) -> str:
    if not values:
        return ""
    spread = Spread.of(list(values))
    return f"{duration(spread.median)} ({duration(spread.low)} to {duration(spread.high)})"


def _ratio(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.median:.3g}×"


def duration(seconds: float) -> str:
    """Three digits with the unit that suits: `1.23 s`, `45.6 ms`, `7.89 us`."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if abs(seconds) >= scale:
            number = seconds / scale
            return f"{number:.3g} {unit}" if abs(number) < 999.5 else f"{number:,.0f} {unit}"
    return f"{seconds / 1e-6:.3g} us"
