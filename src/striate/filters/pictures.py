"""Laying kernels over pictures and series."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from striate.filters.kernels import check_axes
from striate.geometry import windows
from striate.geometry.padding import Padding
from striate.ops._door import cast, check_alike, check_fits, in_transform
from striate.ops._padding import pad
from striate.ops.correlate.planes import correlate_planes


def apply(
    picture: Tensor,
    kernel: Tensor,
    *,
    axes: Literal[1, 2] = 2,
    padding: Padding | Sequence[Padding] = "same",
    padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "replicate",
) -> Tensor:
    """Lay a kernel, or each of a stack of kernels, over every channel of a picture by itself.

    The kernel is not flipped. The result lies between the sum of the negative taps and the sum of the positive ones
    times the brightest value: Sobel turns a picture from 0 to 1 into one from -4 to 4. A large kernel that is the
    product of a column and a row, as a Gaussian is, runs as these two, which can differ in the last digit.

    Args:
        picture: `(H, W)`, `(C, H, W)` or `(N, C, H, W)`; with `axes=1` a series `(L)`, `(C, L)` or `(N, C, L)`. Either
            floating-point or uint8, which is read as 0 to 1, its values divided by 255.
        kernel: `(KH, KW)`, or a stack `(K, KH, KW)`; with `axes=1` `(KL)` or `(K, KL)`. Floating-point.
        axes: 2 for pictures, 1 for series.
        padding: places added around the picture: a number, a tuple of numbers or of pairs `(low, high)`, one an axis,
            or a word, of which "same" keeps the size; see `striate.geometry.Window`.
        padding_mode: what lies outside the picture; "replicate" goes on with its border, so that no false edges appear.

    Returns:
        The picture's axes with the new sizes, for a stack behind one axis more: entry k is what kernel k alone
        gives. In the picture's dtype, for uint8 in the kernel's.

    Raises:
        TypeError: if the picture is neither floating-point nor uint8, or the kernel not floating-point.
        ValueError: if ranks, devices or sizes do not fit, the kernel is larger than the padded picture, or a setting is
            out of its range.

    Source:
        Gonzalez and Woods, "Digital Image Processing", 4th edition, 2018, section 3.4.

    Example:
        >>> from striate.filters import sobel
        >>> picture = torch.zeros(5, 5)
        >>> picture[:, 3:] = 1
        >>> apply(picture, sobel())[2]
        tensor([ 0.,  0., -4., -4.,  0.])
        >>> apply(picture, torch.stack([sobel("vertical"), sobel("horizontal")])).shape
        torch.Size([2, 5, 5])
    """
    check_axes(axes)
    _check_picture(picture, kernel, axes)
    stacked = kernel.ndim == axes + 1
    kernels = kernel if stacked else kernel.unsqueeze(0)
    picture = picture.to(kernel.dtype) / 255 if picture.dtype == torch.uint8 else picture
    picture, kernels = cast(picture, kernels.to(picture.dtype))
    check_alike("apply", picture=picture, kernel=kernels)
    batch, sizes = picture.shape[: picture.ndim - axes], picture.shape[picture.ndim - axes :]
    low, high = check_fits("apply", windows(axes, tuple(kernels.shape[1:]), 1, padding), sizes)
    planes = picture.unsqueeze(0).flatten(0, len(batch))
    planes = pad("apply", planes.unsqueeze(1), low, high, padding_mode, None).squeeze(1)
    result = planes.unsqueeze(1)
    for part in _factors(kernels) or [kernels]:
        none, ones = [0] * axes, [1] * axes
        result = correlate_planes(result.flatten(0, 1), part, ones, none, none, ones)
    result = result.reshape(*batch, *result.shape[1:])
    result = result.movedim(len(batch), 0)
    return result if stacked else result.squeeze(0)


def _factors(kernels: Tensor) -> list[Tensor] | None:
    """The column and the row whose product a single large kernel is to the last digit, if it has them."""
    if len(kernels) > 1 or kernels.ndim < 3 or kernels.requires_grad:
        return None
    kernel, (height, width) = kernels[0], kernels.shape[1:]
    # Measured: below this the second pass over the picture costs more than it saves.
    if height * width <= 3 * (height + width) or torch.compiler.is_compiling() or in_transform():
        return None
    peak = kernel.abs().max()
    y, x = divmod(int(kernel.abs().argmax()), width)
    column, row = kernel[:, x, None], kernel[None, y] / kernel[y, x]
    exact = (column * row - kernel).abs().max() <= 2 * torch.finfo(kernel.dtype).eps * peak
    return [column.unsqueeze(0), row.unsqueeze(0)] if exact else None


def _check_picture(picture: Tensor, kernel: Tensor, axes: int) -> None:
    """See that a picture and a kernel have the ranks and the kinds of numbers that `apply` takes.

    Raises:
        TypeError: if their numbers are of another kind.
        ValueError: if their ranks are others.
    """
    if not picture.is_floating_point() and picture.dtype != torch.uint8:
        raise TypeError(f"apply: picture must hold floating-point numbers or uint8, got {picture.dtype}")
    if not kernel.is_floating_point():
        raise TypeError(f"apply: kernel must hold floating-point numbers, got {kernel.dtype}")
    sizes, taps = ("H, W", "KH, KW") if axes == 2 else ("L", "KL")
    if picture.ndim not in range(axes, axes + 3):
        shapes = f"({sizes}), (C, {sizes}) or (N, C, {sizes})"
        raise ValueError(f"apply: picture must be {shapes}, got {tuple(picture.shape)}")
    if kernel.ndim not in (axes, axes + 1) or min(kernel.shape) < 1:
        shapes = f"({taps}) or (K, {taps})"
        raise ValueError(f"apply: kernel must be {shapes}, none 0, got {tuple(kernel.shape)}")
