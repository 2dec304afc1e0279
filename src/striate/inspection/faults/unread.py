"""Rows and columns that no window reads, and what would read them."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from striate.geometry import Window
from striate.inspection.faults.remedies import fixes
from striate.inspection.finding import Finding
from striate.inspection.rows import _LAYERS, _QUIET, spoken
from striate.inspection.tracing.placed import Padding, Placed, Places, padded_places, placed
from striate.inspection.tracing.trace import Trace, Value


@dataclass(frozen=True, slots=True)
class Unread:
    """What the windows of an operation leave out along one axis of its input.

    Args:
        axis: the spatial axis, 0 for the first.
        axes: how many spatial axes there are.
        size: of the input along it, without padding.
        window: the window along it.
        placed_on: places it is laid over: the size with the padding that was added in an operation before.
        indices: the inputs that no window reads, in order.
        padding: places of padding at the end that no window reads, either; they are no loss.

    Example:
        >>> left = Unread(axis=0, axes=1, size=6, window=Window(2, 3), placed_on=6, indices=(2, 5), padding=0)
        >>> left.low, left.gaps, left.high
        (0, 1, 1)
    """

    axis: int
    axes: int
    size: int
    window: Window
    placed_on: int
    indices: tuple[int, ...]
    padding: int

    @property
    def low(self) -> int:
        """How many of them lie before all that is read."""
        count = next((at for at, index in enumerate(self.indices) if index != at), len(self.indices))
        return 0 if count == self.size else count

    @property
    def high(self) -> int:
        """How many of them lie behind all that is read."""
        turned = reversed(self.indices)
        return next((at for at, index in enumerate(turned) if index != self.size - 1 - at), len(self.indices))

    @property
    def gaps(self) -> int:
        """How many of them lie between taps or windows."""
        return len(self.indices) - self.low - self.high


def unread_inputs(trace: Trace) -> dict[int, tuple[Unread, ...]]:
    """What every operation with windows leaves unread.

    Transposed convolution reads all of its input, and so does adaptive pooling. A deformable window is taken as it is
    before it moves.

    Args:
        trace: of a network.

    Returns:
        By the place of the operation in `Trace.operations`, the axes along which inputs, or places of the padding at
        the end, are not read. Operations that read everything are left out.
    """
    return {place: left for place, _, left in _windowed(trace)}


def _windowed(trace: Trace) -> Iterator[tuple[int, Placed, tuple[Unread, ...]]]:
    """The operations that leave something, their windows, and what they leave."""
    padding, spread = Padding(trace), _spread(trace)
    for place, operation in enumerate(trace.operations[: trace.backward]):
        windowed = placed(operation) if operation.within is None else None
        if windowed is not None and not windowed.transposed:
            left = tuple(_axes(windowed, padding, spread.get(id(windowed.input))))
            if left:
                yield place, windowed, left


def _spread(trace: Trace) -> dict[int, int]:
    """The dimension that was put into a tensor, as PyTorch does to pool a series as a picture."""
    return {
        id(operation.outputs[0]): operation.args[1] % len(operation.outputs[0].shape)
        for operation in trace.operations
        if operation.name == "aten.unsqueeze"
    }


def _axes(windowed: Placed, padding: Padding, spread: int | None) -> Iterator[Unread]:
    value = windowed.input
    source, places = padding.of(value)
    added = spread is not None and spread >= windowed.first
    axes = len(windowed.windows) - added
    for number, window in enumerate(windowed.windows):
        dimension = windowed.first + number
        if dimension == spread:
            continue
        n, copied = value.shape[dimension], places.get(dimension - len(value.shape))
        if copied is None and windowed.mode in ("zeros", "constant"):
            indices, remainder = _unread(window, n)
            size, spare = n, min(remainder, window.pads(n)[1])
        else:
            size = source.shape[dimension - len(value.shape)]
            indices, spare = _unread_of_padded(window, n, size, copied, windowed.mode)
        if indices or spare:
            axis = number - (added and spread is not None and dimension > spread)
            yield Unread(axis, axes, size, window, n, indices, spare)


@functools.lru_cache(1024)
def _unread(window: Window, n: int) -> tuple[tuple[int, ...], int]:
    return window.unread(n), window.remainder(n)


def _unread_of_padded(
    window: Window, n: int, size: int, copied: Places | None, mode: str
) -> tuple[tuple[int, ...], int]:
    """The inputs that are read neither where they lie nor where padding repeats them."""
    low, high = window.pads(n)
    own = padded_places(n, low, high, mode)
    whole = own if copied is None else np.where(own < 0, -1, copied[np.maximum(own, 0)])
    bare = replace(window, padding=0)
    unread = bare.unread(len(whole))
    read = np.delete(whole, unread)
    indices = np.setdiff1d(np.arange(size), read)
    lost = int(np.isin(whole[len(whole) - bare.remainder(len(whole)) :], indices).sum())
    return tuple(indices.tolist()), bare.remainder(len(whole)) - lost


def unread(trace: Trace) -> tuple[Finding, ...]:
    """Every window that leaves rows or columns unread, and what would read them.

    A remainder that falls into padding is no loss, and not among them. An edit that keeps the size of the output comes
    first; what another size leads to is found by running the copy of the network on.

    Args:
        trace: of a network.

    Returns:
        One a layer and size.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from striate.inspection.tracing.trace import trace
        >>> found = unread(trace(nn.Sequential(nn.MaxPool2d(2)), [torch.empty(1, 3, 7, 7)]))
        >>> print(found[0].text)
        `0` (MaxPool2d) never reads the last row and the last column of its input, 7×7: kernel 2, stride 2
    """
    windowed = list(_windowed(trace))
    left = {place: axes for place, _, axes in windowed}
    found: dict[tuple[str, str], Finding] = {}
    for place, windows, axes in windowed:
        lost = tuple(axis for axis in axes if axis.indices)
        if not lost:
            continue
        layer, others = _layer(trace, place), _readers(trace, place, windows.input, lost, left)
        text = _text(trace, place, windows, lost)
        if others:
            text += f"; {' and '.join(f'`{other}`' for other in others)} read{'s' * (len(others) == 1)} them"
        if (layer, text) not in found:
            found[layer, text] = Finding(
                kind="unread",
                layer=layer,
                text=text,
                fixes=tuple(fixes(trace, place, windows, lost)),
                details={
                    "operation": spoken(trace.operations[place]),
                    "axes": [_details(axis) for axis in lost],
                    "read_by": others,
                },
            )
    return tuple(found.values())


def _details(axis: Unread) -> dict[str, object]:
    return {
        "axis": axis.axis, "size": axis.size, "low": axis.low, "high": axis.high, "gaps": axis.gaps,
        "indices": list(axis.indices), "padding": axis.padding,
    }  # fmt: skip


def _layer(trace: Trace, place: int) -> str:
    """The name of the row that an operation stands in."""
    operation = trace.operations[place]
    call = trace.calls[operation.call]
    if f"{type(call.module).__module__}.".startswith(_LAYERS):
        return call.name
    return f"{call.name}.{spoken(operation)}" if call.name else spoken(operation)


_NAMES = {1: ("position",), 2: ("row", "column"), 3: ("frame", "row", "column")}


def named(axis: Unread) -> str:
    """The word for a place along an axis: row, column, ..."""
    names = _NAMES.get(axis.axes)
    return names[axis.axis] if names else f"place of axis {axis.axis}"


def _text(trace: Trace, place: int, windowed: Placed, lost: tuple[Unread, ...]) -> str:
    operation = trace.operations[place]
    name, call = _layer(trace, place), trace.calls[operation.call]
    subject = f"`{name}` ({call.kind})" if name == call.name else f"`{name}`"
    sizes = "×".join(map(str, _input_sizes(lost, windowed)))
    windows = dict.fromkeys(_settings(axis.window) for axis in lost)
    text = f"{subject} never reads {' and '.join(map(_phrase, lost))} of its input, {sizes}: {' and '.join(windows)}"
    if any(axis.gaps for axis in lost):
        share = math.prod(1 - len(axis.indices) / axis.size for axis in lost)
        text += f"; it reads {share:.0%} of the positions"
    return text


def _input_sizes(lost: tuple[Unread, ...], windowed: Placed) -> list[int]:
    """The sizes along all axes, without padding where something is lost."""
    known = {axis.axis: axis.size for axis in lost}
    shape = windowed.input.shape[len(windowed.input.shape) - lost[0].axes :]
    return [known.get(axis, n) for axis, n in enumerate(shape)]


def _phrase(axis: Unread) -> str:
    word = named(axis)
    if axis.gaps:
        return f"{len(axis.indices)} of {axis.size} {word}s"
    parts = [
        f"the {side} {word}" if count == 1 else f"the {side} {count} {word}s"
        for side, count in (("first", axis.low), ("last", axis.high))
        if count
    ]
    return " and ".join(parts)


def _settings(window: Window) -> str:
    text = f"kernel {window.kernel}, stride {window.stride}"
    if window.padding:
        text += f", padding {window.padding}"
    return text + (f", dilation {window.dilation}" if window.dilation > 1 else "")


def _readers(
    trace: Trace, place: int, value: Value, lost: tuple[Unread, ...], left: dict[int, tuple[Unread, ...]]
) -> list[str]:
    """Layers that read, of the same tensor, what this one does not."""
    found = []
    for other, operation in enumerate(trace.operations):
        if other == place or operation.within is not None or not any(value is given for given in operation.inputs):
            continue
        if operation.name in _QUIET:
            continue
        unread = {axis.axis: set(axis.indices) for axis in left.get(other, ())}
        if not any(unread.get(axis.axis, set()) & set(axis.indices) for axis in lost):
            found.append(_layer(trace, other))
    return list(dict.fromkeys(found))[:2]
