"""The figures of a report as PNG files, drawn by matplotlib without its global state."""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from striate.training.report.curves import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {"train": "#b45309", "validation": "#1d5fbf"}
_INK, _FAINT = "#22272e", "#d9dde3"
_NUMBERED_CLASSES = 30
_NAMED_CLASSES = 60


def curves_png(panels: Sequence[Panel], best_epoch: int | None) -> bytes:
    """Draw the curves of loss and accuracy side by side.

    Args:
        panels: What to draw; at least one.
        best_epoch: The epoch to mark, or None.

    Returns:
        The bytes of a PNG file.

    Example:
        >>> from striate.training.report.curves import panels
        >>> curves_png(panels([{"epoch": 1, "train_loss": 0.5}]), 1)[1:4]
        b'PNG'
    """
    figure = _figure(5.2 * len(panels), 3.6)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for curve in panel.curves:
            for index, stroke in enumerate(curve.strokes):
                axes.plot(
                    *zip(*stroke, strict=True),
                    color=_COLOURS[curve.part],
                    linewidth=2 if curve.part == "validation" else 1.5,
                    marker="o" if len(stroke) == 1 else "",
                    label=None if index else curve.part,
                )
        if best_epoch is not None and panel.span[0] <= best_epoch <= panel.span[1]:
            axes.axvline(best_epoch, color=_INK, linewidth=1, linestyle=":", label=f"best epoch: {best_epoch}")
        axes.set_yscale("log" if panel.logarithmic else "linear")
        axes.set(xlim=panel.span, ylim=panel.limits, xlabel="epoch", title=panel.title, xticks=panel.epoch_ticks)
        axes.set_yticks(panel.ticks, [f"{tick:.10g}" for tick in panel.ticks])
        axes.set_yticks([], minor=True)
        axes.grid(axis="y", color=_FAINT, linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.legend(frameon=False)
    return _png(figure)


def confusion_png(confusion: NDArray[np.int64], classes: Sequence[str]) -> bytes:
    """Draw a confusion matrix, coloured by the share of the true class.

    Args:
        confusion: Number of samples by true class (row) and predicted class (column), `(classes, classes)`.
        classes: Names of the classes; numbers are written in the cells up to 30 classes, names up to 60.

    Returns:
        The bytes of a PNG file.

    Example:
        >>> confusion_png(np.eye(2, dtype=np.int64), ["cat", "dog"])[1:4]
        b'PNG'
    """
    side = min(3.0 + 0.36 * len(classes), 14.0)
    figure = _figure(side + 1, side)
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(length=0)
    axes.spines[:].set_color(_FAINT)
    if len(classes) <= _NAMED_CLASSES:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(range(len(classes)), [drawable(name) for name in classes], parse_math=False)
        if max(map(len, classes)) > 3:
            axes.tick_params(axis="x", rotation=90)
    if len(classes) <= _NUMBERED_CLASSES:
        for true, predicted in np.argwhere(confusion):
            colour = "white" if shares[true, predicted] > 0.4 else _INK
            count = f"{confusion[true, predicted]:,}"
            axes.text(predicted, true, count, ha="center", va="center", color=colour, fontsize=8)
    return _png(figure)


def mistakes_png(pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str]) -> bytes:
    """Draw pictures with captions as a contact sheet of six columns.

    Args:
        pictures: `(H, W, C)` each, with C 1 or 3; at least one.
        captions: A text below each.

    Returns:
        The bytes of a PNG file.

    Example:
        >>> mistakes_png([np.zeros((8, 8, 1), np.uint8)], ["3 → 8"])[1:4]
        b'PNG'
    """
    columns = min(6, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = _figure(1.7 * columns, 2.25 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, picture, caption in zip(grid, pictures, captions, strict=False):
        image = picture[:, :, 0] if picture.shape[2] == 1 else picture
        smoothing = "auto" if max(picture.shape) > 128 else "nearest"
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation=smoothing)
        axes.set_xlabel("\n".join(map(drawable, caption.split("\n"))), fontsize=7, parse_math=False)
    return _png(figure)


def filters_png(sheet: NDArray[np.uint8], legend: str) -> bytes:
    """Draw a sheet of filters with its legend.

    Args:
        sheet: Pixels `(H, W, 4)`.
        legend: What is shown, at what scale.

    Returns:
        The bytes of a PNG file.

    Example:
        >>> filters_png(np.zeros((8, 8, 4), np.uint8), "6 filters")[1:4]
        b'PNG'
    """
    height, width = sheet.shape[:2]
    size = max(6.0, width / 100)
    figure = _figure(size, min(size * height / width, 40.0) + 1)
    axes = figure.subplots()
    axes.imshow(sheet, interpolation="nearest")
    axes.axis("off")
    figure.suptitle(legend, fontsize=8, wrap=True)
    return _png(figure)


def drawable(text: str, limit: int = 28) -> str:
    r"""Make a text drawable: what the font of the figures lacks becomes its code, and long texts are cut.

    Args:
        text: Any text.
        limit: The largest length of the result.

    Returns:
        The text without characters that would raise a warning.

    Example:
        >>> drawable("naïve 猫")
        'naïve \\u732b'
    """
    known = _characters()
    shown = "".join(c if ord(c) in known else c.encode("ascii", "backslashreplace").decode() for c in text)
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


@cache
def _characters() -> frozenset[int]:
    """Code points of the font that matplotlib draws with."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties())).get_charmap())


def _figure(width: float, height: float) -> "Figure":
    """A figure of a size in inches that belongs to no window and no global list."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=144, layout="constrained", facecolor="white")


def _png(figure: "Figure") -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
