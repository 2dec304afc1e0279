"""Averages of windows on the GPU, in either memory format."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._pooling.gpu import launch, reader, taps_between, tile_of, turns, windows
from striate.ops._pooling.taps import format_of
from striate.ops._triton import jit, tl


def forward(
    input: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    outputs: Sequence[int],
    counted: Sequence[int],
    divisor: int,
    channels_last: bool,
) -> Tensor:
    """The averages of `(N, C, *sizes)`."""
    layout = format_of(input.ndim, channels_last)
    maps, shape = input.contiguous(memory_format=layout), (*input.shape[:2], *outputs)
    result = torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=layout)
    settings = windows(input.shape[2:], kernel, stride, low, dilation, result, channels_last)
    settings |= _counted(counted, divisor, outputs, kernel, stride, low, dilation)
    tensors = {"input": maps, "result": result}
    launch(_avg_pool_forward_kernel, result, result.shape[-1], settings, tensors, spread=True)
    return result


def backward(
    grad: Tensor,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    counted: Sequence[int],
    divisor: int,
    channels_last: bool,
) -> Tensor:
    """The gradient `(N, C, *sizes)` of the input: each place gets its part of the outputs whose windows hold it."""
    layout = format_of(grad.ndim, channels_last)
    grads, shape = grad.contiguous(memory_format=layout), (*grad.shape[:2], *sizes)
    result = torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=layout)
    settings = windows(sizes, kernel, stride, low, dilation, grads, channels_last)
    settings |= _counted(counted, divisor, grad.shape[2:], kernel, stride, low, dilation)
    tensors = {"grad": grads, "result": result}
    launch(_avg_pool_backward_kernel, result, result.shape[-1], settings, tensors, spread=stride[-1] == 1)
    return result


def _counted(
    counted: Sequence[int],
    divisor: int,
    outputs: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
) -> dict[str, Any]:
    """Where the places begin and end that an average counts, and what it is divided by everywhere, or 0."""
    begins, ends = counted[: len(counted) // 2], counted[len(counted) // 2 :]
    along = zip(begins, ends, outputs, kernel, stride, low, dilation, strict=True)
    if not divisor and all(b <= -a and (o - 1) * s - a + (k - 1) * d < e for b, e, o, k, s, a, d in along):
        divisor = math.prod(kernel)
    settings: dict[str, Any] = {"DIVISOR": divisor}
    settings.update(zip(("begin_z", "begin_y", "begin_x"), three(begins, 0), strict=True))
    settings.update(zip(("end_z", "end_y", "end_x"), three(ends, 1), strict=True))
    return settings


@jit
def _avg_pool_forward_kernel(
    input, result, rows, inner, D, H, W, OD, OH, OW, low_z, low_y, low_x, begin_z, begin_y, begin_x, end_z, end_y,
    end_x, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr,
    DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, DIVISOR: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """result[o] = sum over k of input[o * stride - low + k * d] / the number of places that count."""
    at, own, where = tile_of(rows, inner, OD, OH, OW, TILE)
    p, oz, oy, ox, i = where
    start_z, start_y, start_x = oz * SZ - low_z, oy * SY - low_y, ox * SX - low_x
    acc = tl.zeros(own.shape, tl.dtype(TILE.number))
    for kz in range(KD):
        z = start_z + kz * DZ
        for ky in range(KH):
            y = start_y + ky * DY
            there = own & (z >= 0) & (z < D) & (y >= 0) & (y < H)
            first = input + (((p * D + z) * H + y) * (W * inner) + (start_x * inner + i))
            for kx in range(KW):
                x = start_x + kx * DX
                acc += tl.load(first + kx * (DX * inner), there & (x >= 0) & (x < W), 0.0).to(tl.dtype(TILE.number))
    if DIVISOR:
        acc *= 1.0 / DIVISOR
    else:
        many = taps_between(start_z, begin_z, end_z, KD, DZ) * taps_between(start_y, begin_y, end_y, KH, DY)
        acc /= tl.maximum(many * taps_between(start_x, begin_x, end_x, KW, DX), 1).to(tl.dtype(TILE.number))
    tl.store(result + at, acc.to(result.dtype.element_ty), own)


@jit
def _avg_pool_backward_kernel(
    grad, result, rows, inner, D, H, W, OD, OH, OW, low_z, low_y, low_x, begin_z, begin_y, begin_x, end_z, end_y,
    end_x, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr,
    DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, DIVISOR: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """result[i] = sum over k of grad[(i + low - k * d) / stride] / the number of places that count there."""
    at, own, where = tile_of(rows, inner, D, H, W, TILE)
    p, z, y, x, i = where
    acc = tl.zeros(own.shape, tl.dtype(TILE.number))
    for turn_z in range(turns(KD, SZ, DZ)):
        oz, tap_z, reads_z = reader(z, low_z, OD, turn_z, KD, SZ, DZ)
        of_z = taps_between(oz * SZ - low_z, begin_z, end_z, KD, DZ)
        for turn_y in range(turns(KH, SY, DY)):
            oy, tap_y, reads_y = reader(y, low_y, OH, turn_y, KH, SY, DY)
            of_y = of_z * taps_between(oy * SY - low_y, begin_y, end_y, KH, DY)
            there, line = own & reads_z & reads_y, ((p * OD + oz) * OH + oy) * (OW * inner)
            for turn_x in range(turns(KW, SX, DX)):
                ox, tap_x, reads_x = reader(x, low_x, OW, turn_x, KW, SX, DX)
                g = tl.load(grad + (line + (ox * inner + i)), there & reads_x, 0.0).to(tl.dtype(TILE.number))
                if DIVISOR:
                    acc += g
                else:
                    many = of_y * taps_between(ox * SX - low_x, begin_x, end_x, KW, DX)
                    acc += g / tl.maximum(many, 1).to(tl.dtype(TILE.number))
    if DIVISOR:
        acc *= 1.0 / DIVISOR
    tl.store(result + at, acc.to(result.dtype.element_ty), own)
