"""What a shift of the input does: the equivariance of a convolution, the invariance that pooling brings."""

from collections.abc import Callable

import torch
from torch import Tensor

import striate
from pictures_page.drawing import POSITIVE, Panel, draw
from pictures_page.inputs import digit, landscape, tower
from pictures_page.section import Section, rounding
from striate import filters

SHIFTS = (1, 2, 3, 4)
POOLS = (1, 2, 4, 8)
_FAR = (17, 24)


def edges(picture: Tensor) -> Tensor:
    """A feature map: how strong vertical edges are."""
    return striate.abs_rectify(filters.apply(picture, filters.sobel(dtype=picture.dtype)))


def change(before: Tensor, after: Tensor) -> float:
    """The root mean square of the difference, relative to that of the first."""
    return float((after - before).norm() / before.norm())


def invariance() -> Section:
    """A digit for the eye, the photograph for the numbers."""
    numbers = {
        f"{kind} {pool}, shift {shift}": moved(pooling(kind, pool), shift)
        for kind in ("max", "average")
        for pool in POOLS
        for shift in SHIFTS
    }
    rows = [
        f"| {kind if pool > 1 else 'none'} | {f'{pool}×{pool}' if pool > 1 else '–'} | "
        + " | ".join(f"{100 * numbers[f'{kind} {pool}, shift {shift}']:.0f} %" for shift in SHIFTS)
        + " |"
        for kind in ("max", "average")
        for pool in POOLS
        if pool > 1 or kind == "max"
    ]
    pictures, digits = _digits()
    text = f"""
A digit, and the digit one pixel further to the right: the larger the windows that pool their maps of vertical edges,
the less the results differ. The change is the root mean square of the difference,
relative to that of the first map: {digits["map"]:.2f} before pooling, {digits["pool 2"]:.2f} after the maximum of 2×2,
{digits["pool 4"]:.2f} after 4×4.

{{invariance}}

The same for the photograph, whose section moves by 1 to 4 pixels, so that what comes in at the edge is new. The map of
vertical edges is pooled by windows side by side.

| pooling | window | {" | ".join(f"shift {shift}" for shift in SHIFTS)} |
| --- | --- | {" | ".join("---" for _ in SHIFTS)} |
""" + "\n".join(rows)
    text += """

Pooling gives invariance to shifts that are small against its window, not to all of them, and never exactly."""
    return Section("Shifts and pooling: invariance", text, {"invariance": pictures}, numbers | digits)


def pooling(kind: str, size: int) -> Callable[[Tensor], Tensor]:
    """A pooling with windows side by side."""
    pool = striate.max_pool2d if kind == "max" else striate.avg_pool2d
    return lambda maps: maps if size == 1 else pool(maps, size)


def moved(pool: Callable[[Tensor], Tensor], shift: int) -> float:
    """How much the pooled edges of the photograph change when the section that is seen moves to the right."""
    seen = [edges(landscape()[..., 8:200, 20 + start : 20 + start + 192]) for start in (0, shift)]
    # The outermost places see the edge of the section, which moves with it.
    before, after = (pool(answer)[..., 1:-1, 1:-1] for answer in seen)
    return change(before, after)


def _digits() -> tuple[bytes, dict[str, float]]:
    rows, found = [], []
    for left, name in ((3, "a digit"), (4, "one pixel to the right")):
        picture = digit(left)
        maps = [edges(picture)]
        maps += [striate.max_pool2d(maps[0], size) for size in (2, 4)]
        titles = ["edges, |Sobel|", "maximum of 2×2", "maximum of 4×4"]
        rows.append((Panel(name, picture, 0, 1), titles, maps))
        found.append(maps)
    changes = [change(before, after) for before, after in zip(*found, strict=True)]
    shown = []
    for number, (panel, titles, maps) in enumerate(rows):
        said = [f"change {value:.2f}" for value in changes] if number else titles
        panels = [Panel(title, answer, 0, 4, POSITIVE) for title, answer in zip(said, maps, strict=True)]
        shown.append([panel, *panels])
    return draw(shown), dict(zip(("map", "pool 2", "pool 4"), changes, strict=True))


def equivariance() -> Section:
    picture = tower()
    kernel = torch.randn(1, 1, 5, 5, generator=torch.Generator().manual_seed(0), dtype=picture.dtype)
    differences = {}
    for mode in ("circular", "zeros"):
        first, second = (_both(picture, kernel, mode, shift_first) for shift_first in (True, False))
        differences[mode] = (first - second).abs()
    broken = differences["zeros"] > 1e-12
    inside = torch.ones_like(broken)
    for axis, far in zip((2, 3), _FAR, strict=True):
        # Two places on each side of the picture's edge and of the edge that the shift has moved into the picture.
        near = [place % inside.shape[axis] for start in (0, far) for place in range(start - 2, start + 2)]
        inside.index_fill_(axis, torch.tensor(near), False)
    strided = _strided(picture, kernel)
    numbers = {
        "circular": float(differences["circular"].max()),
        "zeros": float(differences["zeros"].max()),
        "away from the border": float(differences["zeros"][inside].max()),
        "places that differ": float(broken.double().mean()),
        "largest value": float(_both(picture, kernel, "circular", True).abs().max()),
        **strided,
    }
    shown = [
        [
            Panel("x", picture, 0, 1),
            Panel(f"shift(x), {_FAR[0]} down, {_FAR[1]} right", _shift(picture), 0, 1),
            Panel("circular padding:\n|f(shift(x)) − shift(f(x))|", differences["circular"], 0, 1, POSITIVE),
            Panel("zeros:\n|f(shift(x)) − shift(f(x))|", differences["zeros"], 0, 3, POSITIVE),
        ]
    ]
    text = f"""
A shift g that brings in at one edge what leaves at the other, and a convolution f with a 5×5 kernel of random numbers:
`f(g(x))` against `g(f(x))`, in float64, where the largest output is {numbers["largest value"]:.1f}.

{{equivariance}}

- Circular padding: the largest difference is {rounding(numbers["circular"])}.
- Padding with zeros: the largest difference is {numbers["zeros"]:.2f}; {100 * numbers["places that differ"]:.1f} % of
  the places differ. They are within 2 places of the edge of the picture, and of where the shift has taken that edge.
  Away from these the largest difference is {rounding(numbers["away from the border"])}.
- Stride 2, circular padding: a shift by 2 becomes a shift of the output by 1, with the largest difference
  {rounding(numbers["stride 2, shift 2"])}. A shift by 1 becomes no shift of the output: the nearest one still leaves
  a change of {100 * numbers["stride 2, shift 1"]:.0f} %."""
    return Section("Shifts and convolution: equivariance", text, {"equivariance": draw(shown)}, numbers)


def _shift(maps: Tensor) -> Tensor:
    return maps.roll(_FAR, (2, 3))


def _both(picture: Tensor, kernel: Tensor, mode: str, shift_first: bool) -> Tensor:
    def convolution(input: Tensor) -> Tensor:
        return striate.conv2d(input, kernel, padding=2, padding_mode=mode)

    return convolution(_shift(picture)) if shift_first else _shift(convolution(picture))


def _strided(picture: Tensor, kernel: Tensor) -> dict[str, float]:
    def convolution(input: Tensor) -> Tensor:
        return striate.conv2d(input, kernel, stride=2, padding=2, padding_mode="circular")

    plain = convolution(picture)
    two, one = (convolution(picture.roll(shift, 3)) for shift in (2, 1))
    return {
        "stride 2, shift 2": float((two - plain.roll(1, 3)).abs().max()),
        "stride 2, shift 1": min(change(plain.roll(shift, 3), one) for shift in range(plain.shape[3])),
    }
