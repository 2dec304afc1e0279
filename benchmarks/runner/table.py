"""The table: every row that was asked for, lost or won."""

from collections.abc import Iterable, Sequence
from typing import TextIO

from benchmarks.runner.case import Target
from benchmarks.runner.timing import Outcome, Spread, Times, extra, ratio

HEADERS = (
    *("case", "contender", "time (IQR)", "rate", "ratio", "more"),
    *("fwd+bwd (IQR)", "fwd+bwd ratio", "memory", "target", "", "floor"),
)
_LEFT = (0, 1, 10, 11)


def print_table(title: str, outcomes: Iterable[Outcome], stream: TextIO) -> None:
    """Print the rows by rich if the stream is a terminal, else as plain columns; columns with nothing are left out."""
    rows = [row for outcome in outcomes for row in rows_of(outcome)]
    shown = [i for i in range(len(HEADERS)) if any(row[i] for row in rows)]
    if stream.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title)
        for i in shown:
            table.add_column(HEADERS[i], justify="left" if i in _LEFT else "right")
        for row in rows:
            table.add_row(*(row[i] for i in shown), end_section=not row[1])
        Console(file=stream).print(table)
        return
    print(f"\n{title}", file=stream)
    widths = [max(len(row[i]) for row in (HEADERS, *rows)) for i in range(len(HEADERS))]
    for row in (HEADERS, *rows):
        cells = (row[i].ljust(widths[i]) if i in _LEFT else row[i].rjust(widths[i]) for i in shown)
        print("  ".join(cells).rstrip(), file=stream)


def rows_of(outcome: Outcome) -> list[tuple[str, ...]]:
    """The cells of a case: ours, then each peer."""
    case, ours = outcome.case, outcome.ours
    rows = [(case.name, "striate", *_measured(ours, case.amount), "", "", case.floor)]
    for peer, times in zip(case.peers, outcome.peers, strict=True):
        wished = ", ".join(_wishes(peer.target))
        if times is None:
            rows.append(("", peer.name, f"not installed: {', '.join(peer.missing())}", *[""] * 6, wished, "", ""))
            continue
        met = "met" if all(verdicts(peer.target, ours, times).values()) else "missed"
        met += " (noisy)" if undecided(peer.target, ours, times) else ""
        rows.append(("", peer.name, *_measured(times, case.amount, ours, peer.target), wished, met, ""))
    return rows


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
        "" if times.memory is None else f"{times.memory / 2**20:.1f} MiB",
    )


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
