"""What units of a network see of its input, to scale."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from striate.inspection.report import Layer
from striate.inspection.views.quantities import product, shortened, square
from striate.inspection.views.shapes import path, text, text_width

if TYPE_CHECKING:
    from striate.inspection.inspection import Inspection

_LEFT, _SIDE, _ROW = 24, 150, 17
_MOST = 6


def draw_fields(inspection: "Inspection", layers: Sequence[str], top: float) -> tuple[str, float]:
    """The input with the fields of the middle units of some layers on it.

    Args:
        inspection: of a network.
        layers: their names; if empty, the last before the jump changes, at most six.
        top: where the picture begins.

    Returns:
        Elements, and how wide they are; nothing if no layer has a field.

    Raises:
        ValueError: if there is no layer of such a name, or its units do not lie along the axes of the input.
    """
    if not inspection.input_sizes:
        return "", 0
    sides = [inspection.input_sizes[0][axis] for axis in inspection.fields.axes]
    drawable = [layer for layer in inspection.layers if _is_ordered(layer, len(sides))]
    chosen = [inspection.layer(name) for name in layers] if layers else _chosen(drawable)
    for layer in chosen:
        if not _is_ordered(layer, len(sides)):
            raise ValueError(
                f"the units of {layer.name!r} do not lie along the axes of the input: it has no field to draw"
            )
    if not chosen:
        return "", 0
    rows = [f"{square(layer.receptive_field)}  {shortened(layer.name, 22)}" for layer in reversed(chosen)]
    beyond = [all(f >= s for f, s in zip(layer.receptive_field or (), sides, strict=False)) for layer in chosen]
    rows = [f"{row}*" if over else row for row, over in zip(rows, reversed(beyond), strict=True)]
    width = _SIDE + 24 + max(text_width(row, 11) for row in rows)
    draw = _segments if len(sides) == 1 else _squares
    title = f"What a unit sees of the input, {product(sides)}"
    parts = [text(_LEFT, top + 22, title, size=12, style="ink"), *draw(chosen, rows, sides, top + 34)]
    if any(beyond):
        parts.append(text(_LEFT, top + 34 + _SIDE + 20, "* as large as the input, or larger", size=11))
    return f"<g>{''.join(parts)}</g>", max(width, text_width(title, 12))


def _is_ordered(layer: Layer, axes: int) -> bool:
    """Whether the units of a layer lie along the axes of the input."""
    known = layer.receptive_field is not None and layer.jump is not None and layer.start is not None
    return known and axes > 0 and len(layer.output_size or ()) == axes + 2


def _chosen(layers: Sequence[Layer]) -> list[Layer]:
    """The last layer before each change of the jump, of at most six steps."""
    seen = [layer for layer in layers if max(layer.receptive_field or (0,)) > 1 and any(layer.jump or ())]
    steps = [
        layer
        for layer, after in zip_longest(seen, seen[1:])
        if after is None or max(after.jump or (0,)) > max(layer.jump or (0,))
    ]
    if len(steps) <= _MOST:
        return steps
    return [steps[round(number * (len(steps) - 1) / (_MOST - 1))] for number in range(_MOST)]


def _span(layer: Layer, axis: int, size: int) -> tuple[float, float]:
    """First and last edge of the middle unit's field, cut at the edges of the input."""
    assert layer.receptive_field is not None and layer.jump is not None and layer.start is not None
    assert layer.output_size is not None
    unit = layer.output_size[2 + axis] // 2
    centre = float(layer.start[axis] + layer.jump[axis] * unit)
    half = layer.receptive_field[axis] / 2
    return max(centre + 0.5 - half, 0), min(centre + 0.5 + half, size)


def _squares(layers: Sequence[Layer], rows: Sequence[str], sides: Sequence[int], top: float) -> Iterator[str]:
    """Squares on a picture; of clips, on one frame."""
    scale = _SIDE / max(sides[-2:])
    height, width = (side * scale for side in sides[-2:])
    yield f'<rect class="view" x="{_LEFT}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    last = len(sides) - 1
    for row, (layer, words) in enumerate(zip(reversed(layers), rows, strict=True)):
        (y, y_end), (x, x_end) = _span(layer, last - 1, sides[-2]), _span(layer, last, sides[-1])
        x, x_end, y, y_end = _LEFT + x * scale, _LEFT + x_end * scale, top + y * scale, top + y_end * scale
        yield (
            f'<rect class="field" x="{x:.1f}" y="{y:.1f}" width="{max(x_end - x, 0.5):.1f}" '
            f'height="{max(y_end - y, 0.5):.1f}"/>'
        )
        line = top + 9 + row * _ROW
        yield path(f"M{x_end:.1f} {y:.1f}L{_LEFT + _SIDE + 12} {line - 4:.1f}h6", "lead")
        yield text(_LEFT + _SIDE + 22, line, words, size=11)


def _segments(layers: Sequence[Layer], rows: Sequence[str], sides: Sequence[int], top: float) -> Iterator[str]:
    """Pieces of a series, one below the other."""
    scale = _SIDE / sides[0]
    yield f'<rect class="view" x="{_LEFT}" y="{top:.1f}" width="{_SIDE}" height="10"/>'
    for row, (layer, words) in enumerate(zip(reversed(layers), rows, strict=True)):
        low, high = _span(layer, 0, sides[0])
        y = top + 18 + row * _ROW
        yield (
            f'<rect class="field" x="{_LEFT + low * scale:.1f}" y="{y:.1f}" '
            f'width="{max((high - low) * scale, 1):.1f}" height="8"/>'
        )
        yield text(_LEFT + _SIDE + 22, y + 8, words, size=11)
