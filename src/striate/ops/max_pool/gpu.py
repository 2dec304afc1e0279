"""Maxima of windows on the GPU, in either memory format."""

from collections.abc import Sequence

import torch
from torch import Tensor

from striate.ops._pooling.gpu import launch, reader, tile_of, turns, windows
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
    settings = windows(input.shape[2:], kernel, stride, low, dilation, result, channels_last)
    tensors = {"input": maps, "result": result, "taps": taps}
    launch(_max_pool_forward_kernel, result, result.shape[-1], settings, tensors, spread=True)
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
    settings = windows(sizes, kernel, stride, low, dilation, grads, channels_last)
    tensors = {"grad": grads, "taps": winners, "result": result}
    launch(_max_pool_backward_kernel, result, result.shape[-1], settings, tensors, spread=stride[-1] == 1)
    return result


@jit
def _max_pool_forward_kernel(
    input, result, taps, rows, inner, D, H, W, OD, OH, OW, low_z, low_y, low_x, KD: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr,
    DX: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """result[o] = the largest input[o * stride - low + k * d], taps[o] the k that reads it, -1 where none is inside."""
    at, own, where = tile_of(rows, inner, OD, OH, OW, TILE)
    p, oz, oy, ox, i = where
    start_x = ox * SX - low_x
    best, winner = tl.full(own.shape, float("-inf"), tl.dtype(TILE.number)), tl.full(own.shape, -1, tl.int32)
    for kz in range(KD):
        z = oz * SZ - low_z + kz * DZ
        for ky in range(KH):
            y = oy * SY - low_y + ky * DY
            there = own & (z >= 0) & (z < D) & (y >= 0) & (y < H)
            first = input + (((p * D + z) * H + y) * (W * inner) + (start_x * inner + i))
            for kx in range(KW):
                x = start_x + kx * DX
                here = there & (x >= 0) & (x < W)
                value = tl.load(first + kx * (DX * inner), here, 0.0).to(tl.dtype(TILE.number))
                # The first of equal numbers is taken, and the last NaN.
                wins = here & ((winner < 0) | (value > best) | (value != value))
                best = tl.where(wins, value, best)
                winner = tl.where(wins, (kz * KH + ky) * KW + kx, winner)
    tl.store(result + at, best.to(result.dtype.element_ty), own)
    if taps is not None:
        tl.store(taps + at, winner.to(taps.dtype.element_ty), own)


@jit
def _max_pool_backward_kernel(
    grad, taps, result, rows, inner, D, H, W, OD, OH, OW, low_z, low_y, low_x, KD: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr,
    DX: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """result[i] = sum of grad[o] over the outputs o whose tap taps[o] reads i."""
    at, own, where = tile_of(rows, inner, D, H, W, TILE)
    p, z, y, x, i = where
    acc = tl.zeros(own.shape, tl.dtype(TILE.number))
    for turn_z in range(turns(KD, SZ, DZ)):
        oz, tap_z, reads_z = reader(z, low_z, OD, turn_z, KD, SZ, DZ)
        for turn_y in range(turns(KH, SY, DY)):
            oy, tap_y, reads_y = reader(y, low_y, OH, turn_y, KH, SY, DY)
            there, line = own & reads_z & reads_y, ((p * OD + oz) * OH + oy) * (OW * inner)
            for turn_x in range(turns(KW, SX, DX)):
                ox, tap_x, reads_x = reader(x, low_x, OW, turn_x, KW, SX, DX)
                place, reads = line + (ox * inner + i), there & reads_x
                g = tl.load(grad + place, reads, 0.0).to(tl.dtype(TILE.number))
                won = tl.load(taps + place, reads, 0).to(tl.int32) == ((tap_z * KH + tap_y) * KW + tap_x)
                acc += tl.where(won, g, 0.0)
    tl.store(result + at, acc.to(result.dtype.element_ty), own)
