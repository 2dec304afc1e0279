"""An inspection as one page of HTML."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from striate.inspection.counting.counts import CONVENTION
from striate.inspection.finding import Finding
from striate.inspection.report import Layer, Total
from striate.inspection.views import drawing
from striate.inspection.views.quantities import product, reason, sample, short, square, stated, step, visible

if TYPE_CHECKING:
    from striate.inspection.inspection import Inspection

_COLUMNS = ("Layer", "Operator", "Input", "Output", "Window", "Parameters", "MACs", "Field", "Jump", "Kept")
_WORDS = 5


def render(inspection: "Inspection") -> str:
    """The totals, the picture, what was found, the tree of modules, and a table of the layers that can be sorted.

    Args:
        inspection: of a network.

    Returns:
        HTML that needs no other file and loads none, in colours for light and dark.

    Example:
        >>> import striate
        >>> "<h1><bdi>lenet5</bdi></h1>" in render(striate.inspect("lenet5"))
        True
    """
    sections = (
        ("picture", "Picture", _picture(inspection)),
        ("findings", "Findings", _findings(inspection.findings)),
        ("tree", "Modules", _tree(inspection.tree)),
        ("layers", "Layers", _table(inspection.layers)),
        ("memory", "Memory", _memory(inspection)),
    )
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{title}</h2>\n{content}\n</section>\n'
        for anchor, title, content in sections
    )
    folder = files("striate.inspection.views")
    style, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Whatever a name may smuggle in, the browser then loads nothing and runs no other script.
        '<meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_plain(inspection.name)} · inspection</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'{_head(inspection)}<nav aria-label="Sections">{links}</nav>\n<main>\n{body}</main>\n'
        f"<footer>Made by Striate.</footer>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _plain(text: str) -> str:
    return escape(visible(text))


def _name(text: str) -> str:
    """A text of the user's; isolated, so that one written from right to left leaves its surroundings alone."""
    return f"<bdi>{_plain(text)}</bdi>"


def _head(inspection: "Inspection") -> str:
    totals = inspection.totals
    sizes = " and ".join(map(product, inspection.input_sizes))
    frozen = totals.frozen_parameters.value
    facts = (
        ("Parameters", totals.parameters, "", f"{frozen:,} of them frozen" if frozen else "all trainable"),
        ("MACs", totals.macs, "", "multiply-accumulates"),
        ("FLOPs", totals.flops, "", "two a MAC"),
        ("Saved for backward", totals.saved_for_backward_bytes, "B", "weights and input apart"),
        ("Peak of a forward pass", totals.peak_forward_bytes, "B", "in inference, weights and input apart"),
    )
    terms = "".join(_fact(title, total, unit, note) for title, total, unit, note in facts)
    return (
        f'<header><p class="eyebrow">Inspection</p><h1>{_name(inspection.name)}</h1><p>on {sizes}</p>\n'
        f'<dl class="facts">{terms}</dl><p class="caption">{_plain(CONVENTION)}</p></header>\n'
    )


def _fact(title: str, total: Total, unit: str, note: str) -> str:
    exact = "" if total.value is None else f' title="{total.value:,}"'
    why = reason(total)
    warned = f"<small class='warned'>{_plain(why)}</small>" if why else f"<small>{note}</small>"
    return f"<div><dt>{title}</dt><dd><span{exact}>{stated(total, unit)}</span>{warned}</dd></div>"


def _picture(inspection: "Inspection") -> str:
    return f'<div class="scroll" role="region" tabindex="0" aria-label="Picture">{drawing.render(inspection)}</div>'


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<p>None: every row and column is read, and branches fit on one another.</p>"
    return f'<ul class="findings">{"".join(map(_finding, findings))}</ul>'


def _finding(finding: Finding) -> str:
    place = f"<code>{_name(finding.layer)}</code>" if finding.layer else "the network"
    fixes = "".join(f"<li>{_plain(fix)}</li>" for fix in finding.fixes)
    return (
        f'<li><p><span class="kind">{finding.kind}</span> {place}</p><p>{_plain(finding.text)}</p>'
        f"{f'<ul>{fixes}</ul>' if fixes else ''}</li>"
    )


def _tree(tree: Sequence[Layer]) -> str:
    children: dict[int | None, list[int]] = {}
    for place, layer in enumerate(tree):
        children.setdefault(layer.parent, []).append(place)

    def branch(place: int) -> Iterator[str]:
        layer = tree[place]
        above = f"{tree[layer.parent].name}." if layer.parent else ""
        own = layer.name.removeprefix(above) or layer.operator
        if layer.repeat > 1:
            own += f" ({layer.repeat})"
        size = sample(layer.output_size) if layer.called else "not run"
        parts = [_name(layer.operator) if layer.name else "", size]
        parts += [f"{short(layer.parameters)} parameters"] if layer.parameters else []
        parts += [f"{short(layer.macs)} MACs"] if layer.macs != 0 and layer.called else []
        line = f'<b>{_name(own)}</b> <span class="quiet">{" · ".join(filter(None, parts))}</span>'
        inside = children.get(place, ())
        if not inside:
            yield f"<li>{line}</li>"
            return
        yield f"<li><details{' open' if layer.depth == 0 else ''}><summary>{line}</summary><ul>"
        for child in inside:
            yield from branch(child)
        yield "</ul></details></li>"

    return f'<ul class="tree">{"".join(part for root in children.get(None, ()) for part in branch(root))}</ul>'


def _table(layers: Sequence[Layer]) -> str:
    head = "".join(
        f'<th scope="col"{"" if number < _WORDS else " class=number"} aria-sort="none">'
        f'<button type="button">{title}</button></th>'
        for number, title in enumerate(_COLUMNS)
    )
    rows = "".join(_row(place, layer) for place, layer in enumerate(layers))
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Layers"><table class="sortable">'
        "<caption>In order of running; sizes without the batch, MACs with it. Field: inputs that a unit sees along an "
        "axis. Jump: inputs from one unit to the next. Kept: for the backward pass.</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(place: int, layer: Layer) -> str:
    again = f" ({layer.repeat})" if layer.repeat > 1 else ""
    shared = f"<small>shares {_name(layer.shares)}</small>" if layer.shares else ""
    field = ("" if layer.exact else "≈ ") + square(layer.receptive_field)
    reasons = "; ".join(f"{kept.reason}: {short(kept.nbytes, 'B')}" for kept in layer.kept)
    inner = "; ".join(f"{part.what}: {part.macs:,}" for part in layer.parts)
    numbers = (
        (layer.parameters, f"{layer.parameters:,}", ""),
        (layer.macs, "?" if layer.macs is None else f"{layer.macs:,}", inner),
        (max(layer.receptive_field) if layer.receptive_field else None, field, ""),
        (float(max(layer.jump)) if layer.jump else None, step(layer.jump), ""),
        (layer.saved_bytes, short(layer.saved_bytes, "B"), reasons),
    )
    texts = (
        _name(layer.operator),
        sample(layer.input_size),
        sample(layer.output_size) if layer.called else "not run",
        escape(layer.window),
    )
    cells = "".join(f"<td>{cell}</td>" for cell in texts) + "".join(
        f'<td class="number" data-value="{-1 if value is None else value}"'
        f"{f' title={chr(34)}{_plain(title)}{chr(34)}' if title else ''}>{cell}</td>"
        for value, cell, title in numbers
    )
    # The first column sorts by the order of running.
    name = _name(layer.name) if layer.name else "(all)"
    return f'<tr><th scope="row" data-value="{place}">{name}{again}{shared}</th>{cells}</tr>'


def _memory(inspection: "Inspection") -> str:
    usage = inspection.usage
    adam = None if inspection.failure is not None else usage.training("adam")
    rows = [
        ("Weights", usage.parameters_bytes),
        ("Buffers", usage.buffers_bytes),
        ("Input", usage.input_bytes),
        ("Outputs of all layers", usage.outputs_bytes),
        ("Saved for the backward pass", inspection.totals.saved_for_backward_bytes.value),
        ("Peak of a forward pass in inference", inspection.totals.peak_forward_bytes.value),
        ("Gradients", usage.gradients_bytes),
    ]
    if adam is not None:
        rows += [("State of Adam", adam.optimizer), ("A step of training with Adam, at the least", adam.total)]
    body = "".join(
        f'<tr><th scope="row">{title}</th><td class="number" title="{value or 0:,}">'
        f"{'–' if value is None else short(value, 'B', 4)}</td></tr>"
        for title, value in rows
    )
    return f"<table><caption>Of the batch that was given</caption><tbody>{body}</tbody></table>"
