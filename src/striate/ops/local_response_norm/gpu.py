"""Local response normalisation on the GPU, in both memory formats: neighbours are so many numbers apart in memory."""

import math
from typing import Any

import torch
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._door import memory_format
from striate.ops._pooling.gpu import launch, tile_of
from striate.ops._triton import jit, tl

# Exponents that roots and divisions give, in quarters.
_POWERS = {0.5: 2, 0.75: 3, 1.0: 4}


def forward(input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool) -> Tensor:
    """`x / (k + alpha * sum of x ** 2 over the neighbours) ** beta`."""
    maps = input.contiguous(memory_format=memory_format(input))
    result = torch.empty_like(maps)
    _launch(_local_response_norm_forward_kernel, maps, low, high, alpha, beta, k, within_channel, result=result)
    return result


def backward(
    grad: Tensor, input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool
) -> Tensor:
    """The gradient of the input."""
    layout = memory_format(input)
    maps, grads = input.contiguous(memory_format=layout), grad.contiguous(memory_format=layout)
    shares = torch.empty_like(maps, dtype=torch.promote_types(maps.dtype, torch.float32))
    settings = low, high, alpha, beta, k, within_channel
    _launch(_local_response_norm_shares_kernel, maps, *settings, grad=grads, shares=shares)
    result = torch.empty_like(maps)
    _launch(_local_response_norm_backward_kernel, maps, *settings, grad=grads, shares=shares, result=result)
    return result


def _launch(
    kernel: Any,
    maps: Tensor,
    low: int,
    high: int,
    alpha: float,
    beta: float,
    k: float,
    within_channel: bool,
    **tensors: Tensor,
) -> None:
    """Run a kernel for all numbers of maps, whose neighbours lie along up to three axes."""
    channels, *sizes = maps.shape[1:]
    together, inner = memory_format(maps) != torch.contiguous_format, 1
    if within_channel:
        lengths, reach = three(sizes, 1), [(min(low, n - 1), min(high, n - 1)) for n in sizes]
        inner = channels if together else 1
    else:
        # Channels are places of a row, or the rows of a picture.
        lengths, reach = (1, 1, channels), [(min(low, channels - 1), min(high, channels - 1))]
        if not together and math.prod(sizes) > 1:
            lengths, reach = (1, channels, math.prod(sizes)), [*reach, (0, 0)]
    settings: dict[str, Any] = {"ALPHA": alpha, "BETA": beta, "K": k, "POWER": _POWERS.get(beta, 0), "inner": inner}
    settings.update(zip("D H W".split(), lengths, strict=True))
    settings["LOW"], settings["HIGH"] = (three([sides[end] for sides in reach], 0) for end in range(2))
    # Neighbours along a row are not aligned.
    launch(kernel, maps, lengths[-1], settings, {"input": maps, **tensors}, spread=inner > 1 or reach[-1] != (0, 0))


@jit
def _read(source, at, own, TILE: tl.constexpr):
    """Numbers as they are computed with, 0 where there are none."""
    return tl.load(source + at, own, 0.0).to(tl.dtype(TILE.number))


@jit
def _sum_around(
    source, own, where, inner, D, H, W, LOW: tl.constexpr, HIGH: tl.constexpr, SQUARED: tl.constexpr, TILE: tl.constexpr
):
    """The sum of the neighbours of each number, or of their squares."""
    p, z, y, x, i = where
    total = tl.zeros(own.shape, tl.dtype(TILE.number))
    for dz in range(-LOW[0], HIGH[0] + 1):
        for dy in range(-LOW[1], HIGH[1] + 1):
            there = own & (z + dz >= 0) & (z + dz < D) & (y + dy >= 0) & (y + dy < H)
            first = ((p * D + (z + dz)) * H + (y + dy)) * (W * inner) + (x * inner + i)
            for dx in range(-LOW[2], HIGH[2] + 1):
                value = _read(source + first, dx * inner, there & (x + dx >= 0) & (x + dx < W), TILE)
                total += value * value if SQUARED else value
    return total


@jit
def _to_minus(base, BETA: tl.constexpr, POWER: tl.constexpr):
    """`base ** -BETA`."""
    if POWER == 4:
        return 1.0 / base
    if POWER == 2:
        return tl.rsqrt(base)
    if POWER == 3:
        root = tl.rsqrt(base)
        return root * tl.sqrt(root)
    return tl.exp2(-BETA * tl.log2(base))


@jit
def _local_response_norm_forward_kernel(
    input, result, rows, inner, D, H, W, LOW: tl.constexpr, HIGH: tl.constexpr, ALPHA: tl.constexpr,
    BETA: tl.constexpr, K: tl.constexpr, POWER: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """`result = x * (k + alpha * sum of x ** 2 over the neighbours) ** -beta`."""
    at, own, where = tile_of(rows, inner, D, H, W, TILE)
    total = _sum_around(input, own, where, inner, D, H, W, LOW, HIGH, True, TILE)
    found = _read(input, at, own, TILE) * _to_minus(K + ALPHA * total, BETA, POWER)
    tl.store(result + at, found.to(result.dtype.element_ty), own)


@jit
def _local_response_norm_shares_kernel(
    input, grad, shares, rows, inner, D, H, W, LOW: tl.constexpr, HIGH: tl.constexpr, ALPHA: tl.constexpr,
    BETA: tl.constexpr, K: tl.constexpr, POWER: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """`shares = grad * x * base ** (-beta - 1)`."""
    at, own, where = tile_of(rows, inner, D, H, W, TILE)
    base = K + ALPHA * _sum_around(input, own, where, inner, D, H, W, LOW, HIGH, True, TILE)
    x, g = _read(input, at, own, TILE), _read(grad, at, own, TILE)
    tl.store(shares + at, g * x * _to_minus(base, BETA, POWER) / base, own)


@jit
def _local_response_norm_backward_kernel(
    input, grad, shares, result, rows, inner, D, H, W, LOW: tl.constexpr, HIGH: tl.constexpr, ALPHA: tl.constexpr,
    BETA: tl.constexpr, K: tl.constexpr, POWER: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """`result = grad * base ** -beta - 2 alpha beta x * sum of the shares` of those whose neighbour x is."""
    at, own, where = tile_of(rows, inner, D, H, W, TILE)
    base = K + ALPHA * _sum_around(input, own, where, inner, D, H, W, LOW, HIGH, True, TILE)
    # Those whose neighbour a number is lie on its other side.
    share = _sum_around(shares, own, where, inner, D, H, W, HIGH, LOW, False, TILE)
    x, g = _read(input, at, own, TILE), _read(grad, at, own, TILE)
    found = g * _to_minus(base, BETA, POWER) - 2.0 * ALPHA * BETA * x * share
    tl.store(result + at, found.to(result.dtype.element_ty), own)
