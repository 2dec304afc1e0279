"""Contrast normalisation under other light, and local response normalisation."""

import torch
from torch import Tensor

import striate
from pictures_page.drawing import POSITIVE, Panel, draw
from pictures_page.inputs import tower
from pictures_page.section import Section, rounding
from striate import filters

# Contrast and brightness: a * x + b.
LIGHTS = {"darker: x/2": (0.5, 0.0), "brighter: x + 0.4": (1.0, 0.4), "faint: x/5 + 0.4": (0.2, 0.4)}
_KERNEL = 9


def contrast() -> Section:
    picture = tower()
    normalised = _normalised(picture)
    others = {name: a * picture + b for name, (a, b) in LIGHTS.items()}
    differences = {name: float((_normalised(other) - normalised).abs().max()) for name, other in others.items()}
    ramp = torch.linspace(0.3, 1.0, picture.shape[-1], dtype=picture.dtype)
    shaded = picture * ramp
    numbers = {f"difference, {name}": value for name, value in differences.items()} | {
        "largest value": float(normalised.abs().max()),
        "largest difference": max(differences.values()),
        "shadow before": _change(picture, shaded),
        "shadow after": _change(normalised, _normalised(shaded)),
        "constant": float(_normalised(torch.full_like(picture, 0.7)).abs().max()),
    }
    high = float(normalised.abs().quantile(0.99))
    pictures = {"the picture x": picture, **others, "in a shadow from the left": shaded}
    shown = [
        [Panel(name, values, 0, 1) for name, values in pictures.items()],
        [Panel("normalised" if number else "normalised, y", _normalised(values), -high, high)
         for number, values in enumerate(pictures.values())],
    ]  # fmt: skip
    steps = striate.subtractive_norm(picture, _KERNEL)
    spread = float(steps.abs().quantile(0.99))
    parts = [
        Panel("the picture x", picture, 0, 1),
        Panel("less its local mean, v", steps, -spread, spread),
        Panel("divided by max(c, σ), y", normalised, -high, high),
    ]
    text = f"""
`local_contrast_norm` takes from each pixel the mean of its surroundings, under a Gaussian of {_KERNEL}×{_KERNEL} taps,
and divides by the standard deviation σ of what is left there, or by the mean c of σ over the picture where that is
larger.

{{steps}}

So neither brightness nor contrast of the light matters: `a * x + b` gives the same y for every a > 0. Here the largest
difference between the results is {rounding(numbers["largest difference"])}, where the largest value is
{numbers["largest value"]:.1f}. A constant picture gives {rounding(numbers["constant"])}. A shadow that grows over the
picture is taken away for the most part: it changes the picture by {100 * numbers["shadow before"]:.0f} % (root mean
square), the result by {100 * numbers["shadow after"]:.0f} %.

{{contrast}}"""
    return Section("Contrast normalisation", text, {"steps": draw([parts]), "contrast": draw(shown)}, numbers)


def response() -> Section:
    picture, turns = tower(), 4
    bank = filters.gabor_bank(15, [6.0], turns, phases=(0.0,), dtype=picture.dtype)
    maps = filters.apply(picture, bank - bank.mean((1, 2), keepdim=True))
    maps = striate.abs_rectify(maps).movedim(0, 2).squeeze(1)
    settings = {"alpha": 1.0, "beta": 0.5, "k": 1.0}
    across = striate.local_response_norm(maps, 2 * turns - 1, **settings, alpha_mode="sum")
    within = striate.local_response_norm(maps, 9, **settings, alpha_mode="sum", within_channel=True)
    kinds = {"rectified Gabor maps": maps, "across channels": across, "within channels, 9×9": within}
    numbers = {f"range, {name}": _range(values) for name, values in kinds.items()}
    shown = [
        [
            Panel(f"{name}, {180 * turn // turns}°", values[:, turn], 0, float(values.quantile(0.995)), POSITIVE)
            for turn in (0, 2)
        ]
        for name, values in kinds.items()
    ]
    shown = [[panel for row in shown for panel in row[:1]], [panel for row in shown for panel in row[1:]]]
    said = ", ".join(f"{name} {value:.0f}" for (name, value) in zip(kinds, numbers.values(), strict=True))
    text = f"""
`local_response_norm` divides each place by `(k + alpha * sum of squares) ** beta` of its neighbours, here with k 1,
alpha 1 (`alpha_mode="sum"`) and beta 0.5: strong answers are held down, weak ones hardly. The neighbours are the other
channels at the same place, or the surroundings in the same channel. How many times the median the strongest of a
thousand answers is: {said}.

{{response}}"""
    return Section("Local response normalisation", text, {"response": draw(shown)}, numbers)


def _normalised(picture: Tensor) -> Tensor:
    return striate.local_contrast_norm(picture, _KERNEL)


def _change(before: Tensor, after: Tensor) -> float:
    return float((after - before).norm() / before.norm())


def _range(maps: Tensor) -> float:
    return float(maps.quantile(0.999) / maps.median())
