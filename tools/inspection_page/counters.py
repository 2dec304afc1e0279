"""The table of ten networks: the truth, our answers and those that others gave."""

from collections.abc import Mapping
from typing import Any, Literal

from benchmarks.peers.ten_networks import TEN, Example, formula, total

import striate
from operators_page.speeds import table

_INTRODUCTION = """\
## Ten networks, and what others answer

Small networks whose cost is worked out by hand. None has a bias, an activation or a normalisation, about which
counters differ by convention. The truth is the number of multiply-accumulates of the products, and the number of
parameters, shared ones once:"""
_MARKS = """\
In brackets: against the truth. †: the tool also names operators that it left out; without it, a number that is too
small looks like any other.

- A counter that takes a transposed convolution for one with products at every place of its output, and not of its
  input, counts each as often as the stride has places, here 4 times.
- A deformable convolution without its sampling is 9,257,472: a convention, too.
- ptflops and thop add element-wise steps of the attention and of the gates of the LSTM to the products.
- A counter that hangs on layers, or on a list of functions, sees none of the products that a network computes by
  others; and of attention in evaluation PyTorch runs one fused operator in place of the layers."""
_ASKED = """\
Each was asked as its own documentation shows, with the network in evaluation; ptflops by its default backend.
`python -m benchmarks.peers.counters` asks again."""

_CLOSE = 0.001


def ours(example: Example) -> dict[str, Any]:
    """Our answer, in the form of the others'."""
    totals = striate.inspect(example.make().eval(), inputs=example.inputs()).totals
    return {
        "parameters": totals.parameters.value,
        "macs": totals.macs.value,
        "left_out": list(totals.macs.missing),
    }


def markdown(record: Mapping[str, Any]) -> str:
    """Both tables, with the networks and the versions.

    Args:
        record: what `python -m benchmarks.peers.counters` wrote.
    """
    answers = {"striate": {example.name: ours(example) for example in TEN}} | record["answers"]
    networks = "\n".join(f"- **{example.name}**: {example.about}" for example in TEN)
    versions = ", ".join(f"{tool} {record['machine']['versions'][tool]}" for tool in record["answers"])
    parts = [_INTRODUCTION, networks, "### MACs", _answers("macs", answers), _MARKS]
    parts += ["### Parameters", _answers("parameters", answers), f"Asked: {versions}.\n{_ASKED}"]
    return "\n\n".join(parts)


def _answers(what: Literal["macs", "parameters"], answers: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    right = dict.fromkeys(answers, 0)
    for example in TEN:
        terms = getattr(example, what)
        truth = total(terms)
        cells = []
        for tool in answers:
            said = answers[tool][example.name]
            right[tool] += said[what] is not None and abs(said[what] / truth - 1) < _CLOSE
            cells.append(cell(said[what], truth, left_out=what == "macs" and bool(said["left_out"])))
        rows.append((example.name, f"{formula(terms)} = {truth:,}", *cells))
    rows.append(("right, to 0.1 %", "", *(f"{count} of {len(TEN)}" for count in right.values())))
    return table(("network", "truth", *answers), rows)


def cell(said: int | None, truth: int, *, left_out: bool) -> str:
    """A number, if it is wrong against the truth.

    Args:
        said: the answer; None if there was none.
        truth: what it should be.
        left_out: whether the tool names operators that it did not count.
    """
    if said is None:
        return "no answer"
    number = f"{said:,}{'†' if left_out else ''}"
    ratio = said / truth
    if ratio == 1:
        return number
    off = f"{100 * (ratio - 1):+.2g} %" if 0.5 < ratio < 1.5 else f"{ratio:.2g}×" if said else "nothing"
    return f"{number} **({off})**"
