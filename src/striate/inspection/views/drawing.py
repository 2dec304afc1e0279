"""A network as a picture to scale, in SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2, prod
from typing import TYPE_CHECKING

from striate.inspection.views.drawing_fields import draw_fields
from striate.inspection.views.outline import Kind, Station, outline
from striate.inspection.views.quantities import brief, product, short, shortened, square, stated
from striate.inspection.views.shapes import Shape, escaped, path, text, text_width

if TYPE_CHECKING:
    from striate.inspection.inspection import Inspection

_TOP, _MARGIN = 58, 24
_FACE = 168
_GAP = 8
_LABEL = 11
_MOST_SLICES = 32
_MOST_ARCS = 16
_COLOURS: dict[Kind, tuple[str, str]] = {
    "input": ("#a9b2bd", "input"),
    "convolution": ("#4f86e8", "convolution"),
    "transposed": ("#27a398", "enlarging"),
    "pooling": ("#e3953a", "pooling"),
    "connected": ("#8a6bd8", "fully connected"),
    "block": ("#4f9d63", "block of layers"),
    "merge": ("#59626e", "branches meet"),
    "other": ("#8d96a3", "other"),
}


@dataclass(slots=True)
class _Box:
    """A station's place in the picture."""

    station: Station
    shape: Shape
    x: float = 0

    @property
    def right(self) -> float:
        return self.x + self.shape.width

    @property
    def middle(self) -> float:
        return self.x + self.shape.width / 2


def render(inspection: "Inspection", layers: Sequence[str] = ()) -> str:
    """A picture of a network: its maps as boxes to scale, and what its units see of the input.

    Height and depth of a box are those of the maps, its thickness grows with the logarithm of the channels; series are
    bars, clips have a slice for every frame, and vectors are thin columns. The legend says so, and what is left out.

    Args:
        inspection: of the network.
        layers: whose receptive fields are drawn on the input; by default the last layers before the jump changes.

    Returns:
        SVG that needs no other file, in colours for light and dark.

    Raises:
        ValueError: if there is no layer of such a name.

    Example:
        >>> import striate
        >>> render(striate.inspect("lenet5"), layers=("c1", "c3")).count("<svg")
        1
    """
    stations = outline(inspection)
    boxes = _boxes(stations)
    fields, fields_width = draw_fields(inspection, layers, _TOP)
    start = _MARGIN + (fields_width + 36 if fields else 0)
    labels = _place(boxes, start)
    middle = _TOP + 16 + max((box.shape.top for box in boxes), default=0)
    arcs, left_out, above = _arcs(boxes, middle)
    shift = max(0.0, _TOP + 4 - above)
    width = max(boxes[-1].right + boxes[-1].shape.overhang + _MARGIN, labels[-1].right + _MARGIN, 560)
    body = [
        *_axis(boxes, middle),
        *(part for box in boxes for part in _solid(inspection, box, middle)),
        *arcs,
        *(part for label in labels for part in label.draw(middle)),
    ]
    low = max(label.low + 26 * (label.boxes[0].station.group is not None) for label in labels) + middle + shift
    body += _rounds(labels, middle)
    bottom = max(low, _TOP + 210 if fields else 0)
    legend, height = _legend(inspection, stations, left_out, bottom + 26, width)
    name = f"{inspection.name}: {product(inspection.input_sizes[0][1:]) if inspection.input_sizes else ''}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="striate-picture" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" font-family="system-ui, -apple-system, \'Segoe UI\', '
        f"Roboto, 'Helvetica Neue', Arial, sans-serif\">\n<title>{escaped(name)}</title>\n"
        f"<desc>{escaped(_described(stations))}</desc>\n<style>{_style()}</style>\n"
        f'<rect class="ground" width="100%" height="100%"/>\n{"".join(_head(inspection))}'
        f'{fields}\n<g transform="translate(0 {shift:.1f})">{"".join(body)}</g>\n{legend}\n</svg>\n'
    )


def _style() -> str:
    rules = [
        ".ground{fill:#fff}.ink{fill:#1c2128}.quiet{fill:#59626e}.line{stroke:#7d8794;fill:none}",
        ".edge{stroke:#fff;stroke-width:.6;stroke-linejoin:round}.view{fill:#f1f3f6;stroke:#7d8794}",
        ".field{fill:#4f86e8;fill-opacity:.13;stroke:#2f6bd8}.lead{stroke:#b9c1cb;fill:none}",
        *(f".{kind}{{fill:{colour}}}" for kind, (colour, _) in _COLOURS.items()),
    ]
    dark = (
        ".ground{fill:#14171c}.ink{fill:#e4e7ec}.quiet{fill:#a3acb8}.line{stroke:#8a94a1}.edge{stroke:#14171c}"
        ".view{fill:#1d2128;stroke:#8a94a1}.field{fill:#7fb0ff;stroke:#7fb0ff}.lead{stroke:#4a525e}.merge{fill:#a3acb8}"
    )
    # Inside of a page the classes of the picture leave those of the page alone.
    scoped = "".join(_scoped(rule) for rule in "".join(rules).split("}") if rule)
    return f"{scoped}@media (prefers-color-scheme:dark){{{''.join(map(_scoped, dark.rstrip('}').split('}')))}}}"


def _scoped(rule: str) -> str:
    return f".striate-picture {rule}}}"


def _head(inspection: "Inspection") -> Iterator[str]:
    totals = inspection.totals
    yield text(_MARGIN, 30, shortened(inspection.name, 60), size=17, style="ink", weight=600)
    sizes = " and ".join(product(size[1:]) for size in inspection.input_sizes)
    facts = (sizes, f"{stated(totals.parameters)} parameters", f"{stated(totals.macs)} MACs")
    yield text(_MARGIN, 47, " · ".join(facts), size=12)


def _boxes(stations: Sequence[Station]) -> list[_Box]:
    rank = len(stations[0].size)
    along = [station.size[-1:] if rank == 2 else station.size[-2:] for station in stations if _is_map(station, rank)]
    scale = _FACE / max((side for sides in along for side in sides), default=1)
    return [_Box(station, _shape(station, scale, rank)) for station in stations]


def _is_map(station: Station, rank: int) -> bool:
    """Whether a station has sides like those of the input; a list of features, or of tokens of a picture, has not."""
    return len(station.size) > 2 or len(station.size) == rank == 2


def _shape(station: Station, scale: float, rank: int) -> Shape:
    if station.kind == "merge":
        return Shape(14, 14, 0)
    size = station.size
    echoes = min(station.times, 3) - 1
    if len(size) < 2:
        return Shape(5, max(12 * log2(prod(size) + 1), 3), 0, echoes=echoes)
    thickness = 3 + 2.6 * log2(max(size[0], 1))
    if not _is_map(station, rank):
        return Shape(thickness, max(12 * log2(size[1] + 1), 3), 0, echoes=echoes)
    if len(size) == 2:
        return Shape(thickness, max(size[1] * scale, 2), 0, echoes=echoes)
    frames = min(prod(size[1:-2]), _MOST_SLICES)
    if frames > 1:
        thickness = frames * (1.5 + 0.35 * log2(max(size[0], 1)))
    return Shape(thickness, max(size[-2] * scale, 2), max(size[-1] * scale, 2), slices=frames, echoes=echoes)


@dataclass(slots=True)
class _Label:
    """What stands below boxes that are alike."""

    boxes: list[_Box]
    lines: tuple[str, ...]
    slot: float = 0
    x: float = 0

    @property
    def width(self) -> float:
        return max(text_width(line, _LABEL) for line in self.lines)

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def low(self) -> float:
        """How far it reaches below the middle."""
        return max(box.shape.bottom for box in self.boxes) + 10 + 14 * len(self.lines)

    def draw(self, middle: float) -> Iterator[str]:
        y = middle + max(box.shape.bottom for box in self.boxes) + 20
        first, last = self.boxes[0], self.boxes[-1]
        if len(self.boxes) > 1:
            left, right = first.x - first.shape.overhang, last.right - last.shape.overhang
            yield path(f"M{left:.1f} {y - 14:.1f}v4H{right:.1f}v-4", "lead")
        for number, line in enumerate(self.lines):
            style = "quiet" if number else "ink"
            yield text(self.x, y + 3 + 14 * number, line, size=_LABEL, style=style, anchor="middle")


def _place(boxes: Sequence[_Box], start: float) -> list[_Label]:
    """Put boxes side by side, those alike under one label, so that no labels touch."""
    labels: list[_Label] = []
    for box in boxes:
        if labels and _joins(labels[-1].boxes[-1].station, box.station):
            labels[-1].boxes.append(box)
        else:
            labels.append(_Label([box], _lines(box.station)))
    x, overhang = start, 0.0
    for label in labels:
        inner = sum(box.shape.width for box in label.boxes) + _GAP * (len(label.boxes) - 1)
        own = label.boxes[0].shape.overhang
        # Where a large box stands beside a small one, it leans over the small one's label.
        x += max(overhang, own) if abs(own - overhang) > 1 else 0
        overhang = own
        slot = max(inner, label.width + 10 if label.lines else 0)
        at = x + (slot - inner) / 2
        label.x = x + slot / 2 - (own if len(label.boxes) > 1 else 0) / 2
        for box in label.boxes:
            box.x = at
            at += box.shape.width + _GAP
        x += slot + _GAP
    return labels


def _joins(before: Station, station: Station) -> bool:
    plain = before.times == station.times == 1 and before.group == station.group
    return plain and before.alike == station.alike and "merge" not in (before.kind, station.kind)


def _lines(station: Station) -> tuple[str, ...]:
    """Size, operator and window."""
    if station.kind == "merge":
        return (station.operator,)
    size = product(station.size) or "1"
    if station.kind == "input":
        return (size, "input")
    times = f" ×{station.times}" if station.times > 1 else ""
    return (size, shortened(station.operator, 18) + times, *((brief(station.window),) if station.window else ()))


def _axis(boxes: Sequence[_Box], middle: float) -> Iterator[str]:
    """A line from each box to the next one, where that reads it."""
    for number, box in enumerate(boxes[1:], start=1):
        before = boxes[number - 1]
        if number - 1 in box.station.sources:
            yield path(f"M{before.right:.1f} {middle:.1f}H{box.x:.1f}", "line")


def _solid(inspection: "Inspection", box: _Box, middle: float) -> Iterator[str]:
    station = box.station
    yield f"<g><title>{escaped(_told(inspection, station))}</title>"
    if station.kind == "merge":
        x = box.middle
        yield f'<circle class="merge" cx="{x:.1f}" cy="{middle:.1f}" r="7"/>'
        added = station.operator in ("add", "sum", "mul")
        strokes = f"M{x - 4:.1f} {middle:.1f}h8m-4-4v8" if added else f"M{x - 2:.1f} {middle - 4:.1f}v8m4-8v8"
        if station.operator == "mul":
            strokes = f"M{x - 3:.1f} {middle - 3:.1f}l6 6m0-6l-6 6"
        yield f'<path d="{strokes}" stroke="#fff" stroke-width="1.5" fill="none"/>'
    else:
        yield from box.shape.draw(box.x, middle, station.kind)
    yield "</g>"


def _told(inspection: "Inspection", station: Station) -> str:
    """What a box says when it is pointed at."""
    layers = [inspection.tree[place] for place in station.places]
    if not layers:
        return f"input: {product(station.size)}"
    first, last = layers[0], layers[-1]
    many = station.times > 1 or station.rounds > 1 or len(layers) > 1
    name = f"{first.name} to {last.name}" if many else first.name
    entering = f"{product(station.enters)} → " if station.enters else ""
    macs = [layer.macs for layer in layers]
    known = sum(number for number in macs if number is not None)
    lines = [
        f"{name}: {station.operator} {station.window}".rstrip(),
        f"{entering}{product(station.size)}",
        f"{short(sum(layer.parameters for layer in layers))} parameters, "
        f"{'at least ' if None in macs else ''}{short(known)} MACs",
    ]
    field = next((layer.receptive_field for layer in reversed(layers) if layer.receptive_field), None)
    if field:
        lines.append(f"receptive field {square(field)}")
    return "\n".join(lines)


def _arcs(boxes: Sequence[_Box], middle: float) -> tuple[list[str], int, float]:
    """Lines over the boxes, where one reads another than that before it; how many are left out; how high they go."""
    pairs = [(source, place) for place, box in enumerate(boxes) for source in box.station.sources if source < place - 1]
    pairs.sort(key=lambda pair: (pair[1] - pair[0], pair))
    levels: list[tuple[int, int, float]] = []
    drawn = []
    tops = [middle - box.shape.top for box in boxes]
    for source, place in pairs[:_MOST_ARCS]:
        under = [y for first, last, y in levels if first < place and source < last]
        y = min([*tops[source : place + 1], *under]) - 12
        levels.append((source, place, y))
        start, end = boxes[source].middle, boxes[place].middle
        low, high = middle - boxes[source].shape.height / 2, middle - boxes[place].shape.height / 2
        drawn.append(
            path(
                f"M{start:.1f} {low:.1f}V{y + 6:.1f}q0-6 6-6H{end - 6:.1f}q6 0 6 6V{high - 1:.1f}m-3.5-5l3.5 5l3.5-5",
                "line",
            )
        )
    return drawn, len(pairs) - len(drawn), min((y for *_, y in levels), default=min(tops))


def _rounds(labels: Sequence[_Label], middle: float) -> Iterator[str]:
    """Brackets below groups that run several times."""
    groups: dict[int, list[_Label]] = {}
    for label in labels:
        group = label.boxes[0].station.group
        if group is not None:
            groups.setdefault(group, []).append(label)
    for inside in groups.values():
        y = middle + max(label.low for label in inside) + 10
        left = min(label.x - label.width / 2 for label in inside)
        right = max(label.right for label in inside)
        yield path(f"M{left:.1f} {y - 8:.1f}v4H{right:.1f}v-4", "line")
        words = f"×{inside[0].boxes[0].station.rounds}"
        yield text((left + right) / 2, y + 10, words, size=_LABEL, style="ink", anchor="middle", weight=600)


def _legend(
    inspection: "Inspection", stations: Sequence[Station], left_out: int, y: float, width: float
) -> tuple[str, float]:
    """The colours, and what the picture is and leaves out."""
    parts, x = [], float(_MARGIN)
    for kind, (_, word) in _COLOURS.items():
        if any(station.kind == kind for station in stations):
            corner = 6 if kind == "merge" else 2
            parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{y - 9:.1f}" width="11" height="11" rx="{corner}"/>')
            parts.append(text(x + 17, y, word, size=_LABEL))
            x += 17 + text_width(word, _LABEL) + 20
    line = ""
    y += 8
    for word in " ".join(_notes(inspection, stations, left_out)).split():
        if text_width(f"{line} {word}", _LABEL) > min(width - 2 * _MARGIN, 900):
            y += 15
            parts.append(text(_MARGIN, y, line, size=_LABEL))
            line = ""
        line = f"{line} {word}".strip()
    y += 15
    parts.append(text(_MARGIN, y, line, size=_LABEL))
    return "".join(parts), y + 20


def _notes(inspection: "Inspection", stations: Sequence[Station], left_out: int) -> Iterator[str]:
    rank = len(stations[0].size)
    drawn = [station for station in stations if station.kind != "merge"]
    ranks = {len(station.size) for station in drawn if _is_map(station, rank)}
    if max(ranks, default=0) > 2:
        yield "Height and depth of a box are to scale, its thickness grows with the logarithm of the channels."
    if 2 in ranks:
        yield "The height of a bar is its length to scale, its thickness grows with the logarithm of the channels."
    if max(ranks, default=0) > 3:
        yield "Clips have a slice for every frame."
    if not all(_is_map(station, rank) for station in drawn):
        yield "The height of a column grows with the logarithm of its length."
    if any(station.kind == "block" for station in stations):
        yield "What lies in a block is left out."
    if any(station.times > 1 or station.rounds > 1 for station in stations):
        yield "×n: n alike, one behind the other; the first may read another size."
    if any(len(station.places) > station.times for station in stations):
        yield "Activations, normalisation and what else changes no size are left out."
    if any(source < place - 1 for place, station in enumerate(stations) for source in station.sources):
        yield "A line over boxes leads to what reads a box that is not the one before it."
    if left_out:
        yield f"{left_out} more such lines are left out."
    if len(inspection.input_sizes) > 1:
        yield f"Of {len(inspection.input_sizes)} inputs the first is drawn."
    if inspection.failure is not None:
        yield "The network fails behind the last box."


def _described(stations: Sequence[Station]) -> str:
    """The picture in words."""
    return "; ".join(" ".join(filter(None, (*_lines(station)[::-1],))) for station in stations)
