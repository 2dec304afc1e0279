"""Settings that let a window read everything, and what they lead to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from striate.geometry import Fix, Window
from striate.inspection.faults.consequences import consequence
from striate.inspection.tracing.placed import Placed
from striate.inspection.tracing.rerun import Change
from striate.inspection.tracing.trace import Operation, Trace

if TYPE_CHECKING:
    from striate.inspection.faults.unread import Unread

_MOST = 3
_CEILED = ("max_pool", "avg_pool", "lp_pool")


@dataclass(frozen=True, slots=True)
class _Remedy:
    """One edit: in words, the output along the axes that it is for, and the input there if that is what it changes."""

    words: str
    output: int
    input: int | None = None


def fixes(trace: Trace, place: int, windowed: Placed, lost: Sequence[Unread]) -> Iterator[str]:
    """The nearest edits that read every input, those that keep the output first.

    Args:
        trace: of a network.
        place: the operation, by its place in `Trace.operations`.
        windowed: its windows.
        lost: what they leave out, by axis.

    Yields:
        An edit and what it leads to: the output as before, or the new one and what becomes of the layers behind.
    """
    operation = trace.operations[place]
    groups: dict[tuple[Window, int], list[Unread]] = {}
    for axis in lost:
        groups.setdefault((axis.window, axis.placed_on), []).append(axis)
    for (window, n), axes in groups.items():
        before = window.output_size(n)
        along = "" if len(groups) == 1 else f" for axis {axes[0].axis}"
        numbers = [axis.axis + len(windowed.windows) - axis.axes for axis in axes]
        for remedy in _chosen(_remedies(window, n, operation, windowed, numbers), before):
            gap = " " if remedy.input else ": "
            yield f"{remedy.words}{along}{gap}{_outcome(trace, place, windowed, numbers, axes[0].axes, remedy)}"


def _chosen(remedies: Iterator[_Remedy], before: int) -> list[_Remedy]:
    """The nearest few: two that keep the output, and others if they are as near as one place or nothing else is."""
    found = sorted(remedies, key=lambda remedy: abs(remedy.output - before))
    kept = [remedy for remedy in found if remedy.output == before][:2]
    others = [remedy for remedy in found if remedy.output != before and (not kept or abs(remedy.output - before) <= 1)]
    return [*kept, *others][:_MOST]


def _remedies(
    window: Window, n: int, operation: Operation, windowed: Placed, numbers: Sequence[int]
) -> Iterator[_Remedy]:
    name = operation.name.partition(".")[2]
    if not window.ceil_mode and name.startswith(_CEILED):
        up = replace(window, ceil_mode=True)
        if not up.unread(n):
            yield _Remedy("set ceil_mode=True", up.output_size(n))
    if window.extent == 1 < window.stride:
        stride, rest = window.stride, ", ceil_mode=True" if n % window.stride else ""
        words = f"average pooling of {stride} with stride {stride}{rest} before it, and stride=1 in it"
        yield _Remedy(words, window.output_size(n))
    for fix in window.fixes(n):
        if fix.settings == ("size",):
            if windowed.input.memory.given:
                yield _Remedy("give an input of", fix.output_size, fix.size)
        elif "size" not in fix.settings:
            words = _words(window, fix, n, operation, windowed, numbers)
            if words:
                yield _Remedy(words, fix.output_size)


def _words(window: Window, fix: Fix, n: int, operation: Operation, windowed: Placed, numbers: Sequence[int]) -> str:
    """A fix as an edit; empty if the layer cannot have it, or if it pads the low end more."""
    parts = []
    for setting in fix.settings:
        if setting != "padding":
            parts.append(f"set {'kernel_size' if setting == 'kernel' else setting}={getattr(fix.window, setting)}")
            continue
        (low, high), (less, more) = window.pads(n), fix.window.pads(n)
        bounded = operation.name.startswith(("aten.max_pool", "aten.avg_pool"))
        if less > more or (less < more and less != low) or (bounded and (less != more or 2 * less > fix.window.kernel)):
            return ""
        along = range(len(windowed.windows))
        if less == more:
            parts.append(f"set padding={less}")
        elif operation.name.endswith("()"):
            sides = tuple((less, more) if axis in numbers else windowed.windows[axis].padding for axis in along)
            parts.append(f"set padding={sides}")
        else:
            pads = tuple(side for axis in reversed(along) for side in (0, (more - high) * (axis in numbers)))
            parts.append(f"pad the end before it, F.pad(x, {pads})")
    text = " and ".join(parts)
    weights = (fix.window.kernel / window.kernel) ** len(numbers)
    return f"{text} ({weights:.3g} times the weights)" if weights != 1 and "conv" in operation.name else text


def _outcome(trace: Trace, place: int, windowed: Placed, numbers: Sequence[int], axes: int, remedy: _Remedy) -> str:
    operation = trace.operations[place]
    sizes = windowed.input.shape[windowed.first :]
    old = [window.output_size(n) for window, n in zip(windowed.windows, sizes, strict=False)]
    new = [remedy.output if number in numbers else size for number, size in enumerate(old)]
    shown = len(new) - axes
    text = f"output {_by(new[shown:])}" + (" as before" if new == old else f" instead of {_by(old[shown:])}")
    change, inputs = None, None
    if remedy.input is not None:
        inputs = [list(value.shape) for value in trace.inputs]
        given = next((at for at, value in enumerate(trace.inputs) if value.memory is windowed.input.memory), 0)
        for number in numbers:
            inputs[given][len(inputs[given]) - len(sizes) + number] = remedy.input
        text = f"{_by(inputs[given][len(inputs[given]) - axes :])}: {text}"
    elif new != old and operation.outputs[0].shape[-len(old) :] == tuple(old):
        turn = sum(other.name == operation.name and other.within is None for other in trace.operations[:place])
        change = Change(operation.name, turn, tuple(new))
    if new == old or (change is None and inputs is None):
        return text
    further = consequence(trace, change, inputs)
    return f"{text}; {further}" if further else text


def _by(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes))
