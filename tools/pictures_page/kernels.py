"""Image kernels of the textbooks, and rectification."""

from torch import Tensor

import striate
from pictures_page.drawing import POSITIVE, SIGNED, Panel, draw
from pictures_page.inputs import tower
from pictures_page.section import Section
from striate import filters


def image_kernels() -> Section:
    picture = tower()
    small = {
        "Sobel, vertical edges": filters.sobel(),
        "Sobel, horizontal edges": filters.sobel("horizontal"),
        "Laplacian": filters.laplacian(),
        "vertical lines": filters.lines("vertical"),
        "the lecture's “lines”:\nedges, not lines": filters.lines("vertical", as_in_lecture=True),
    }
    columns = [
        [Panel(name, taps, colours=SIGNED, numbered=True), _signed("", picture, taps)] for name, taps in small.items()
    ]
    edges = draw([list(row) for row in zip(*columns, strict=True)])
    smooth = draw(
        [
            [
                Panel("the picture", picture, 0, 1),
                _shown("blur 3×3", picture, filters.blur(3)),
                _shown("blur 15×15", picture, filters.blur(15)),
                _shown("sharpen, 5 in the centre", picture, filters.sharpen()),
                _shown("the lecture's, 3 in the centre", picture, filters.sharpen(as_in_lecture=True), low=-1),
            ]
        ],
    )
    sums = {name: float(filters.sharpen(as_in_lecture=name == "lecture").sum()) for name in ("textbook", "lecture")}
    ground = filters.apply(picture, filters.sharpen(as_in_lecture=True, dtype=picture.dtype))
    numbers = {
        "sum of sharpen": sums["textbook"],
        "sum of the lecture's": sums["lecture"],
        "mean of the picture": float(picture.mean()),
        "mean of the lecture's": float(ground.mean()),
        "spread of the picture": float(picture.std()),
        "spread after 3": float(filters.apply(picture, filters.blur(3, dtype=picture.dtype)).std()),
        "spread after 15": float(filters.apply(picture, filters.blur(15, dtype=picture.dtype)).std()),
    }
    text = f"""
A kernel is laid over the picture without being flipped, as networks do; `filters.apply` repeats the edge of the picture
outside. Maps of both signs are centred at white: orange is positive,
violet negative. Where a scale ends in a point, what lies beyond has the colour of its end.

{{edges}}

The taps of these sum to 0, so even ground gives 0. Sobel's map of vertical edges is positive where the left is
brighter. The kernel that lectures call one for lines answers with opposite signs on the two sides of a line.

{{smooth}}

A larger window blurs more: the standard deviation of the picture is {numbers["spread of the picture"]:.3f}, after 3×3
{numbers["spread after 3"]:.3f}, after 15×15 {numbers["spread after 15"]:.3f}. Sharpening with 5 in the centre sums to
{sums["textbook"]:.0f} and keeps the brightness. With 3, as lectures show it, the taps sum to {sums["lecture"]:.0f}: a
picture with the mean {numbers["mean of the picture"]:.3f} comes out with the mean
{numbers["mean of the lecture's"]:.3f}, a negative of itself."""
    return Section("Image kernels", text, {"edges": edges, "smooth": smooth}, numbers)


def gabor_filters() -> Section:
    picture, turns = tower(), 4
    bank = filters.gabor_bank(15, [6.0], turns, phases=(0.0,), dtype=picture.dtype)
    bank = bank - bank.mean((1, 2), keepdim=True)
    maps = filters.apply(picture, bank)
    shown = [
        [Panel(f"{180 * turn // turns}°", taps, colours=SIGNED) for turn, taps in enumerate(bank)],
        [Panel("answer", answer, 0, float(answer.abs().quantile(0.995)), SIGNED) for answer in maps],
    ]
    energies = [float(answer.square().mean().sqrt()) for answer in maps]
    numbers = {f"energy at {180 * turn // turns}": value for turn, value in enumerate(energies)}
    listed = ", ".join(f"{180 * turn // turns}° {value:.2f}" for turn, value in enumerate(energies))
    text = f"""
A wave under a Gaussian, 15×15 taps, wavelength 6 pixels, less its mean; the angle is that in which the wave runs,
clockwise from the right. Each answers to lines across its wave. The root mean square of the answers: {listed}.

{{gabor}}"""
    return Section("Gabor filters", text, {"gabor": draw(shown)}, numbers)


def rectification() -> Section:
    picture = tower()
    edges = filters.apply(picture, filters.sobel(dtype=picture.dtype))
    rectified = striate.abs_rectify(edges)
    pooled, pooled_rectified = (striate.avg_pool2d(answer, 16) for answer in (edges, rectified))
    shown = [
        [
            Panel("the picture", picture, 0, 1),
            Panel("Sobel's map x", edges, 0, float(rectified.quantile(0.99)), SIGNED),
            Panel("rectified, |x|", rectified, 0, float(rectified.quantile(0.99)), POSITIVE),
        ],
        [
            None,
            Panel("x, averaged over 16×16", pooled, colours=SIGNED),
            Panel("|x|, averaged over 16×16", pooled_rectified, 0, colours=POSITIVE),
        ],
    ]
    numbers = {
        "signed": float(pooled.abs().mean()),
        "rectified": float(pooled_rectified.mean()),
        "negative": float((edges < 0).double().mean()),
    }
    numbers["kept"] = numbers["signed"] / numbers["rectified"]
    text = f"""
`abs_rectify` forgets whether an edge goes from bright to dark or from dark to bright
({100 * numbers["negative"]:.0f} % of Sobel's map is negative). Without it the two cancel in the average that follows:
of what the rectified map keeps, {numbers["rectified"]:.3f} in the mean, the signed one keeps
{100 * numbers["kept"]:.0f} %, {numbers["signed"]:.3f}.

{{rectification}}"""
    return Section("Rectification", text, {"rectification": draw(shown)}, numbers)


def _signed(title: str, picture: Tensor, taps: Tensor) -> Panel:
    """A result of both signs; one place in a hundred has an end colour."""
    result = filters.apply(picture, taps.to(picture.dtype))
    return Panel(title, result, high=float(result.abs().quantile(0.99)), low=0, colours=SIGNED)


def _shown(title: str, picture: Tensor, taps: Tensor, low: float = 0) -> Panel:
    return Panel(title, filters.apply(picture, taps.to(picture.dtype)), low, low + 1)
