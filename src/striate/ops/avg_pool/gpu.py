"""Averages of windows on the GPU, in either memory format."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._pooling.gpu import launch, numbers_of, reader, taps_between, windows
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
    settings = windows(input.shape[2:], kernel, stride, low, dilation, maps, result, channels_last)
    settings |= _counted(counted, divisor)
    launch(_avg_pool_forward_kernel, result, settings, input=maps, result=result)
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
    settings = windows(sizes, kernel, stride, low, dilation, result, grads, channels_last)
    settings |= _counted(counted, divisor)
    launch(_avg_pool_backward_kernel, result, settings, grad=grads, result=result)
    return result


def _counted(counted: Sequence[int], divisor: int) -> dict[str, Any]:
    """Where the places begin and end that an average counts, and what it is divided by instead, or 0."""
    begins, ends = counted[: len(counted) // 2], counted[len(counted) // 2 :]
    settings: dict[str, Any] = {"DIVISOR": divisor}
    settings.update(zip(("begin_z", "begin_y", "begin_x"), three(begins, 0), strict=True))
    settings.update(zip(("end_z", "end_y", "end_x"), three(ends, 1), strict=True))
    return settings


@jit
def _avg_pool_forward_kernel(
    input: tl.tensor, result: tl.tensor, count: tl.tensor, inner: tl.tensor, D: tl.tensor, H: tl.tensor, W: tl.tensor,
    OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor,
    begin_z: tl.tensor, begin_y: tl.tensor, begin_x: tl.tensor, end_z: tl.tensor, end_y: tl.tensor, end_x: tl.tensor,
    KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr,
    DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, DIVISOR: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """result[o] = sum over k of input[o * stride - low + k * d] / the number of places that count."""
    at, own, p, oz, oy, ox, i = numbers_of(count, inner, OD, OH, OW, INDEX, BLOCK)
    start_z, start_y, start_x = oz * SZ - low_z, oy * SY - low_y, ox * SX - low_x
    acc = tl.zeros((BLOCK,), ACC)
    for kz in range(KD):
        z = start_z + kz * DZ
        for ky in range(KH):
            y = start_y + ky * DY
            rows = own & (z >= 0) & (z < D) & (y >= 0) & (y < H)
            for kx in range(KW):
                x = start_x + kx * DX
                place = (((p * D + z) * H + y) * W + x) * inner + i
                acc += tl.load(input + place, rows & (x >= 0) & (x < W), 0.0).to(ACC)
    if DIVISOR:
        acc = acc / DIVISOR
    else:
        many = taps_between(start_z, begin_z, end_z, KD, DZ) * taps_between(start_y, begin_y, end_y, KH, DY)
        acc = acc / tl.maximum(many * taps_between(start_x, begin_x, end_x, KW, DX), 1).to(ACC)
    tl.store(result + at, acc.to(result.dtype.element_ty), own)


@jit
def _avg_pool_backward_kernel(
    grad: tl.tensor, result: tl.tensor, count: tl.tensor, inner: tl.tensor, D: tl.tensor, H: tl.tensor, W: tl.tensor,
    OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor,
    begin_z: tl.tensor, begin_y: tl.tensor, begin_x: tl.tensor, end_z: tl.tensor, end_y: tl.tensor, end_x: tl.tensor,
    KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr,
    DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, DIVISOR: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """result[i] = sum over k of grad[(i + low - k * d) / stride] / the number of places that count there."""
    at, own, p, z, y, x, i = numbers_of(count, inner, D, H, W, INDEX, BLOCK)
    acc = tl.zeros((BLOCK,), ACC)
    for kz in range(KD):
        oz, reads_z = reader(z, kz, low_z, OD, SZ, DZ)
        of_z = taps_between(oz * SZ - low_z, begin_z, end_z, KD, DZ)
        for ky in range(KH):
            oy, reads_y = reader(y, ky, low_y, OH, SY, DY)
            of_y = of_z * taps_between(oy * SY - low_y, begin_y, end_y, KH, DY)
            for kx in range(KW):
                ox, reads_x = reader(x, kx, low_x, OW, SX, DX)
                place = (((p * OD + oz) * OH + oy) * OW + ox) * inner + i
                g = tl.load(grad + place, own & reads_z & reads_y & reads_x, 0.0).to(ACC)
                if DIVISOR:
                    acc += g / DIVISOR
                else:
                    many = of_y * taps_between(ox * SX - low_x, begin_x, end_x, KW, DX)
                    acc += g / tl.maximum(many, 1).to(ACC)
    tl.store(result + at, acc.to(result.dtype.element_ty), own)
