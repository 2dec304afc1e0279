"""Local contrast normalisation: the door."""

from collections.abc import Sequence
from typing import Any, get_args

from torch import Tensor

from striate.geometry.checks import check_integer
from striate.ops._door import announced
from striate.ops._normalization.checks import check_maps, check_number, choose, widened
from striate.ops.dispatch import take
from striate.ops.local_contrast_norm import reference
from striate.ops.local_contrast_norm.registered import normalize
from striate.ops.local_contrast_norm.window import Border, Mode, Rule


@announced
def local_contrast_norm(
    input: Tensor,
    kernel_size: int | Sequence[int] = 7,
    *,
    sigma: float | Sequence[float] | None = None,
    mode: Mode = "jarrett2009",
    floor: float | None = None,
    border: Border = "renormalize",
) -> Tensor:
    """Take away the local mean and divide by the local deviation, so that light and contrast no longer matter.

    `v[c, p] = x[c, p] - sum over d and q of w[q] * x[d, p + q]`, `s[p] = sqrt(sum over d and q of w[q] * v[d, p + q] **
    2)` and `output[c, p] = v[c, p] / max(floor, s[p])`, in each sample, for all channels d and places q of a window.
    The Gaussian w sums to 1 over the window and the channels together, so that a picture that is the same number
    everywhere becomes 0, exactly. Without a floor of your own, which then is the mean of s over the sample, `a * x + b`
    with a > 0 gives the same output as x. Where even `max(floor, s)` is 0, so is the output.

    The cost does not grow with the window for more channels: they are averaged first, and one plane is blurred, along
    one axis after the other.

    Args:
        input: `(N, C, *sizes)` with one to three sizes, floating-point; a single picture must be given its batch.
        kernel_size: taps of the window, odd; one number or one an axis.
        sigma: standard deviations of the Gaussian in places, more than 0; one number or one an axis. None for a quarter
            of the taps.
        mode: "jarrett2009", or "torch7" for what `SpatialContrastiveNormalization` computes: the floor is 1e-4 unless
            given, and at a border s is divided by the weight inside, not by its root.
        floor: the smallest divisor, at least 0, often called c. None for the mean of s over each sample, or Torch7's.
        border: what the window weighs at a border: "renormalize" to let what is inside sum to 1, or "zeros" to count
            what is outside as 0.

    Returns:
        The input's shape, dtype and memory format. Under autocast low precision becomes float32. The gradient of s is 0
        where s is 0; where s equals the floor it goes to the floor.

    Raises:
        TypeError: if the input is not floating-point, or a setting has the wrong type.
        ValueError: if the rank does not fit, or a setting is out of its range.

    Source:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, "What is the best multi-stage architecture for object recognition?",
        ICCV 2009, section 2.1, the layer N; Torch7's `SpatialContrastiveNormalization.lua`,
        https://github.com/torch/nn.

    Example:
        >>> edge = torch.tensor([0.0, 0, 0, 4, 4, 4]).view(1, 1, 6)
        >>> contrast = local_contrast_norm(edge, 3)
        >>> contrast.flatten()
        tensor([ 0.0000,  0.0000, -1.1364,  1.1364,  0.0000,  0.0000])
        >>> torch.allclose(local_contrast_norm(0.5 * edge + 100, 3), contrast)
        True
    """
    rule = _rule("local_contrast_norm", input, kernel_size, sigma, mode, floor, border, subtract=True, divide=True)
    return _normalized("local_contrast_norm", input, rule)


@announced
def subtractive_norm(
    input: Tensor,
    kernel_size: int | Sequence[int] = 7,
    *,
    sigma: float | Sequence[float] | None = None,
    border: Border = "renormalize",
) -> Tensor:
    """Take away the local mean: the first half of `local_contrast_norm`.

    `output[c, p] = x[c, p] - sum over d and q of w[q] * x[d, p + q]`, in each sample, for all channels d and places q
    of a window. The Gaussian w sums to 1 over the window and the channels together.

    Args:
        input: `(N, C, *sizes)` with one to three sizes, floating-point; a single picture must be given its batch.
        kernel_size: taps of the window, odd; one number or one an axis.
        sigma: standard deviations of the Gaussian in places, more than 0; one number or one an axis. None for a quarter
            of the taps.
        border: what the window weighs at a border: "renormalize" to let what is inside sum to 1, or "zeros" to count
            what is outside as 0.

    Returns:
        The input's shape, dtype and memory format. Under autocast low precision becomes float32.

    Raises:
        TypeError: if the input is not floating-point, or a setting has the wrong type.
        ValueError: if the rank does not fit, or a setting is out of its range.

    Source:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, "What is the best multi-stage architecture for object recognition?",
        ICCV 2009, section 2.1, the layer N; Torch7's `SpatialSubtractiveNormalization.lua`,
        https://github.com/torch/nn.

    Example:
        >>> subtractive_norm(torch.full((1, 2, 5, 5), 3.0)).abs().max()
        tensor(0.)
    """
    rule = _rule("subtractive_norm", input, kernel_size, sigma, "jarrett2009", None, border, subtract=True)
    return _normalized("subtractive_norm", input, rule)


@announced
def divisive_norm(
    input: Tensor,
    kernel_size: int | Sequence[int] = 7,
    *,
    sigma: float | Sequence[float] | None = None,
    mode: Mode = "jarrett2009",
    floor: float | None = None,
    border: Border = "renormalize",
) -> Tensor:
    """Divide by the local root of the mean of squares: the second half of `local_contrast_norm`.

    `output[c, p] = x[c, p] / max(floor, s[p])` with `s[p] = sqrt(sum over d and q of w[q] * x[d, p + q] ** 2)`, in each
    sample, for all channels d and places q of a window. The Gaussian w sums to 1 over the window and the channels
    together. Where even `max(floor, s)` is 0, so is the output.

    Args:
        input: `(N, C, *sizes)` with one to three sizes, floating-point; a single picture must be given its batch.
        kernel_size: taps of the window, odd; one number or one an axis.
        sigma: standard deviations of the Gaussian in places, more than 0; one number or one an axis. None for a quarter
            of the taps.
        mode: "jarrett2009", or "torch7" for what `SpatialDivisiveNormalization` computes: the floor is 1e-4 unless
            given, and at a border s is divided by the weight inside, not by its root.
        floor: the smallest divisor, at least 0. None for the mean of s over each sample, or Torch7's.
        border: what the window weighs at a border: "renormalize" to let what is inside sum to 1, or "zeros" to count
            what is outside as 0.

    Returns:
        The input's shape, dtype and memory format. Under autocast low precision becomes float32. The gradient of s is 0
        where s is 0; where s equals the floor it goes to the floor.

    Raises:
        TypeError: if the input is not floating-point, or a setting has the wrong type.
        ValueError: if the rank does not fit, or a setting is out of its range.

    Source:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, "What is the best multi-stage architecture for object recognition?",
        ICCV 2009, section 2.1, the layer N; Torch7's `SpatialDivisiveNormalization.lua`,
        https://github.com/torch/nn.

    Example:
        >>> divisive_norm(torch.full((1, 2, 5, 5), -3.0)).round(decimals=4).unique()
        tensor([-1.])
    """
    rule = _rule("divisive_norm", input, kernel_size, sigma, mode, floor, border, divide=True)
    return _normalized("divisive_norm", input, rule)


def check_settings(
    name: str,
    kernel_size: int | Sequence[int],
    sigma: float | Sequence[float] | None,
    mode: Mode,
    floor: float | None,
    border: Border,
) -> None:
    """See that settings are of their kinds and in their ranges, whatever the number of axes.

    Args:
        name: of the operator or layer, for the message.
        kernel_size: as all that follow, as `local_contrast_norm` takes it.
        sigma: likewise.
        mode: likewise.
        floor: likewise.
        border: likewise.

    Raises:
        TypeError: if one has the wrong type.
        ValueError: if one is out of its range.
    """
    for taps in _each(kernel_size):
        check_integer(f"{name}: kernel_size", taps, 1)
        if taps % 2 == 0:
            raise ValueError(f"{name}: kernel_size must be odd, so that the window has a centre, got {kernel_size!r}")
    for width in () if sigma is None else _each(sigma):
        check_number(name, "sigma", width, 0.0)
        if width == 0:
            raise ValueError(f"{name}: sigma must be more than 0, got {sigma!r}")
    for word, given, words in (("mode", mode, Mode), ("border", border, Border)):
        if given not in get_args(words):
            raise ValueError(f"{name}: {word} must be one of {', '.join(get_args(words))}, got {given!r}")
    if floor is not None:
        check_number(name, "floor", floor, 0.0)


def _rule(
    name: str,
    input: Tensor,
    kernel_size: int | Sequence[int],
    sigma: float | Sequence[float] | None,
    mode: Mode,
    floor: float | None,
    border: Border,
    *,
    subtract: bool = False,
    divide: bool = False,
) -> Rule:
    check_maps(name, input, spatial=True)
    check_settings(name, kernel_size, sigma, mode, floor, border)
    kernel = _by_axis(name, "kernel_size", kernel_size, input.ndim - 2)
    widths = [taps / 4 for taps in kernel] if sigma is None else _by_axis(name, "sigma", sigma, input.ndim - 2)
    least = 1e-4 if floor is None and mode == "torch7" else floor
    return Rule(
        kernel=kernel,
        sigma=[float(width) for width in widths],
        subtract=subtract,
        divide=divide,
        outside=mode == "torch7",
        renormalize=border == "renormalize",
        floor=None if least is None else float(least),
    )


def _each(given: Any) -> Sequence[Any]:
    return given if isinstance(given, Sequence) and not isinstance(given, str) else (given,)


def _by_axis(name: str, setting: str, given: Any, axes: int) -> list[Any]:
    if not isinstance(given, Sequence):
        return [given] * axes
    if len(given) != axes:
        raise ValueError(f"{name}: {setting} must be one number or one an axis ({axes}), got {given!r}")
    return list(given)


def _normalized(name: str, input: Tensor, rule: Rule) -> Tensor:
    route = take(name, choose(input, "the channels are averaged first, and only one plane is blurred"))
    maps = widened(input)
    return reference.local_contrast_norm(maps, rule) if route.name == "reference" else normalize(maps, rule)
