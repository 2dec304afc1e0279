"""What is done to the pixels of an image, in both memory formats: reading the maps, and writing them.

An image has planes of one channel: its mean, the squares and then the deviations, the local mean, and the factor; for a
gradient also the means of the gradient and of its products, and what is taken away.
"""

from typing import Any

from striate.ops._compile import kernel

BLOCK = 256
"""Pixels that are taken at once where those of a channel lie together."""


@kernel
def average(
    numbers: Any,
    begin: int,
    channels: int,
    pixels: int,
    together: bool,
    first: int,
    last: int,
    subtract: bool,
    divide: bool,
    planes: Any,
) -> None:
    """The mean over the channels, and that of the squares of what differs from it; without `subtract` of all squares.

    Numbers are added after the first has been taken away, so that the mean of equal ones is exactly theirs.
    """
    means, squares = planes[0], planes[1]
    share = means.dtype.type(1) / means.dtype.type(channels)
    if together:
        for pixel in range(first, last):
            x = numbers[begin + pixel * channels : begin + (pixel + 1) * channels]
            mean = total = means.dtype.type(0)
            if subtract:
                for c in range(channels):
                    total += x[c] - x[0]
                mean = x[0] + total * share
            if divide:
                total = means.dtype.type(0)
                for c in range(channels):
                    total += (x[c] - mean) * (x[c] - mean)
                squares[pixel] = total * share
            means[pixel] = mean
        return
    for block in range(first, last, BLOCK):
        width = min(BLOCK, last - block)
        mean, total = means[block : block + width], squares[block : block + width]
        at = begin + block
        mean[:] = 0
        if subtract:
            x0 = numbers[at : at + width]
            for c in range(1, channels):
                x = numbers[at + c * pixels : at + c * pixels + width]
                for i in range(width):
                    mean[i] += x[i] - x0[i]
            for i in range(width):
                mean[i] = x0[i] + mean[i] * share
        if divide:
            total[:] = 0
            for c in range(channels):
                x = numbers[at + c * pixels : at + c * pixels + width]
                for i in range(width):
                    total[i] += (x[i] - mean[i]) * (x[i] - mean[i])
            for i in range(width):
                total[i] *= share


@kernel
def apply(
    numbers: Any,
    begin: int,
    channels: int,
    pixels: int,
    together: bool,
    first: int,
    last: int,
    planes: Any,
    result: Any,
) -> None:
    """Take the local mean away from the maps, and multiply by the factor."""
    local, factor = planes[2], planes[3]
    if together:
        for pixel in range(first, last):
            at = begin + pixel * channels
            x, y = numbers[at : at + channels], result[at : at + channels]
            m, r = local[pixel], factor[pixel]
            for c in range(channels):
                y[c] = (x[c] - m) * r
        return
    for block in range(first, last, BLOCK):
        width = min(BLOCK, last - block)
        m, r = local[block : block + width], factor[block : block + width]
        for c in range(channels):
            at = begin + c * pixels + block
            x, y = numbers[at : at + width], result[at : at + width]
            for i in range(width):
                y[i] = (x[i] - m[i]) * r[i]


@kernel
def average_gradients(
    grads: Any,
    numbers: Any,
    begin: int,
    channels: int,
    pixels: int,
    together: bool,
    first: int,
    last: int,
    planes: Any,
) -> None:
    """The means over the channels of the gradient, and of the gradient * v."""
    local, sums, products = planes[2], planes[4], planes[5]
    share = local.dtype.type(1) / local.dtype.type(channels)
    if together:
        for pixel in range(first, last):
            at = begin + pixel * channels
            x, g = numbers[at : at + channels], grads[at : at + channels]
            m, total, product = local[pixel], local.dtype.type(0), local.dtype.type(0)
            for c in range(channels):
                total += g[c]
                product += g[c] * (x[c] - m)
            sums[pixel], products[pixel] = total * share, product * share
        return
    for block in range(first, last, BLOCK):
        width = min(BLOCK, last - block)
        m, s, p = local[block : block + width], sums[block : block + width], products[block : block + width]
        s[:] = 0
        p[:] = 0
        for c in range(channels):
            at = begin + c * pixels + block
            x, g = numbers[at : at + width], grads[at : at + width]
            for i in range(width):
                s[i] += g[i]
                p[i] += g[i] * (x[i] - m[i])
        for i in range(width):
            s[i] *= share
            p[i] *= share


@kernel
def go_back(
    grads: Any,
    numbers: Any,
    begin: int,
    channels: int,
    pixels: int,
    together: bool,
    first: int,
    last: int,
    planes: Any,
    result: Any,
) -> None:
    """The input's gradient, from the planes that the gradients of the planes have filled."""
    local, factor, products, back = planes[2], planes[3], planes[5], planes[6]
    if together:
        for pixel in range(first, last):
            at = begin + pixel * channels
            x, g, y = numbers[at : at + channels], grads[at : at + channels], result[at : at + channels]
            m, r, e, b = local[pixel], factor[pixel], products[pixel], back[pixel]
            for c in range(channels):
                y[c] = g[c] * r + (x[c] - m) * e - b
        return
    for block in range(first, last, BLOCK):
        width = min(BLOCK, last - block)
        m, r = local[block : block + width], factor[block : block + width]
        e, b = products[block : block + width], back[block : block + width]
        for c in range(channels):
            at = begin + c * pixels + block
            x, g, y = numbers[at : at + width], grads[at : at + width], result[at : at + width]
            for i in range(width):
                y[i] = g[i] * r[i] + (x[i] - m[i]) * e[i] - b[i]
