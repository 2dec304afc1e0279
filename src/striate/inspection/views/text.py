"""An inspection as lines of text."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from striate.inspection.counting.counts import CONVENTION
from striate.inspection.finding import Finding
from striate.inspection.report import Layer
from striate.inspection.views.quantities import (
    brief,
    product,
    reason,
    sample,
    short,
    shortened,
    square,
    stated,
    step,
    visible,
)

if TYPE_CHECKING:
    from rich.text import Text

    from striate.inspection.inspection import Inspection

_SHOWN_FINDINGS = 12
_NARROWEST_NAME = 12
_OPERATOR_LIMITS = (15, 13, 11)


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cells: list[str]
    right: bool = False
    limit: int = 1000

    @property
    def width(self) -> int:
        return min(max(map(len, (self.title, *self.cells))), self.limit)

    @property
    def gap(self) -> int:
        """Between it and the column before it."""
        return 1 if self.right else 2

    def lines(self, width: int) -> list[str]:
        """The title and the cells at one width, those too long shortened in their middle."""
        align, before = (str.rjust, " ") if self.right else (str.ljust, "  ")
        return [before + align(shortened(cell, width), width) for cell in (self.title, *self.cells)]


def render(inspection: "Inspection", view: Literal["tree", "flat", "operator"] = "tree", width: int = 80) -> str:
    """A table of the layers, the totals and what was found.

    Args:
        inspection: of a network.
        view: "tree" (modules in modules), "flat" (layers only) or "operator" (layers added up).
        width: columns of the terminal; wide ones get the input size and the memory of each layer, too.

    Returns:
        Lines of text.

    Raises:
        ValueError: if the view is none of these, or the width is below 40.

    Example:
        >>> import striate
        >>> print(striate.inspect("lenet5").to_text().splitlines()[0])
        lenet5 on 1×1×28×28
    """
    if view not in ("tree", "flat", "operator"):
        raise ValueError(f"view must be tree, flat or operator, got {view!r}")
    if width < 40:
        raise ValueError(f"width must be at least 40, got {width}")
    sizes = " and ".join(map(product, inspection.input_sizes))
    on = f" on {sizes}" if sizes else ""
    lines = [shortened(visible(inspection.name), max(width - len(on), 20)) + on, ""]
    if view == "operator":
        lines += _operators(inspection, width)
    else:
        lines += _layers(inspection, width, tree=view == "tree")
    return "\n".join([*lines, *_totals(inspection, width), *_findings(inspection.findings, width)]) + "\n"


def coloured(text: str) -> "Text":
    """A rendered text with colours for a terminal.

    Args:
        text: from `render`.

    Returns:
        What `rich` prints.

    Example:
        >>> coloured("findings").plain
        'findings'
    """
    from rich.text import Text

    styled = Text(text)
    styled.highlight_regex(r"\A.*", "bold")
    styled.highlight_regex(r"(?m)^(layer|operator) .*$", "bold")
    styled.highlight_regex(r"(?m)^findings.*$", "bold yellow")
    styled.highlight_regex(r"(?m)^(failure|unread|merge|gridding|uncounted|hooks)(?= at | in the |$)", "yellow")
    styled.highlight_regex(r"(at least|not known|could not count)", "yellow")
    styled.highlight_regex(r"(?<= )(0|–)(?= |$)", "dim")
    styled.highlight_regex(r"(?m)^s stride.*$", "dim")
    return styled


def _layers(inspection: "Inspection", width: int, *, tree: bool) -> list[str]:
    shown = inspection.tree if tree else inspection.layers
    columns = [
        _Column("layer", _names(inspection.tree, shown, tree)),
        _Column("operator", [visible(layer.operator) for layer in shown], limit=18),
        _Column("output", [sample(layer.output_size) if layer.called else "not run" for layer in shown], limit=14),
        _Column("window", [brief(layer.window) for layer in shown], limit=11),
        _Column("params", [short(layer.parameters) for layer in shown], right=True),
        _Column("MACs", [short(layer.macs) if layer.called else "–" for layer in shown], right=True),
        _Column("field", [_field(layer) for layer in shown], right=True, limit=9),
        _Column("jump", [step(layer.jump) for layer in shown], right=True, limit=6),
    ]
    for place, column in (
        (2, _Column("input", [sample(layer.input_size) for layer in shown], limit=14)),
        (len(columns) + 1, _Column("kept", [short(layer.saved_bytes, "B") for layer in shown], right=True)),
    ):
        if _taken(columns) + columns[0].width + column.gap + column.width <= width:
            columns.insert(place, column)
    for limit in _OPERATOR_LIMITS:
        if _taken(columns) + columns[0].width > width:
            columns[1] = replace(columns[1], limit=limit)
    for title in ("window", "jump", "field"):
        if _taken(columns) + min(columns[0].width, _NARROWEST_NAME) > width:
            columns = [column for column in columns if column.title != title]
    batch = {size[0] for size in inspection.input_sizes if size}
    of = f" of {batch.pop()}" if len(batch) == 1 else ""
    legend = f"s stride, p padding, d dilation, g groups; sizes without the batch{of}, MACs with it"
    if not all(layer.exact for layer in shown):
        legend += "; ~ moved by numbers"
    if any(column.title == "kept" for column in columns):
        legend += "; kept for the backward pass"
    return [*_table(columns, width), "", *textwrap.wrap(legend, width), *_shared(shown, width), ""]


def _taken(columns: Sequence[_Column]) -> int:
    """What all columns but the first take."""
    return sum(column.gap + column.width for column in columns[1:])


def _table(columns: Sequence[_Column], width: int) -> Iterator[str]:
    first = max(min(columns[0].width, width - _taken(columns)), 6)
    widths = [first, *(column.width for column in columns[1:])]
    cells = [column.lines(size) for column, size in zip(columns, widths, strict=True)]
    return ("".join(row)[2:].rstrip() for row in zip(*cells, strict=True))


def _names(tree: Sequence[Layer], shown: Sequence[Layer], indented: bool) -> list[str]:
    """Dotted names; in a tree what follows the name of the layer that one stands in."""
    names = []
    for layer in shown:
        name = layer.name
        if indented:
            above = f"{tree[layer.parent].name}." if layer.parent else ""
            name = f"{'  ' * (layer.depth - 1)}{name.removeprefix(above)}"
        again = f" ({layer.repeat})" if layer.repeat > 1 else ""
        names.append(visible(f"{name or '(all)'}{again}"))
    return names


def _field(layer: Layer) -> str:
    return square(layer.receptive_field) if layer.exact else f"~{square(layer.receptive_field)}"


def _shared(shown: Sequence[Layer], width: int) -> Iterator[str]:
    for layer in shown:
        if layer.shares and layer.leaf:
            text = f"{visible(layer.name)} shares {visible(layer.shares)}: its weights are counted once"
            yield from textwrap.wrap(text, width)


def _operators(inspection: "Inspection", width: int) -> list[str]:
    found = inspection.by_operator()
    macs = sum(row.macs or 0 for row in found) or 1
    columns = [
        _Column("operator", [visible(row.operator) for row in found]),
        _Column("calls", [str(row.calls) for row in found], right=True),
        _Column("params", [short(row.parameters) for row in found], right=True),
        _Column("MACs", [short(row.macs) for row in found], right=True),
        _Column("share", ["?" if row.macs is None else f"{row.macs / macs:.1%}" for row in found], right=True),
    ]
    return [*_table(columns, width), ""]


def _totals(inspection: "Inspection", width: int) -> Iterator[str]:
    totals = inspection.totals
    frozen = short(totals.frozen_parameters.value)
    kept, peak = totals.saved_for_backward_bytes, totals.peak_forward_bytes
    rows = (
        ("parameters", totals.parameters, "", f"{frozen} of them frozen" if totals.frozen_parameters.value else ""),
        ("MACs", totals.macs, "", ""),
        ("FLOPs", totals.flops, "", "two a MAC"),
        ("saved for backward", kept, "B", "weights and input apart"),
        ("peak of a forward", peak, "B", "in inference"),
    )
    for title, total, unit, note in rows:
        exact = "" if total.value is None or total.value < 1000 else f"{total.value:,}"
        line = f"{title:18}  {stated(total, unit):10}  {exact:>15}  {note}".rstrip()
        yield from textwrap.wrap(line, width, subsequent_indent=" " * 20, drop_whitespace=False, break_on_hyphens=False)
        if reason(total):
            yield from textwrap.wrap(reason(total), width, initial_indent=" " * 20, subsequent_indent=" " * 20)
    yield from textwrap.wrap(CONVENTION, width)


def _findings(findings: Sequence[Finding], width: int) -> Iterator[str]:
    if not findings:
        return
    yield from ("", f"findings: {len(findings)}")
    for finding in findings[:_SHOWN_FINDINGS]:
        place = f"at {visible(finding.layer)}" if finding.layer else "in the network"
        yield shortened(f"{finding.kind} {place}", width)
        for text, mark in ((finding.text, "  "), *((fix, "  - ") for fix in finding.fixes)):
            yield from textwrap.wrap(visible(text), width, initial_indent=mark, subsequent_indent=" " * len(mark))
    if len(findings) > _SHOWN_FINDINGS:
        yield f"and {len(findings) - _SHOWN_FINDINGS} more"
