"""Norms of windows on the GPU, in either memory format; every window is measured in units of its largest number."""

from typing import Any

import torch
from torch import Tensor

from striate.ops._door import memory_format
from striate.ops._pooling.gpu import launch, reader, tile_of, turns, windows
from striate.ops._triton import jit, tl


def forward(
    input: Tensor,
    power: float,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    outputs: list[int],
) -> Tensor:
    """The norms of the windows of `(N, C, *sizes)`, float32 or float64."""
    layout = memory_format(input)
    maps, together = input.contiguous(memory_format=layout), layout != torch.contiguous_format
    shape = (*input.shape[:2], *outputs)
    result = torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=layout)
    settings = windows(input.shape[2:], kernel, stride, low, dilation, result, together) | {"POWER": power}
    tensors = {"input": maps, "result": result}
    launch(_lp_pool_forward_kernel, result, result.shape[-1], settings, tensors, spread=True)
    return result


def backward(
    grad: Tensor,
    input: Tensor,
    norms: Tensor,
    power: float,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    """The input's gradient."""
    layout = memory_format(input)
    together = layout != torch.contiguous_format
    maps, grads, values = (tensor.contiguous(memory_format=layout) for tensor in (input, grad, norms))
    result = torch.empty_like(maps)
    settings = windows(input.shape[2:], kernel, stride, low, dilation, values, together) | {"POWER": power}
    tensors = {"input": maps, "grad": grads, "norms": values, "result": result}
    launch(_lp_pool_backward_kernel, result, result.shape[-1], settings, tensors, spread=stride[-1] == 1)
    return result


@jit
def _raised(base: tl.tensor, POWER: tl.constexpr) -> Any:
    """`base ** POWER` of numbers that are not negative."""
    if POWER == 0:
        return tl.full(base.shape, 1.0, base.dtype)
    if POWER == 1:
        return base
    if POWER == 2:
        return base * base
    if POWER == 3:
        return base * base * base
    if POWER == 0.5:
        return tl.sqrt(base)
    nothing = base == 0.0
    raised = tl.exp2(POWER * tl.log2(tl.where(nothing, 1.0, base)))
    return tl.where(nothing, 0.0 if POWER > 0 else float("inf"), raised)


@jit
def _lp_pool_forward_kernel(
    input, result, rows, inner, D, H, W, OD, OH, OW, low_z, low_y, low_x, KD: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr,
    DX: tl.constexpr, POWER: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """result[o] = (sum over k of |input[o * stride - low + k * d]| ** POWER) ** (1 / POWER)."""
    at, own, where = tile_of(rows, inner, OD, OH, OW, TILE)
    p, oz, oy, ox, i = where
    start_x = ox * SX - low_x
    sums = tl.zeros(own.shape, tl.dtype(TILE.number))
    unit, per_unit = sums, sums
    for summing in tl.static_range(2):
        for kz in range(KD):
            z = oz * SZ - low_z + kz * DZ
            for ky in range(KH):
                y = oy * SY - low_y + ky * DY
                there = own & (z >= 0) & (z < D) & (y >= 0) & (y < H)
                first = input + (((p * D + z) * H + y) * (W * inner) + (start_x * inner + i))
                for kx in range(KW):
                    x = start_x + kx * DX
                    value = tl.abs(tl.load(first + kx * (DX * inner), there & (x >= 0) & (x < W), 0.0))
                    if summing:
                        sums += _raised(value * per_unit, POWER)
                    else:
                        unit = tl.maximum(unit, value)
        if not summing:
            # What is smaller than any normal number has no reciprocal.
            unit = tl.where(unit < float("inf"), tl.maximum(unit, 2.0**-126), 1.0)
            per_unit = 1.0 / unit
    tl.store(result + at, unit * _raised(sums, 1.0 / POWER), own)


@jit
def _lp_pool_backward_kernel(
    input, grad, norms, result, rows, inner, D, H, W, OD, OH, OW, low_z, low_y, low_x, KD: tl.constexpr,
    KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr,
    DY: tl.constexpr, DX: tl.constexpr, POWER: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """result[i] = sign(x) * sum over the windows o that read x of grad[o] * (|x| / norms[o]) ** (POWER - 1)."""
    at, own, where = tile_of(rows, inner, D, H, W, TILE)
    p, z, y, x, i = where
    value = tl.load(input + at, own, 0.0)
    size, acc = tl.abs(value), tl.zeros(own.shape, tl.dtype(TILE.number))
    for turn_z in range(turns(KD, SZ, DZ)):
        oz, tap_z, reads_z = reader(z, low_z, OD, turn_z, KD, SZ, DZ)
        for turn_y in range(turns(KH, SY, DY)):
            oy, tap_y, reads_y = reader(y, low_y, OH, turn_y, KH, SY, DY)
            there, line = own & reads_z & reads_y, ((p * OD + oz) * OH + oy) * (OW * inner)
            for turn_x in tl.range(turns(KW, SX, DX), loop_unroll_factor=2):
                ox, tap_x, reads_x = reader(x, low_x, OW, turn_x, KW, SX, DX)
                place, reads = line + (ox * inner + i), there & reads_x
                norm, g = tl.load(norms + place, reads, 1.0), tl.load(grad + place, reads, 0.0)
                # The gradient at 0 is 0, whatever the norm is.
                counts = reads & (size != 0.0)
                ratio = tl.where(counts, size, 1.0) / tl.where(counts, norm, 1.0)
                acc += tl.where(counts, g * _raised(ratio, POWER - 1.0), 0.0)
    tl.store(result + at, tl.where(value < 0.0, -acc, acc), own)
