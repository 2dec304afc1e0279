"""The inputs that one unit of a deep layer can see."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from striate.geometry.window import Window


@dataclass(frozen=True, slots=True)
class Transposed:
    """Marks a window as that of a transposed layer in `receptive_field`.

    Args:
        window: the window of the layer; its padding crops the output.
        output_padding: places added to the high end of the output.

    Example:
        >>> receptive_field([Window(3, stride=2, padding=1), Transposed(Window(4, stride=2, padding=1))]).jump
        Fraction(1, 1)
    """

    window: Window
    output_padding: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptiveField:
    """The part of the input that the units of a layer see; input ``i`` is centred at coordinate ``i``.

    Args:
        size: inputs from the first to the last that one unit can see, away from the borders. After transposed layers
            units may differ: it is that of the unit that sees furthest.
        jump: inputs from the centre of one unit's field to the next.
        start: the centre of the first unit's field; below 0 where it lies in the padding, a half where a field has an
            even size.

    Example:
        >>> receptive_field([Window(2, stride=2)])
        ReceptiveField(size=2, jump=Fraction(2, 1), start=Fraction(1, 2))
    """

    size: int
    jump: Fraction
    start: Fraction


def receptive_field(windows: Iterable[Window | Transposed], size: int | None = None) -> ReceptiveField:
    """The receptive field of a chain of layers along one axis.

    A window adds ``(extent - 1) * jump`` to the field and multiplies the jump by its stride. A transposed layer divides
    the jump by its stride, and its units differ in what they see: from the first such layer on, the field is found by
    following the taps of every unit of one period. The centres are then those of an even grid, around which the fields
    of single units lie.

    Args:
        windows: the layers, the one nearest the input first.
        size: the input size, needed only where a padding depends on it: ``same_upper`` and ``same_lower`` with a stride
            above 1.

    Returns:
        The field, with exact fractions for jump and start.

    Raises:
        TypeError: if a layer is neither a window nor a transposed one.
        ValueError: if a padding depends on the input size and none is given, or a window does not fit its input.

    Example:
        >>> receptive_field([Window(3)] * 3).size == receptive_field([Window(7)]).size == 7
        True
        >>> receptive_field([Window(7, stride=2, padding=3), Window(3, stride=2, padding=1)])
        ReceptiveField(size=11, jump=Fraction(4, 1), start=Fraction(0, 1))
    """
    field, shared_jump = 1, 1
    jump, start = Fraction(1), Fraction(0)
    differing: list[tuple[Window | Transposed, int]] = []
    for layer in windows:
        if isinstance(layer, Transposed):
            window = layer.window
            low, _ = window.crops()
            jump /= window.stride
            start += jump * (low - Fraction(window.extent - 1, 2))
            size = None if size is None else window.transposed_output_size(size, layer.output_padding)
        elif not isinstance(layer, Window):
            raise TypeError(f"windows must hold Window or Transposed, got {layer!r}")
        else:
            low, _ = layer.pads(size)
            start += jump * (Fraction(layer.extent - 1, 2) - low)
            jump *= layer.stride
            size = None if size is None else layer.output_size(size)
        if differing or isinstance(layer, Transposed):
            differing.append((layer, low))
        else:
            field += (layer.extent - 1) * shared_jump
            shared_jump *= layer.stride
    span = _largest_span(differing)
    return ReceptiveField(size=field + (span - 1) * shared_jump if span else 0, jump=jump, start=start)


def _largest_span(layers: Sequence[tuple[Window | Transposed, int]]) -> int:
    """The most inputs, from the first to the last, that a unit reads through layers given with their low places."""
    spans = [0]
    for unit in range(_period(layers)):
        seen = {unit}
        for layer, low in reversed(layers):
            seen = _inputs(layer, low, seen)
        if seen:
            spans.append(max(seen) - min(seen) + 1)
    return max(spans)


def _period(layers: Sequence[tuple[Window | Transposed, int]]) -> int:
    """After how many units of the last layer the pattern of what they read repeats."""
    period, jump = 1, Fraction(1)
    for layer, _ in reversed(layers):
        jump = jump / layer.window.stride if isinstance(layer, Transposed) else jump * layer.stride
        period = lcm(period, jump.denominator)
    return period


def _inputs(layer: Window | Transposed, low: int, units: set[int]) -> set[int]:
    """The inputs of one layer that any of the units reads, borders aside."""
    if isinstance(layer, Transposed):
        stride, window = layer.window.stride, layer.window
        places = {unit + low - tap for unit in units for tap in range(0, window.extent, window.dilation)}
        return {place // stride for place in places if place % stride == 0}
    return {unit * layer.stride - low + tap for unit in units for tap in range(0, layer.extent, layer.dilation)}
