"""The kernels: each is a small tensor."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from striate.geometry.checks import check_integer

_Taps = Sequence[Sequence[float]]

_SOBEL: dict[str, _Taps] = {
    "vertical": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    "horizontal": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
}
_PREWITT: dict[str, _Taps] = {
    "vertical": [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
    "horizontal": [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
}
_LAPLACIAN: dict[int, _Taps] = {
    4: [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    8: [[1, 1, 1], [1, -8, 1], [1, 1, 1]],
}
_LINES: dict[str, _Taps] = {
    "horizontal": [[-1, -1, -1], [2, 2, 2], [-1, -1, -1]],
    "vertical": [[-1, 2, -1], [-1, 2, -1], [-1, 2, -1]],
    "rising": [[-1, -1, 2], [-1, 2, -1], [2, -1, -1]],
    "falling": [[2, -1, -1], [-1, 2, -1], [-1, -1, 2]],
}
_LINES_OF_THE_LECTURE: dict[str, _Taps] = {
    "horizontal": [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
    "vertical": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
}


def sobel(direction: Literal["vertical", "horizontal"] = "vertical", *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sobel's edge detector: the difference across an edge, smoothed along it by 1, 2, 1.

    Args:
        direction: of the edges found. "vertical" is positive where the left is brighter than the right, "horizontal"
            where the top is brighter than the bottom.
        dtype: of the kernel.

    Returns:
        `(3, 3)`.

    Raises:
        ValueError: if the direction is unknown.

    Source:
        Sobel and Feldman, "A 3x3 isotropic gradient operator for image processing", Stanford, 1968; sign and names as
        lectures on convolutional networks show it. SciPy's and OpenCV's have the opposite sign.

    Example:
        >>> sobel()
        tensor([[ 1.,  0., -1.],
                [ 2.,  0., -2.],
                [ 1.,  0., -1.]])
    """
    return torch.tensor(_choose("direction", _SOBEL, direction), dtype=dtype)


def prewitt(direction: Literal["vertical", "horizontal"] = "vertical", *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Prewitt's edge detector: the difference across an edge, summed along it.

    Args:
        direction: of the edges found, with the signs of `sobel`.
        dtype: of the kernel.

    Returns:
        `(3, 3)`.

    Raises:
        ValueError: if the direction is unknown.

    Source:
        Prewitt, "Object enhancement and extraction", in "Picture Processing and Psychopictorics", 1970.

    Example:
        >>> prewitt("horizontal")
        tensor([[ 1.,  1.,  1.],
                [ 0.,  0.,  0.],
                [-1., -1., -1.]])
    """
    return torch.tensor(_choose("direction", _PREWITT, direction), dtype=dtype)


def laplacian(connectivity: Literal[4, 8] = 4, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """The Laplacian: how much the neighbours differ from a pixel, whatever the direction.

    Args:
        connectivity: 4 for the neighbours beside, above and below, 8 for the diagonal ones, too.
        dtype: of the kernel.

    Returns:
        `(3, 3)`, which sums to 0.

    Raises:
        ValueError: if the connectivity is neither 4 nor 8.

    Source:
        Gonzalez and Woods, "Digital Image Processing", 4th edition, 2018, section 3.6.

    Example:
        >>> laplacian()
        tensor([[ 0.,  1.,  0.],
                [ 1., -4.,  1.],
                [ 0.,  1.,  0.]])
    """
    return torch.tensor(_choose("connectivity", _LAPLACIAN, connectivity), dtype=dtype)


def lines(
    direction: Literal["horizontal", "vertical", "rising", "falling"] = "horizontal",
    *,
    as_in_lecture: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """A detector of bright lines one pixel wide, which is silent on even ground.

    Lectures also show -1, 0, 1 three times under this name. That is an edge detector, Prewitt's with the opposite sign:
    it answers with opposite signs on the two sides of a line and with 0 on the line itself.

    Args:
        direction: of the lines; "rising" goes from the lower left to the upper right.
        as_in_lecture: whether to return -1, 0, 1 three times, for "horizontal" and "vertical".
        dtype: of the kernel.

    Returns:
        `(3, 3)`, which sums to 0.

    Raises:
        ValueError: if the direction is unknown.

    Source:
        Gonzalez and Woods, "Digital Image Processing", 4th edition, 2018, section 10.2.

    Example:
        >>> lines("vertical")
        tensor([[-1.,  2., -1.],
                [-1.,  2., -1.],
                [-1.,  2., -1.]])
    """
    return torch.tensor(
        _choose("direction", _LINES_OF_THE_LECTURE if as_in_lecture else _LINES, direction), dtype=dtype
    )


def sharpen(*, as_in_lecture: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sharpen: a picture less its Laplacian.

    With 5 in the centre the taps sum to 1, so that even ground keeps its brightness. Lectures also show 3 in the
    centre. Then the taps sum to -1 and even ground comes out negative: the right kernel but for a slip in one number.

    Args:
        as_in_lecture: whether to return the one with 3.
        dtype: of the kernel.

    Returns:
        `(3, 3)`.

    Source:
        Gonzalez and Woods, "Digital Image Processing", 4th edition, 2018, section 3.6.

    Example:
        >>> sharpen()
        tensor([[ 0., -1.,  0.],
                [-1.,  5., -1.],
                [ 0., -1.,  0.]])
        >>> sharpen().sum(), sharpen(as_in_lecture=True).sum()
        (tensor(1.), tensor(-1.))
    """
    return torch.tensor([[0, -1, 0], [-1, 3 if as_in_lecture else 5, -1], [0, -1, 0]], dtype=dtype)


def blur(size: int = 3, *, axes: Literal[1, 2] = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    """The mean of a window: the larger it is, the more it blurs.

    Args:
        size: taps along each axis, at least 1.
        axes: 2 for pictures, 1 for series.
        dtype: of the kernel.

    Returns:
        `(size, size)` or `(size,)`, all taps `1 / size ** axes`.

    Raises:
        TypeError: if the size is not an integer.
        ValueError: if the size is below 1, or axes neither 1 nor 2.

    Source:
        Gonzalez and Woods, "Digital Image Processing", 4th edition, 2018, section 3.5.

    Example:
        >>> blur()[0, 0] * 9
        tensor(1.)
    """
    check_integer("size", size, 1)
    check_axes(axes)
    return torch.full((size,) * axes, 1 / size**axes, dtype=dtype)


def gaussian(size: int, sigma: float, *, axes: Literal[1, 2] = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    """Gaussian weights, `exp(-distance ** 2 / (2 * sigma ** 2))`, scaled to sum to 1.

    Args:
        size: taps along each axis, at least 1; `6 * sigma + 1` leaves out 0.3 % of the bell along an axis.
        sigma: standard deviation in pixels, above 0.
        axes: 2 for pictures, 1 for series.
        dtype: of the kernel.

    Returns:
        `(size, size)` or `(size,)`.

    Raises:
        TypeError: if the size is not an integer.
        ValueError: if the size is below 1, sigma not above 0, or axes neither 1 nor 2.

    Source:
        Marr and Hildreth, "Theory of edge detection", 1980, https://doi.org/10.1098/rspb.1980.0020.

    Example:
        >>> gaussian(3, 1.0, axes=1)
        tensor([0.2741, 0.4519, 0.2741])
    """
    check_integer("size", size, 1)
    _check_positive("sigma", sigma)
    check_axes(axes)
    # Relative to the nearest tap, so that a narrow bell does not vanish between the taps of an even size.
    squares = _from_centre(size).square()
    weights = torch.exp(-(squares - squares.min()) / (2 * sigma**2))
    weights = weights / weights.sum()
    return (weights if axes == 1 else torch.outer(weights, weights)).to(dtype)


def gabor(
    size: int,
    wavelength: float,
    orientation: float = 0.0,
    *,
    phase: float = 0.0,
    sigma: float | None = None,
    aspect: float = 0.5,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """A Gabor filter: a wave under a Gaussian, as cells of the visual cortex and first layers of networks have it.

    `exp(-(u ** 2 + aspect ** 2 * v ** 2) / (2 * sigma ** 2)) * cos(2 * pi * u / wavelength + phase)` with
    `u = x * cos(orientation) + y * sin(orientation)` and `v = y * cos(orientation) - x * sin(orientation)`, x to the
    right and y downwards from the centre.

    Args:
        size: taps along each axis, at least 1.
        wavelength: of the wave, in pixels, above 0; below 2 it cannot be told from a longer one.
        orientation: of the direction in which the wave runs, in radians from the right, clockwise on the screen. At 0
            its stripes are vertical.
        phase: in radians: 0 for a bright line in the centre, -pi / 2 for an edge that is bright at the far end of the
            wave.
        sigma: standard deviation along the wave, in pixels, above 0; None for 0.56 wavelengths, a bandwidth of one
            octave.
        aspect: how much shorter the bell is along the stripes, above 0; 1 for a round one, 0.5 for one twice as long.
        dtype: of the kernel.

    Returns:
        `(size, size)`. Its sum is not 0 in general: with phase 0 it answers a little to even ground, too.

    Raises:
        TypeError: if the size is not an integer.
        ValueError: if the size is below 1, or wavelength, sigma or aspect is not above 0.

    Source:
        Daugman, "Uncertainty relation for resolution in space, spatial frequency, and orientation optimized by
        two-dimensional visual cortical filters", 1985, https://doi.org/10.1364/JOSAA.2.001160; 0.56 and 0.5 after
        Petkov and Kruizinga, 1997, https://doi.org/10.1007/s004220050323.

    Example:
        >>> gabor(5, wavelength=4)[2].round(decimals=4)
        tensor([-0.6713,  0.0000,  1.0000,  0.0000, -0.6713])
    """
    check_integer("size", size, 1)
    _check_positive("wavelength", wavelength)
    _check_positive("aspect", aspect)
    if sigma is None:
        sigma = 0.56 * wavelength
    _check_positive("sigma", sigma)
    x, y = _from_centre(size), _from_centre(size)[:, None]
    u = x * math.cos(orientation) + y * math.sin(orientation)
    v = y * math.cos(orientation) - x * math.sin(orientation)
    bell = torch.exp(-(u.square() + (aspect * v).square()) / (2 * sigma**2))
    return (bell * torch.cos(2 * math.pi * u / wavelength + phase)).to(dtype)


def gabor_bank(
    size: int,
    wavelengths: Sequence[float],
    orientations: int = 8,
    *,
    phases: Sequence[float] = (0.0, -math.pi / 2),
    aspect: float = 0.5,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Gabor filters of all combinations of wavelength, orientation and phase.

    Args:
        size: taps along each axis, at least 1; 3 wavelengths hold most of a filter.
        wavelengths: in pixels, above 0, at least one.
        orientations: how many, at least 1, evenly spread over half a turn from 0.
        phases: in radians, at least one; 0 for lines, -pi / 2 for edges.
        aspect: how much shorter the bell is along the stripes, above 0.
        dtype: of the kernels.

    Returns:
        `(wavelengths * orientations * phases, size, size)`: all phases of one orientation in a row, all orientations of
        one wavelength in a row.

    Raises:
        TypeError: if the size or the number of orientations is not an integer.
        ValueError: if a number is out of its range, or there are no wavelengths or phases.

    Source:
        Daugman, "Uncertainty relation for resolution in space, spatial frequency, and orientation optimized by
        two-dimensional visual cortical filters", 1985, https://doi.org/10.1364/JOSAA.2.001160.

    Example:
        >>> gabor_bank(15, [4, 8], orientations=6).shape
        torch.Size([24, 15, 15])
    """
    check_integer("orientations", orientations, 1)
    if not wavelengths or not phases:
        raise ValueError(f"wavelengths and phases must hold at least one number, got {wavelengths!r} and {phases!r}")
    return torch.stack(
        [
            gabor(size, wavelength, math.pi * turn / orientations, phase=phase, aspect=aspect, dtype=dtype)
            for wavelength in wavelengths
            for turn in range(orientations)
            for phase in phases
        ]
    )


def _from_centre(size: int) -> Tensor:
    """The places of the taps, in pixels from the centre of the kernel."""
    return torch.arange(size, dtype=torch.float64) - (size - 1) / 2


def _choose(name: str, table: Mapping[str, _Taps] | Mapping[int, _Taps], key: object) -> _Taps:
    """The taps under a key.

    Raises:
        ValueError: if there are none.
    """
    for known, taps in table.items():
        if known == key:
            return taps
    raise ValueError(f"{name} must be one of {', '.join(map(str, table))}, got {key!r}")


def check_axes(axes: int) -> None:
    """Refuse what is neither a series nor a picture.

    Args:
        axes: what came.

    Raises:
        ValueError: if axes is neither 1 nor 2.
    """
    if axes not in (1, 2):
        raise ValueError(f"axes must be 1 or 2, got {axes!r}")


def _check_positive(name: str, value: float) -> None:
    """Refuse what is not a number above 0.

    Raises:
        ValueError: if it is not.
    """
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, got {value!r}")
