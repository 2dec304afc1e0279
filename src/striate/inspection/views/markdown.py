"""An inspection as tables of GitHub's Markdown."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from striate.inspection.counting.counts import CONVENTION
from striate.inspection.finding import Finding
from striate.inspection.report import Layer, Total
from striate.inspection.views.quantities import product, reason, sample, short, square, step, visible

if TYPE_CHECKING:
    from striate.inspection.inspection import Inspection

_STEERING = re.compile(r"([\\`*_{}\[\]#|~$!])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_HEAD = ("Layer", "Operator", "Input", "Output", "Window", "Parameters", "MACs", "Field", "Jump")
_LEFT = 5


def render(inspection: "Inspection") -> str:
    """The totals, the layers and what was found.

    Args:
        inspection: of a network.

    Returns:
        Markdown as GitHub shows it; names of layers cannot become anything else than words.

    Example:
        >>> import striate
        >>> render(striate.inspect("lenet5")).splitlines()[0]
        '## lenet5 on 1×1×28×28'
    """
    sizes = " and ".join(map(product, inspection.input_sizes))
    title = f"## {words(inspection.name)} on {sizes}" if sizes else f"## {words(inspection.name)}"
    blocks = [title, "\n".join(_totals(inspection)), words(CONVENTION), "\n".join(_layers(inspection.layers))]
    if inspection.findings:
        blocks += ["### Findings", "\n".join(line for finding in inspection.findings for line in _finding(finding))]
    return "\n\n".join(blocks) + "\n"


def words(text: str) -> str:
    r"""A text that Markdown shows as it is, in one line.

    Args:
        text: any.

    Returns:
        The text, escaped.

    Example:
        >>> words("a|b <i> `c`")
        'a\\|b &lt;i&gt; \\`c\\`'
    """
    text = _STEERING.sub(r"\\\1", visible(text))
    return "".join(_ENTITIES.get(letter, letter) for letter in text)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _totals(inspection: "Inspection") -> Iterator[str]:
    totals = inspection.totals
    yield _row(("Total", "", "Is"))
    yield "| --- | ---: | --- |"
    for title, total, unit in (
        ("parameters", totals.parameters, ""),
        ("of them trainable", totals.trainable_parameters, ""),
        ("MACs", totals.macs, ""),
        ("FLOPs", totals.flops, ""),
        ("saved for backward", totals.saved_for_backward_bytes, "B"),
        ("peak of a forward pass in inference", totals.peak_forward_bytes, "B"),
    ):
        yield _row((title, _number(total, unit), words(": ".join(filter(None, (total.state, reason(total)))))))


def _number(total: Total, unit: str) -> str:
    if total.value is None:
        return "–"
    return short(total.value, unit, 4) if unit else f"{total.value:,}"


def _layers(layers: Sequence[Layer]) -> Iterator[str]:
    yield _row(_HEAD)
    yield _row(["---"] * _LEFT + ["---:"] * (len(_HEAD) - _LEFT))
    for layer in layers:
        again = f" ({layer.repeat})" if layer.repeat > 1 else ""
        shared = f" (shares {words(layer.shares)})" if layer.shares else ""
        macs = "?" if layer.macs is None else f"{layer.macs:,}"
        yield _row(
            (
                f"{words(layer.name) or '(all)'}{again}{shared}",
                words(layer.operator),
                sample(layer.input_size),
                sample(layer.output_size) if layer.called else "not run",
                layer.window,
                f"{layer.parameters:,}",
                macs if layer.called else "–",
                ("" if layer.exact else "≈ ") + square(layer.receptive_field),
                step(layer.jump),
            )
        )


def _finding(finding: Finding) -> Iterator[str]:
    place = f"at {words(finding.layer)}" if finding.layer else "in the network"
    yield f"- **{finding.kind}** {place}: {words(finding.text)}"
    yield from (f"  - {words(fix)}" for fix in finding.fixes)
