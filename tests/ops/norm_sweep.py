"""Random legal configurations of local normalisation, against products of matrices and convolutions of all channels."""

import random
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import striate
from ops.checks import Function, assert_close, gradients_of
from ops.draws import draw_tensor

CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
DTYPES = (torch.float64, torch.float64, torch.float32, torch.bfloat16)


def response_norm(
    input: Tensor,
    size: int,
    alpha: float,
    beta: float,
    k: float,
    *,
    alpha_mode: str = "mean",
    within_channel: bool = False,
    even: str = "torch",
) -> Tensor:
    """The sums by a matrix of who is whose neighbour, along one axis after the other."""
    before = size // 2 if even == "torch" else (size - 1) // 2
    sums, axes = input.square(), list(range(2, input.ndim)) if within_channel else [1]
    for axis in axes:
        places = torch.arange(input.shape[axis])
        apart = places[None] - places[:, None]
        near = ((apart >= -before) & (apart < size - before)).to(input.dtype)
        sums = torch.tensordot(sums, near, ([axis], [1])).movedim(-1, axis)
    share = size ** len(axes) if alpha_mode == "mean" else 1
    return input / (k + alpha / share * sums) ** beta


def contrast_norm(input: Tensor, kernel: list[int], *, subtract: bool = True, **settings: Any) -> Tensor:
    """By convolutions whose windows see all channels: the usual way, and the formula as it is printed."""
    v, divisor = contrast(input, kernel, subtract=subtract, **settings)
    return v / divisor


def contrast(
    input: Tensor,
    kernel: list[int],
    *,
    sigma: list[float] | None = None,
    mode: str = "jarrett2009",
    floor: float | None = None,
    border: str = "renormalize",
    subtract: bool = True,
    divide: bool = True,
) -> tuple[Tensor, Tensor]:
    """What is divided, and by what."""
    axes, channels = input.ndim - 2, input.shape[1]
    weight = torch.ones([1] * axes, dtype=input.dtype)
    for axis, (taps, width) in enumerate(zip(kernel, sigma or [k / 4 for k in kernel], strict=True)):
        places = torch.arange(taps, dtype=input.dtype) - taps // 2
        weight = weight * torch.exp(-((places / width) ** 2) / 2).view([-1] + [1] * (axes - 1 - axis))
    weight = (weight / weight.sum() / channels).expand(1, channels, *kernel)

    def summed(maps: Tensor) -> Tensor:
        return CONVOLUTIONS[axes - 1](maps, weight, padding=[taps // 2 for taps in kernel])

    inside = summed(torch.ones_like(input)) if border == "renormalize" else torch.ones_like(input[:, :1])
    v = input - summed(input) / inside if subtract else input
    if not divide:
        return v, torch.ones_like(inside)
    s = summed(v.square()).sqrt() / inside if mode == "torch7" else (summed(v.square()) / inside).sqrt()
    if floor is None:
        c = s.new_tensor(1e-4) if mode == "torch7" else s.mean(list(range(1, input.ndim)), keepdim=True)
    else:
        c = s.new_tensor(floor)
    return v, torch.maximum(c, s)


def check_response_norm(dice: random.Random) -> None:
    axes = dice.randint(0, 3)
    settings: dict[str, Any] = {
        "size": dice.randint(1, 8),
        "alpha": dice.choice([0.0, 1e-4, 0.3, 2.0]),
        "beta": dice.choice([0.75, 0.75, 0.5, 1.0, 0.6, 2.0, -0.5]),
        "k": dice.choice([1.0, 2.0, 0.5]),
        "alpha_mode": dice.choice(["mean", "sum"]),
        "even": dice.choice(["torch", "onnx"]),
        "within_channel": axes > 0 and dice.random() < 0.4,
    }
    compare(
        lambda x: striate.local_response_norm(x, **settings), lambda x: response_norm(x, **settings), drawn(dice, axes)
    )


def check_contrast_norm(dice: random.Random) -> None:
    axes = dice.randint(1, 3)
    kernel = [dice.choice([1, 3, 5, 7, 9]) for _ in range(axes)]
    sigma = [dice.choice([0.5, 1.0, 2.5]) for _ in range(axes)] if dice.random() < 0.5 else None
    border, mode = dice.choice(["renormalize", "zeros"]), dice.choice(["jarrett2009", "torch7"])
    floor, kind = dice.choice([None, None, 0.4, 1.0]), dice.choice(["local_contrast", "subtractive", "divisive"])
    divided: dict[str, Any] = {} if kind == "subtractive" else {"mode": mode, "floor": floor}
    function = getattr(striate, f"{kind}_norm")
    parts = {"subtract": kind != "divisive", "divide": kind != "subtractive"}
    input = drawn(dice, axes, DTYPES[:3])
    while input[0].numel() < 8:
        # The gradient of next to nothing is what rounding has left.
        input = drawn(dice, axes, DTYPES[:3])
    # What is added up may cancel: errors are relative to 1 / the smallest divisor.
    _, divisor = contrast(input.double(), kernel, sigma=sigma, border=border, **divided, **parts)
    compare(
        lambda x: function(x, tuple(kernel), sigma=sigma, border=border, **divided),
        lambda x: contrast_norm(x, kernel, sigma=sigma, border=border, **divided, **parts),
        input,
        terms=1 / divisor,
    )


def drawn(dice: random.Random, axes: int, dtypes: tuple[torch.dtype, ...] = DTYPES) -> Tensor:
    """Maps of a few channels, and at times of more than a vector holds."""
    sizes = [dice.choice([1, 2, 3, 5, 8, 11]) for _ in range(axes)]
    channels = dice.choice([2, 3, 4, 7, 20])
    return draw_tensor(dice, [dice.choice([1, 2, 3, 5]), channels, *sizes], dice.choice(dtypes))


def compare(ours: Function, definition: Function, input: Tensor, terms: Tensor | None = None) -> None:
    """Outputs and gradients, with a definition in float64."""
    wide = input.double()
    assert_close(ours(input), definition(wide))
    (found,), (wished,) = gradients_of(ours, input), gradients_of(definition, wide)
    assert_close(found, wished, terms=terms)
