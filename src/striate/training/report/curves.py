"""Curves of loss and accuracy: what to draw, and how to draw it as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

_WIDTH, _HEIGHT = 440, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 22, 24
_HOVER_LIMIT = 400

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The course of one quantity in one part of the data.

    Args:
        part: "train" or "validation".
        strokes: Runs of (epoch, value) without a gap; all values are finite.

    Example:
        >>> Curve(part="train", strokes=(((1, 0.5), (2, 0.25)),)).last
        (2, 0.25)
    """

    part: str
    strokes: tuple[tuple[Point, ...], ...]

    @property
    def points(self) -> list[Point]:
        """All points, in order."""
        return [point for stroke in self.strokes for point in stroke]

    @property
    def last(self) -> Point:
        """The last point."""
        return self.strokes[-1][-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One quantity over the epochs: its curves and its axes.

    Args:
        title: What is drawn, with its unit.
        curves: The curves; at least one.
        logarithmic: Whether the vertical axis is logarithmic.
        span: First and last epoch of the axis.
        limits: Lowest and highest value of the axis; points may lie outside.
        epoch_ticks: Epochs to mark.
        ticks: Values to mark.

    Example:
        >>> panels([{"epoch": 1, "train_loss": 0.5}])[0].title
        'Loss'
    """

    title: str
    curves: tuple[Curve, ...]
    logarithmic: bool
    span: tuple[float, float]
    limits: tuple[float, float]
    epoch_ticks: tuple[float, ...]
    ticks: tuple[float, ...]


def panels(epochs: Sequence[Mapping[str, float]]) -> list[Panel]:
    """Plan the panels for loss and accuracy.

    Loss is logarithmic where it is positive and spans more than a factor of ten. Accuracy is linear in per cent; the
    first tenth of the epochs may start below the axis, so that the rest can be told apart. Values that are missing or
    not finite are gaps.

    Args:
        epochs: Rows with `epoch` and any of `train_loss`, `val_loss`, `train_accuracy`, `val_accuracy`.

    Returns:
        The panels that have something to draw.

    Example:
        >>> [panel.logarithmic for panel in panels([{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 0.02}])]
        [True]
    """
    drawn = []
    for title, key, factor in (("Loss", "loss", 1), ("Accuracy, %", "accuracy", 100)):
        curves = [
            Curve(part=part, strokes=strokes)
            for part, prefix in (("train", "train"), ("validation", "val"))
            if (strokes := _strokes(epochs, f"{prefix}_{key}", factor))
        ]
        if curves:
            drawn.append(_panel(title, curves))
    return drawn


def svg(panel: Panel, best_epoch: int | None) -> str:
    """Draw a panel as an SVG element that takes its colours and fonts from the style sheet around it.

    Args:
        panel: What to draw.
        best_epoch: The epoch to mark, or None.

    Returns:
        The element; it holds no identifiers, so that several fit in one page.

    Example:
        >>> svg(panels([{"epoch": 1, "train_loss": 0.5}])[0], None).startswith("<svg")
        True
    """
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def across(epoch: float) -> float:
        return width * (epoch - panel.span[0]) / (panel.span[1] - panel.span[0])

    def down(value: float) -> float:
        low, high, value = (log10(v) if panel.logarithmic else v for v in (*panel.limits, value))
        return height * (high - value) / (high - low)

    axes, lines = [], []
    for tick in panel.ticks:
        y = _TOP + down(tick)
        axes.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        axes.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.10g}</text>')
    for tick in panel.epoch_ticks:
        axes.append(
            f'<text x="{_LEFT + across(tick):.1f}" y="{_TOP + height + 17}" text-anchor="middle">{tick:g}</text>'
        )
    axes.append(f'<text x="{_LEFT - 8}" y="{_TOP + height + 17}" text-anchor="end">epoch</text>')
    if best_epoch is not None and panel.span[0] <= best_epoch <= panel.span[1]:
        x, anchor = across(best_epoch), "end" if 2 * across(best_epoch) > width else "start"
        axes.append(f'<text class="best" x="{_LEFT + x:.1f}" y="13" text-anchor="{anchor}">best: {best_epoch}</text>')
        lines.append(f'<line class="best" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>')
    for curve in panel.curves:
        for stroke in curve.strokes:
            places = [(across(epoch), down(value)) for epoch, value in stroke]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            lines.append(f'<polyline class="{curve.part}" points="{path}"/>')
            for (x, y), (epoch, _) in zip(places, stroke, strict=True):
                if len(stroke) == 1 or (epoch == best_epoch and curve.part == "validation"):
                    lines.append(f'<circle class="{curve.part}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
    lines += _hover_bands(panel, width, height)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(describe(panel))}">{"".join(axes)}'
        f'<svg x="{_LEFT}" y="{_TOP}" width="{width + _RIGHT}" height="{height}" overflow="hidden">'
        f"{''.join(lines)}</svg></svg>"
    )


def describe(panel: Panel) -> str:
    """Say in words what a panel shows.

    Args:
        panel: What is drawn.

    Returns:
        One sentence, for readers who do not see the picture.

    Example:
        >>> describe(panels([{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.4}])[0])
        'Loss by epoch: train from 0.5 at epoch 1 to 0.4 at epoch 2.'
    """
    courses = []
    for curve in panel.curves:
        (first, start), (last, end) = curve.points[0], curve.last
        courses.append(f"{curve.part} from {start:.4g} at epoch {first:g} to {end:.4g} at epoch {last:g}")
    return f"{panel.title} by epoch: {'; '.join(courses)}."


def _strokes(epochs: Sequence[Mapping[str, float]], key: str, factor: float) -> tuple[tuple[Point, ...], ...]:
    """Cut a column of the rows at its gaps."""
    strokes: list[list[Point]] = [[]]
    for row in epochs:
        value = row.get(key)
        if value is not None and isfinite(value):
            strokes[-1].append((row["epoch"], value * factor))
        elif strokes[-1]:
            strokes.append([])
    return tuple(tuple(stroke) for stroke in strokes if stroke)


def _panel(title: str, curves: Sequence[Curve]) -> Panel:
    """Choose the axes of a panel."""
    from matplotlib.ticker import MaxNLocator

    points = [point for curve in curves for point in curve.points]
    first, last = min(epoch for epoch, _ in points), max(epoch for epoch, _ in points)
    values = [value for _, value in points]
    low, high = min(values), max(values)
    logarithmic = title == "Loss" and low > 0 and high > 10 * low
    if logarithmic:
        limits = (low / 1.15, high * 1.15)
        ticks: Sequence[float] = _decades(*limits)
    else:
        if title != "Loss":
            settled = [value for epoch, value in points if epoch >= first + (last - first) // 10]
            low = min(settled, default=low)
        margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        limits = (low - margin, high + margin)
        ticks = MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(*limits)
    span = (first, last) if last > first else (first - 1, first + 1)
    epoch_ticks = MaxNLocator(nbins=6, integer=True).tick_values(*span)
    return Panel(
        title=title,
        curves=tuple(curves),
        logarithmic=logarithmic,
        span=span,
        limits=limits,
        epoch_ticks=tuple(float(tick) for tick in epoch_ticks if span[0] <= tick <= span[1]),
        ticks=tuple(float(tick) for tick in ticks if limits[0] <= tick <= limits[1]),
    )


def _decades(low: float, high: float) -> list[float]:
    """Round values from below `low` to above `high` for a logarithmic axis: about seven, or 1, 2, 5 in few decades."""
    first, last = floor(log10(low)), ceil(log10(high))
    digits = (1, 2, 5) if last - first <= 4 else (1,)
    return [float(f"{digit}e{power}") for power in range(first, last + 1, 1 + (last - first) // 8) for digit in digits]


def _hover_bands(panel: Panel, width: int, height: int) -> list[str]:
    """One transparent band an epoch whose tooltip gives the values; none where they would be too narrow to meet."""
    readings: dict[float, list[str]] = {}
    for curve in panel.curves:
        for epoch, value in curve.points:
            readings.setdefault(epoch, []).append(f"{curve.part} {value:.4g}")
    if len(readings) > _HOVER_LIMIT:
        return []
    step = width / (panel.span[1] - panel.span[0])
    return [
        f'<rect x="{(epoch - panel.span[0] - 0.5) * step:.1f}" width="{step:.1f}" height="{height}">'
        f"<title>epoch {epoch:g}: {', '.join(texts)}</title></rect>"
        for epoch, texts in readings.items()
    ]
