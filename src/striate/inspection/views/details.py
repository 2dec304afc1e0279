"""Everything on one layer of a network."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from striate.inspection.finding import Finding
from striate.inspection.receptive.reach import Box
from striate.inspection.report import Layer, plain
from striate.inspection.views.quantities import product, short, square, visible

if TYPE_CHECKING:
    from striate.inspection.inspection import Inspection

SCHEMA = 1
_INDENT = 14


def details(inspection: "Inspection", layer: str, unit: Sequence[int] | None = None) -> dict[str, Any]:
    """Everything on one layer, in the types of JSON.

    Args:
        inspection: of its network.
        layer: its dotted name.
        unit: the place of a unit along each axis of its output; None for none.

    Returns:
        ``schema``, ``name``, ``layer``, ``calls`` with what `Inspection.to_dict` has for each call, ``findings``, and
        ``unit`` with the inputs that it reads where one is asked for.

    Raises:
        ValueError: if there is no such layer, or no such unit.

    Example:
        >>> import striate
        >>> details(striate.inspect("lenet5"), "c1", (2, 3))["unit"]["last"]
        [4, 5]
    """
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "name": inspection.name,
        "layer": layer,
        "calls": [plain(_fields_of(call)) for call in _calls(inspection, layer)],
        "findings": [plain(_fields_of(finding)) for finding in _findings(inspection, layer)],
    }
    if unit is not None:
        found["unit"] = plain(_fields_of(inspection.field_of(layer, unit)))
    return found


def render(inspection: "Inspection", layer: str, unit: Sequence[int] | None = None, width: int = 80) -> str:
    """Everything on one layer, as lines of text.

    Args:
        inspection: of its network.
        layer: its dotted name.
        unit: the place of a unit along each axis of its output; None for none.
        width: columns of the terminal.

    Returns:
        Lines of text.

    Raises:
        ValueError: if there is no such layer, or no such unit.

    Example:
        >>> import striate
        >>> print(render(striate.inspect("lenet5"), "c1").splitlines()[0])
        c1, Conv2d, of lenet5
    """
    lines: list[str] = []
    for call in _calls(inspection, layer):
        again = f", call {call.repeat}" if call.repeat > 1 else ""
        name = visible(call.name) or "the network"
        lines += [f"{name}, {visible(call.operator)}, of {visible(inspection.name)}{again}"]
        for title, text in _facts(call, inspection):
            lines += _wrapped(title, text, width)
        lines.append("")
    if unit is not None:
        lines += [*_wrapped("unit", _read(inspection.field_of(layer, unit)), width), ""]
    for finding in _findings(inspection, layer):
        lines += _wrapped(finding.kind, visible(finding.text), width)
        for fix in finding.fixes:
            lines += _wrapped("", f"- {visible(fix)}", width)
    return "\n".join(lines).rstrip("\n") + "\n"


def _calls(inspection: "Inspection", layer: str) -> list[Layer]:
    first = inspection.layer(layer)
    return [call for call in inspection.tree if call.name == first.name]


def _findings(inspection: "Inspection", layer: str) -> list[Finding]:
    return [finding for finding in inspection.findings if finding.layer == layer]


def _read(box: Box) -> str:
    """What a unit reads, in words."""
    place = ", ".join(map(str, box.unit))
    ends = " × ".join(f"{first} … {last}" for first, last in zip(box.first, box.last, strict=True))
    said = f"({place}) reads the inputs {ends}" if place else f"all read the inputs {ends}"
    if any(number < last - first + 1 for number, first, last in zip(box.covered, box.first, box.last, strict=True)):
        said += f", {product(box.covered)} of them"
    if box.hull != tuple(zip(box.first, box.last, strict=True)):
        said += f"; were the input endless, {' × '.join(f'{first} … {last}' for first, last in box.hull)}"
    return said if box.exact else f"{said}; not exact: it is moved by numbers"


def _fields_of(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in fields(value)}


def _wrapped(title: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=f"  {title}".ljust(_INDENT),
        subsequent_indent=" " * _INDENT,
        break_on_hyphens=False,
    )


def _facts(call: Layer, inspection: "Inspection") -> Iterator[tuple[str, str]]:
    """Titles and what there is to say below them."""
    if not call.called:
        yield "called", "no: it does not run on this input"
    yield "input", "–" if call.input_size is None else product(call.input_size)
    yield "output", "–" if call.output_size is None else product(call.output_size)
    if call.window:
        yield "window", call.window
    yield "parameters", _parameters(call)
    if call.called:
        yield "MACs", "could not be counted" if call.macs is None else f"{call.macs:,}; FLOPs {call.flops:,}"
        for part in call.parts:
            yield "", f"{part.what} {part.macs:,}"
    if call.receptive_field is not None:
        yield "field", _field(call)
        yield "jump", square(call.jump)
    for place, unread in enumerate(call.unread):
        parts = [(unread.low, "at the low end"), (unread.gaps, "between windows"), (unread.high, "at the high end")]
        said = ", ".join(f"{number:,} {where}" for number, where in parts if number)
        yield "unread" if place == 0 else "", f"along axis {unread.axis}: {said}"
    if call.called:
        yield "keeps", f"{short(call.saved_bytes, 'B', 4)} for the backward pass"
        for kept in call.kept:
            yield "", f"{short(kept.nbytes, 'B', 4) if kept.nbytes else 'counted elsewhere'}: {visible(kept.reason)}"


def _parameters(call: Layer) -> str:
    said = f"{call.parameters:,}"
    if call.trainable_parameters != call.parameters:
        said += f", {call.trainable_parameters:,} of them trainable"
    return f"{said}; shares {visible(call.shares)}" if call.shares else said


def _field(call: Layer) -> str:
    said = square(call.receptive_field)
    if call.shortest_field != call.receptive_field:
        said += f", {square(call.shortest_field)} by the shortest way"
    if call.clipped_field != call.receptive_field:
        said += f", at most {square(call.clipped_field)} within the input"
    if call.start is not None:
        said += f"; the first is centred at {square(call.start)}"
    return said if call.exact else f"{said}; not exact: it is moved by numbers"
