"""Rows of pictures with their scales, as PNG files of 256 colours."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree
from torch import Tensor

GREY, POSITIVE, SIGNED = "gray", "cividis", "PuOr_r"
# Colours that the colour-blind tell apart.
BARS = ("#1b1b1b", "#0072b2", "#e69f00")
_INK = "#22272e"


@dataclass(frozen=True, slots=True)
class Panel:
    """One map with its scale.

    Args:
        title: a line or two above it.
        values: `(..., H, W)` with one map.
        low: the value of the first colour; None for the smallest of the map.
        high: the value of the last colour; None for the largest.
        colours: GREY for pictures, POSITIVE for numbers of at least 0, SIGNED for those of both signs, which is
            centred at 0.
        numbered: whether each place shows its number, for kernels.
    """

    title: str
    values: Tensor
    low: float | None = None
    high: float | None = None
    colours: str = GREY
    numbered: bool = False


def draw(rows: Sequence[Sequence[Panel | None]], *, width: float = 2.3) -> bytes:
    """Draw panels in rows.

    Args:
        rows: panels, None where there is none.
        width: of a panel with its scale, in inches.
    """
    columns = max(map(len, rows))
    heights = [_height([panel for panel in row if panel is not None], width) for row in rows]
    figure = Figure(figsize=(width * columns, sum(heights)), dpi=110, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.04)
    grid = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes_row, row in zip(grid, rows, strict=True):
        for axes, panel in zip(axes_row, [*row, *[None] * (columns - len(row))], strict=True):
            axes.set(xticks=[], yticks=[])
            if panel is None:
                axes.set_axis_off()
            else:
                _draw(figure, axes, panel)
    return png(figure)


def _height(panels: Sequence[Panel], width: float) -> float:
    """Of the highest map and the longest title of a row, in inches."""
    highest = max(panel.values.shape[-2] / panel.values.shape[-1] for panel in panels)
    lines = max(panel.title.count("\n") + bool(panel.title) for panel in panels)
    return (width - 0.6) * highest + 0.17 * lines + 0.12


def _draw(figure: Figure, axes: Axes, panel: Panel) -> None:
    values = panel.values.detach().reshape(panel.values.shape[-2:]).double().numpy()
    low = values.min() if panel.low is None else panel.low
    high = values.max() if panel.high is None else panel.high
    if panel.colours == SIGNED:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    high = high if high > low else low + 1
    # Few places are shown as squares; the many of a photograph would not fall on whole pixels.
    interpolation = "nearest" if max(values.shape) <= 64 else "auto"
    image = axes.imshow(values, cmap=panel.colours, vmin=low, vmax=high, interpolation=interpolation)
    axes.set_title(panel.title, fontsize=9, color=_INK, pad=4)
    if panel.numbered:
        for (y, x), value in np.ndenumerate(values):
            dark = abs(value - (low + high) / 2) > 0.3 * (high - low)
            axes.text(x, y, f"{value:.3g}", ha="center", va="center", color="white" if dark else _INK, fontsize=9)
        return
    below, above = values.min() < low - 1e-9, values.max() > high + 1e-9
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.03, aspect=25, extend=extend)
    bar.locator = MaxNLocator(4)
    bar.update_ticks()
    bar.ax.tick_params(labelsize=7, length=2, colors=_INK)
    bar.set_label("value", fontsize=7, color=_INK, labelpad=4)
    bar.outline.set_linewidth(0.4)


def png(figure: Figure) -> bytes:
    """The figure in the colours of the maps, without date or program, so that equal pictures are equal files."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[:, :, :3]
    palette = _palette()
    found, places = np.unique(drawn.reshape(-1, 3), axis=0, return_inverse=True)
    nearest = cKDTree(palette).query(found)[1].astype(np.uint8)
    picture = Image.fromarray(nearest[places].reshape(drawn.shape[:2]), mode="P")
    picture.putpalette(palette.tobytes())
    file = BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return file.getvalue()


@functools.cache
def _palette() -> NDArray[np.uint8]:
    """256 colours: greys, those of both maps, and those of bars."""
    shares = {GREY: 96, SIGNED: 80, POSITIVE: 77}
    colours = [colormaps[name](np.linspace(0, 1, share))[:, :3] for name, share in shares.items()]
    colours.append(np.array([to_rgb(colour) for colour in BARS]))
    return (255 * np.concatenate(colours)).round().astype(np.uint8)
