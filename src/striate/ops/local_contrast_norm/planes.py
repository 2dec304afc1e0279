"""What is done between the readings of the maps, to planes of one channel."""

import math
from typing import Any

import numpy as np

from striate.ops._compile import kernel
from striate.ops._normalization.kernels import add_neighbours


@kernel
def find_factors(
    planes: Any,
    axes: Any,
    weights: Any,
    inverse: Any,
    factor: Any,
    floor: float,
    subtract: bool,
    divide: bool,
    renormalize: bool,
) -> None:
    """Replace the squares by the deviations, and fill the planes of local means and of what v is multiplied by."""
    means, squares, local, result = planes[0], planes[1], planes[2], planes[3]
    pixels = means.size
    local[:] = 0
    result[:] = 1
    if subtract:
        found = means.copy()
        for axis in range(len(axes)):
            outer, length, inner, taps = axes[axis]
            if renormalize:
                _average_along(found, outer, length, inner, weights[axis, :taps], local)
            else:
                add_neighbours(found, outer, length, inner, weights[axis, :taps], taps // 2, local)
            found[:] = local
    if not divide:
        return
    for i in range(pixels):
        squares[i] += (means[i] - local[i]) * (means[i] - local[i])
    _add_around(squares, axes, weights)
    total = 0.0
    for i in range(pixels):
        squares[i] = math.sqrt(squares[i]) * factor[i]
        total += squares[i]
    least = means.dtype.type(total / pixels) if floor < 0 else floor
    one = means.dtype.type(1)
    for i in range(pixels):
        deviation = squares[i]
        divisor = deviation if deviation > least or deviation != deviation else least
        result[i] = one if divisor == 0 else one / divisor


@kernel
def find_gradients(
    planes: Any,
    axes: Any,
    weights: Any,
    inverse: Any,
    factor: Any,
    floor: float,
    subtract: bool,
    divide: bool,
    renormalize: bool,
) -> None:
    """Fill the planes that say what v is multiplied by, and what is taken away, in the input's gradient.

    The first is twice the gradient of a square; the second the adjoint of the local mean, of v's gradient.
    """
    means, deviations, local, result = planes[0], planes[1], planes[2], planes[3]
    sums, products, back = planes[4], planes[5], planes[6]
    pixels, zero = means.size, means.dtype.type(0)
    back[:] = 0
    if divide:
        total, least = 0.0, floor
        if floor < 0:
            for i in range(pixels):
                total += deviations[i]
            least = means.dtype.type(total / pixels)
        total = 0.0
        for i in range(pixels):
            of_divisor = -products[i] * result[i] * result[i]
            if deviations[i] > least or deviations[i] != deviations[i]:
                products[i] = of_divisor
            else:
                products[i] = zero
                # A divisor of 0 is taken for 1, whatever the deviations are.
                total += of_divisor if least > 0 or least != least else zero
        each = means.dtype.type(total / pixels) if floor < 0 else zero
        for i in range(pixels):
            of_deviation = products[i] + each
            products[i] = of_deviation * factor[i] * factor[i] / deviations[i] if deviations[i] != 0 else zero
        _add_around(products, axes, weights)
    else:
        products[:] = 0
    if subtract:
        for i in range(pixels):
            back[i] = (sums[i] * result[i] + products[i] * (means[i] - local[i])) * inverse[i]
        _add_around(back, axes, weights)


@kernel
def _average_along(source: Any, outer: int, length: int, inner: int, weights: Any, target: Any) -> None:
    """The weighted mean of the neighbours inside along one axis; of equal numbers it is exactly that number."""
    row, reach = length * inner, weights.size // 2
    for o in range(outer):
        read, sums = source[o * row : (o + 1) * row], target[o * row : (o + 1) * row]
        sums[:] = 0
        for t in range(weights.size):
            weight, shift = weights[t], (t - reach) * inner
            first, last = max(0, -shift), min(row, row - shift)
            if first < last:
                moved, own, s = read[first + shift : last + shift], read[first:last], sums[first:last]
                for i in range(last - first):
                    s[i] += weight * (moved[i] - own[i])
        for place in range(length):
            if reach <= place < length - reach:
                continue
            inside = weights.dtype.type(0)
            for t in range(max(0, reach - place), min(weights.size, reach + length - place)):
                inside += weights[t]
            for i in range(place * inner, (place + 1) * inner):
                sums[i] /= inside
        for i in range(row):
            sums[i] += read[i]


@kernel
def _add_around(plane: Any, axes: Any, weights: Any) -> None:
    """Replace a plane by the weighted sums around its places, zeros outside; that is its own adjoint."""
    sums = np.empty_like(plane)
    for axis in range(len(axes)):
        outer, length, inner, taps = axes[axis]
        add_neighbours(plane, outer, length, inner, weights[axis, :taps], taps // 2, sums)
        plane[:] = sums
