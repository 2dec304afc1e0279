"""Two networks side by side."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from striate.inspection.report import Layer, State, Total, plain
from striate.inspection.views.quantities import product, short, shortened, square, visible

if TYPE_CHECKING:
    from striate.inspection.inspection import Inspection

SCHEMA = 1
_NARROWEST = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One thing of two networks.

    Args:
        what: "parameters", "macs", "flops", "saved_for_backward_bytes", "peak_forward_bytes", "receptive_field" or
            "jump"; the last two of the last map of features.
        unit: "number", "bytes" or "inputs".
        first: the first network's; one number an axis of a field and a jump, None where there is none.
        second: the second network's.
        states: "complete", "lower bound" or "unavailable", of the two.
        ratio: first by second; None where one of them is not complete, the second is 0 or axes differ.

    Example:
        >>> states: tuple[State, State] = ("complete", "complete")
        >>> Compared(what="macs", unit="number", first=98, second=49, states=states, ratio=2.0).unit
        'number'
    """

    what: str
    unit: Literal["number", "bytes", "inputs"]
    first: int | tuple[int | Fraction, ...] | None
    second: int | tuple[int | Fraction, ...] | None
    states: tuple[State, State]
    ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two networks side by side.

    Args:
        names: of the two.
        input_sizes: of the inputs of each.
        output_sizes: of the first output of each; None where there is none.
        ends: the dotted names of the layers that give the last map of features; empty where there is none.
        rows: what is compared.

    Example:
        >>> import striate
        >>> compare(striate.inspect("vgg16"), striate.inspect("resnet18")).row("parameters").first
        138357544
    """

    names: tuple[str, str]
    input_sizes: tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]
    output_sizes: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    ends: tuple[str, str]
    rows: tuple[Compared, ...]

    def row(self, what: str) -> Compared:
        """One of the rows.

        Args:
            what: "parameters", "macs", ...

        Returns:
            The row.

        Raises:
            ValueError: if there is none.
        """
        for row in self.rows:
            if row.what == what:
                return row
        raise ValueError(f"what must be one of {', '.join(row.what for row in self.rows)}, got {what!r}")

    def to_dict(self) -> dict[str, Any]:
        """All of it in the types of JSON.

        Returns:
            ``schema``, ``names``, ``input_sizes``, ``output_sizes``, ``ends`` and ``rows``.
        """
        return {
            "schema": SCHEMA,
            "names": list(self.names),
            "input_sizes": plain(self.input_sizes),
            "output_sizes": plain(self.output_sizes),
            "ends": list(self.ends),
            "rows": [{key: plain(getattr(row, key)) for key in Compared.__slots__} for row in self.rows],
        }

    def to_json(self) -> str:
        """`to_dict` as text.

        Returns:
            JSON, indented.
        """
        return json.dumps(self.to_dict(), indent=1)

    def to_text(self, width: int = 80) -> str:
        """A table for a terminal.

        Args:
            width: columns of the terminal.

        Returns:
            Lines of text.
        """
        cells = self._cells()
        taken = max(len(row[0]) for row in cells) + max(len(row[3]) for row in cells) + 6
        widest = max((width - taken) // 2, _NARROWEST)
        cells = [(row[0], *(shortened(cell, widest) for cell in row[1:3]), row[3]) for row in cells]
        widths = [max(len(row[place]) for row in cells) for place in range(4)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
            for row in cells
        ]
        return "\n".join([*(line.rstrip() for line in lines), "", *self._legend()]) + "\n"

    def to_markdown(self) -> str:
        """A table for a page of text.

        Returns:
            Markdown as GitHub shows it.
        """
        head, *body = [[cell.replace("\\", "\\\\").replace("|", "\\|") for cell in row] for row in self._cells()]
        rows = [head, ["---", "---:", "---:", "---:"], *body]
        return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", *self._legend()]) + "\n"

    def __str__(self) -> str:
        """The table in 80 columns."""
        return self.to_text()

    def _cells(self) -> list[tuple[str, ...]]:
        sizes = [" and ".join(map(product, given)) for given in self.input_sizes]
        outputs = ["–" if size is None else product(size) for size in self.output_sizes]
        return [
            ("", visible(self.names[0]), visible(self.names[1]), "ratio"),
            ("input", *sizes, ""),
            ("output", *outputs, ""),
            *((_TITLES[row.what], *_shown(row), "–" if row.ratio is None else f"{row.ratio:.3g}") for row in self.rows),
        ]

    def _legend(self) -> list[str]:
        lines = ["ratio: first by second; FLOPs = 2 MACs; memory without weights and input"]
        if any(self.ends):
            where = " and ".join(visible(end) or "–" for end in self.ends)
            lines.append(f"field and jump at the last map of features ({where})")
        if "lower bound" in {state for row in self.rows for state in row.states}:
            lines.append("at least: not all operators could be counted")
        return lines


_TITLES = {
    "parameters": "parameters",
    "macs": "MACs",
    "flops": "FLOPs",
    "saved_for_backward_bytes": "kept for backward",
    "peak_forward_bytes": "peak in inference",
    "receptive_field": "receptive field",
    "jump": "jump",
}


def compare(first: "Inspection", second: "Inspection") -> Comparison:
    """Put two inspected networks side by side.

    Args:
        first: one network.
        second: another.

    Returns:
        Parameters, MACs, FLOPs, memory, receptive field and jump of both, and their ratios.

    Example:
        >>> import striate
        >>> from torch import nn
        >>> wide = nn.Conv2d(8, 8, 7, bias=False)
        >>> small = nn.Sequential(*(nn.Conv2d(8, 8, 3, bias=False) for _ in range(3)))
        >>> found = compare(*(striate.inspect(model, (1, 8, 32, 32)) for model in (wide, small)))
        >>> [(row.first, row.second) for row in found.rows if row.what in ("parameters", "receptive_field")]
        [(3136, 1728), ((7, 7), (7, 7))]
    """
    ends = (_end(first.layers), _end(second.layers))
    rows = []
    for what in ("parameters", "macs", "flops", "saved_for_backward_bytes", "peak_forward_bytes"):
        pair: tuple[Total, Total] = (getattr(first.totals, what), getattr(second.totals, what))
        complete = all(total.state == "complete" for total in pair)
        rows.append(
            Compared(
                what=what,
                unit="bytes" if what.endswith("bytes") else "number",
                first=pair[0].value,
                second=pair[1].value,
                states=(pair[0].state, pair[1].state),
                ratio=_ratio(pair[0].value, pair[1].value) if complete else None,
            )
        )
    fields = [None if end is None else end.receptive_field for end in ends]
    jumps = [None if end is None else end.jump for end in ends]
    rows += [_along_axes("receptive_field", *fields), _along_axes("jump", *jumps)]
    return Comparison(
        names=(first.name, second.name),
        input_sizes=(first.input_sizes, second.input_sizes),
        output_sizes=(first.tree[0].output_size, second.tree[0].output_size),
        ends=(ends[0].name if ends[0] else "", ends[1].name if ends[1] else ""),
        rows=tuple(rows),
    )


def _along_axes(what: str, first: Sequence[int | Fraction] | None, second: Sequence[int | Fraction] | None) -> Compared:
    same = first is not None and second is not None and len(set(first)) == len(set(second)) == 1
    return Compared(
        what=what,
        unit="inputs",
        first=None if first is None else tuple(first),
        second=None if second is None else tuple(second),
        states=("unavailable" if first is None else "complete", "unavailable" if second is None else "complete"),
        ratio=_ratio(first[0], second[0]) if same and first and second else None,
    )


def _ratio(first: int | Fraction | None, second: int | Fraction | None) -> float | None:
    return None if first is None or not second else float(Fraction(first) / Fraction(second))


def _end(layers: Sequence[Layer]) -> Layer | None:
    """The layer that gives the last map of features: its units have places in the input, and lie along axes."""
    seeing = [layer for layer in layers if layer.called and layer.receptive_field is not None]
    placed = [layer for layer in seeing if layer.jump is not None and all(layer.jump)]
    maps = [layer for layer in placed if len(layer.output_size or ()) > 2]
    found = maps or placed or seeing
    return found[-1] if found else None


def _shown(row: Compared) -> tuple[str, str]:
    def show(value: int | tuple[int | Fraction, ...] | None, state: State) -> str:
        if value is None:
            return "–" if row.unit == "inputs" else "not known"
        if isinstance(value, tuple):
            return square(value)
        number = short(value, "B", 4) if row.unit == "bytes" else f"{value:,}"
        return f"at least {number}" if state == "lower bound" else number

    return show(row.first, row.states[0]), show(row.second, row.states[1])
