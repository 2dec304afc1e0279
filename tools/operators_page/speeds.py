"""The tables of speeds, from what `python -m benchmarks --json` has recorded."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.runner.table import duration

_CASE_HEADERS = (
    *("case", "contender", "forward", "ratio", "forward and backward", "ratio", "extra memory", "target", ""),
)
_GROWTH_HEADERS = (
    *("what grows", "of", "at", "forward", "against the first", "forward and backward", "against the first"),
    *("target", ""),
)

Record = Mapping[str, Any]


def newest(folder: Path) -> dict[str, tuple[Record, Record]]:
    """The newest record of each topic that was timed after its tests had passed, with its machine, by topic."""
    found: dict[str, tuple[Record, Record]] = {}
    records = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")]
    for record in sorted(records, key=lambda record: record["machine"]["date"]):
        for name, topic in record["topics"].items():
            if record["tested"] and "refused" not in topic:
                found[name] = record["machine"], topic
    return dict(sorted(found.items()))


def markdown(name: str, machine: Record, topic: Record) -> str:
    """One topic: where it was timed, its cases, and how its time grows."""
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items() if version)
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads; {versions}; {machine['date']}."
    cases = [row for case in topic["cases"] for row in _case(case)]
    parts = [f"### {name}", where, table(_CASE_HEADERS, cases)]
    growths = [row for growth in topic["scalings"] for row in _growth(growth)]
    if growths:
        parts.append(table(_GROWTH_HEADERS, growths))
    return "\n\n".join(parts)


def table(headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Rows as Markdown."""
    lines = [headers, ("---",) * len(headers), *rows]
    return "\n".join("|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines)


def _case(case: Record) -> list[tuple[str, ...]]:
    ours = case["ours"]
    rows = [(case["case"], "striate", _time(ours["seconds"]), "", _time(ours["seconds_with_backward"]), "",
             _memory(ours["memory"]), "", "")]  # fmt: skip
    for peer in case["peers"]:
        wished = _wishes(peer["target"])
        if peer["not_timed"] is not None:
            rows.append(("", peer["name"], peer["not_timed"], "", "", "", "", wished, ""))
            continue
        ratios = _ratio(peer["ratio"]), _ratio(peer["ratio_with_backward"])
        times = _time(peer["seconds"]), _time(peer["seconds_with_backward"])
        rows.append(("", peer["name"], times[0], ratios[0], times[1], ratios[1], _memory(peer["memory"]), wished,
                     _met(peer["met"])))  # fmt: skip
    return rows


def _growth(growth: Record) -> list[tuple[str, ...]]:
    rows = []
    unit = "×" if growth["varied"] == "threads" else " a unit"
    for number, step in enumerate(growth["steps"]):
        names = ("", "") if number else (growth["varied"], growth["scaling"])
        if "seconds" not in step:
            rows.append((*names, step["at"], "not measured", "", "", "", "", ""))
            continue
        rows.append((
            *names, step["at"],
            _time(step["seconds"]), _against(step["against_first"], unit),
            _time(step["seconds_with_backward"]), _against(step["against_first_with_backward"], unit),
            growth["target"] if number else "", _met(step["met"]),
        ))  # fmt: skip
    return rows


def _time(spread: Record | None) -> str:
    return "" if spread is None else duration(spread["median"])


def _ratio(spread: Record | None) -> str:
    return "" if spread is None else f"{spread['median']:.3g}×"


def _against(spread: Record | None, unit: str) -> str:
    return "" if spread is None else f"{spread['median']:.3g}{unit}"


def _memory(found: int | None) -> str:
    return "" if found is None else f"{found / 2**20:.1f} MiB"


def _met(verdicts: Mapping[str, bool]) -> str:
    return "" if not verdicts else "met" if all(verdicts.values()) else "missed"


def _wishes(target: Record) -> str:
    words = {"ratio": "≥ {:g}×", "with_backward": "both ≥ {:g}×"}
    wishes = [word.format(target[name]) for name, word in words.items() if target[name] is not None]
    more = target["extra_seconds"]
    return ", ".join(wishes + ([] if more is None else [f"≤ {duration(more)} more"]))
