"""Every pooling of the photograph, and its pyramid as bars."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

import striate
from pictures_page.drawing import BARS, Panel, draw, png
from pictures_page.inputs import landscape, tower
from pictures_page.section import Section

WINDOW = 8
LEVELS = (1, 2, 4)


def poolings() -> Section:
    picture = tower()
    pooled = {
        "maximum": striate.max_pool2d(picture, WINDOW),
        "average": striate.avg_pool2d(picture, WINDOW),
        "Gaussian": striate.gaussian_pool2d(picture, WINDOW),
        "L2": striate.lp_pool2d(picture, 2, WINDOW),
        "adaptive maximum": striate.adaptive_max_pool2d(picture, (5, 4)),
        "adaptive average": striate.adaptive_avg_pool2d(picture, (5, 4)),
        "every 4th pixel": picture[..., ::4, ::4],
        "blur pooling": striate.blur_pool2d(striate.blur_pool2d(picture)),
    }
    titles = {
        "L2": f"L2, {WINDOW}×{WINDOW}",
        "adaptive maximum": "adaptive maximum to 5×4",
        "adaptive average": "adaptive average to 5×4",
        "every 4th pixel": "every 4th pixel, not blurred",
        "blur pooling": "blur pooling by 2, twice",
    }
    panels = [
        Panel(titles.get(name, f"{name}, {WINDOW}×{WINDOW}"), maps, 0, WINDOW if name == "L2" else 1)
        for name, maps in pooled.items()
    ]
    first = Panel("the picture", picture, 0, 1)
    shown = [[first, *panels[:4]], [None, *panels[4:]]]
    numbers = {f"mean, {name}": float(maps.mean()) for name, maps in pooled.items()} | {
        "mean": float(picture.mean()),
        "stripes of every 4th pixel": _stripes(pooled["every 4th pixel"]),
        "stripes of blur pooling": _stripes(pooled["blur pooling"]),
    }
    text = f"""
Windows of {WINDOW}×{WINDOW} side by side, unless the title says otherwise. The mean of the picture is
{numbers["mean"]:.3f}; the average keeps it ({numbers["mean, average"]:.3f}), the maximum raises it to
{numbers["mean, maximum"]:.3f}. Gaussian pooling is an average that counts the middle of a window more
({numbers["mean, Gaussian"]:.3f}). L2 is the root of the sum of the squares, so that a window of the value v gives
{WINDOW}v; its scale ends there.

{{poolings}}

Adaptive pooling divides a picture of any size into as many windows as are asked for. Taking every 4th pixel turns the
fine tiles into coarse stripes that are not in the picture; blur pooling, a blur before each step of 2, does not: the
root mean square of the difference between a pixel and the one below is {numbers["stripes of every 4th pixel"]:.3f}
against {numbers["stripes of blur pooling"]:.3f}."""
    return Section("Pooling", text, {"poolings": draw(shown)}, numbers)


def pyramid() -> Section:
    pictures = {"all of the photograph, 213×320": landscape(), "the tower alone, 192×160": tower()}
    vectors = {
        name: {
            reduction: striate.spatial_pyramid_pool2d(picture, LEVELS, reduction=reduction)
            for reduction in ("max", "average")
        }
        for name, picture in pictures.items()
    }
    (length,) = {vector.numel() for kinds in vectors.values() for vector in kinds.values()}
    first, second = (kinds["average"] for kinds in vectors.values())
    numbers = {
        "length": float(length),
        "mean of the finest level": float(first[0, -(LEVELS[-1] ** 2) :].mean()),
        "the coarsest level": float(first[0, 0]),
        "difference": float((first - second).abs().max()),
    }
    text = f"""
`spatial_pyramid_pool2d` with the levels {", ".join(map(str, LEVELS))} gives {length} numbers a channel, whatever the
size of the picture: {" + ".join(str(level**2) for level in LEVELS)} windows. The bars of a level are in the order of
rows, from the upper left window.

{{pyramid}}"""
    return Section("Spatial pyramid", text, {"pyramid": _bars(vectors)}, numbers)


def _stripes(maps: Tensor) -> float:
    """How much rows differ from the next."""
    return float(maps.diff(dim=2).square().mean().sqrt())


def _bars(vectors: dict[str, dict[str, Tensor]]) -> bytes:
    figure = Figure(figsize=(11, 4.6), dpi=100, layout="constrained", facecolor="white")
    grid = figure.subplots(2, len(vectors), sharex=True, sharey=True)
    sizes = [level**2 for level in LEVELS]
    colours = [colour for colour, size in zip(BARS, sizes, strict=True) for _ in range(size)]
    for column, (name, kinds) in enumerate(vectors.items()):
        for row, (reduction, vector) in enumerate(kinds.items()):
            axes = grid[row, column]
            axes.bar(torch.arange(1, vector.numel() + 1).numpy(), vector[0].numpy(), color=colours, width=0.8)
            axes.set(ylim=(0, 1), xticks=[1, 3.5, 13.5], title=f"{reduction}: {name}" if row == 0 else reduction)
            axes.title.set_fontsize(9)
            axes.set_xticklabels([f"{level}×{level}" for level in LEVELS], fontsize=8)
            axes.tick_params(labelsize=8, length=0)
            axes.spines[["top", "right"]].set_visible(False)
            if row == 1:
                axes.set_xlabel("level", fontsize=8)
            if column == 0:
                axes.set_ylabel("value", fontsize=8)
    return png(figure)
