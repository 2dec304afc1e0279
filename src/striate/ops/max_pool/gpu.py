"""Maxima of windows on the GPU, in either memory format."""

from collections.abc import Sequence

import torch
from torch import Tensor

from striate.ops._pooling.gpu import launch, numbers_of, reader, windows
from striate.ops._pooling.taps import format_of
from striate.ops._triton import jit, tl


def forward(
    input: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    outputs: Sequence[int],
    channels_last: bool,
    kind: torch.dtype | None,
) -> tuple[Tensor, Tensor]:
    """The maxima of `(N, C, *sizes)`, and the numbers of the taps that read them; none of these without a `kind`."""
    layout = format_of(input.ndim, channels_last)
    maps, shape = input.contiguous(memory_format=layout), (*input.shape[:2], *outputs)
    result = torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=layout)
    taps = None if kind is None else torch.empty_like(result, dtype=kind)
    settings = windows(input.shape[2:], kernel, stride, low, dilation, maps, result, channels_last)
    launch(_max_pool_forward_kernel, result, settings, input=maps, result=result, taps=taps)
    return result, input.new_empty(0, dtype=torch.uint8) if taps is None else taps


def backward(
    grad: Tensor,
    taps: Tensor,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    channels_last: bool,
) -> Tensor:
    """The gradient `(N, C, *sizes)` of the input: each output's goes where its tap has read."""
    layout = format_of(grad.ndim, channels_last)
    grads, winners = grad.contiguous(memory_format=layout), taps.contiguous(memory_format=layout)
    result = torch.empty((*grad.shape[:2], *sizes), dtype=grad.dtype, device=grad.device, memory_format=layout)
    settings = windows(sizes, kernel, stride, low, dilation, result, grads, channels_last)
    launch(_max_pool_backward_kernel, result, settings, grad=grads, taps=winners, result=result)
    return result


@jit
def _max_pool_forward_kernel(
    input: tl.tensor, result: tl.tensor, taps: tl.tensor, count: tl.tensor, inner: tl.tensor, D: tl.tensor,
    H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor,
    low_x: tl.tensor, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr,
    SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """result[o] = the largest input[o * stride - low + k * d], taps[o] the k that reads it, -1 where none is inside."""
    at, own, p, oz, oy, ox, i = numbers_of(count, inner, OD, OH, OW, INDEX, BLOCK)
    best, winner = tl.full((BLOCK,), float("-inf"), ACC), tl.full((BLOCK,), -1, tl.int32)
    for kz in range(KD):
        z = oz * SZ - low_z + kz * DZ
        for ky in range(KH):
            y = oy * SY - low_y + ky * DY
            rows = own & (z >= 0) & (z < D) & (y >= 0) & (y < H)
            for kx in range(KW):
                x = ox * SX - low_x + kx * DX
                here = rows & (x >= 0) & (x < W)
                place = (((p * D + z) * H + y) * W + x) * inner + i
                value = tl.load(input + place, here, 0.0).to(ACC)
                # The first of equal numbers is taken, and the last NaN.
                wins = here & ((winner < 0) | (value > best) | (value != value))
                best = tl.where(wins, value, best)
                winner = tl.where(wins, (kz * KH + ky) * KW + kx, winner)
    tl.store(result + at, best.to(result.dtype.element_ty), own)
    if taps is not None:
        tl.store(taps + at, winner.to(taps.dtype.element_ty), own)


@jit
def _max_pool_backward_kernel(
    grad: tl.tensor, taps: tl.tensor, result: tl.tensor, count: tl.tensor, inner: tl.tensor, D: tl.tensor, H: tl.tensor,
    W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor,
    KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr,
    DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """result[i] = sum of grad[o] over the outputs o whose tap taps[o] reads i."""
    at, own, p, z, y, x, i = numbers_of(count, inner, D, H, W, INDEX, BLOCK)
    acc = tl.zeros((BLOCK,), ACC)
    for kz in range(KD):
        oz, reads_z = reader(z, kz, low_z, OD, SZ, DZ)
        for ky in range(KH):
            oy, reads_y = reader(y, ky, low_y, OH, SY, DY)
            for kx in range(KW):
                ox, reads_x = reader(x, kx, low_x, OW, SX, DX)
                place = (((p * OD + oz) * OH + oy) * OW + ox) * inner + i
                reads = own & reads_z & reads_y & reads_x
                won = tl.load(taps + place, reads, 0).to(tl.int32) == (kz * KH + ky) * KW + kx
                acc += tl.load(grad + place, reads & won, 0.0).to(ACC)
    tl.store(result + at, acc.to(result.dtype.element_ty), own)
