"""Norms of windows on the GPU, in either memory format; every window is measured in units of its largest number."""

from typing import Any

import torch
from torch import Tensor

from striate.ops._door import memory_format
from striate.ops._pooling.gpu import launch, numbers_of, reader, windows
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
    settings = windows(input.shape[2:], kernel, stride, low, dilation, maps, result, together)
    launch(_lp_pool_forward_kernel, result, settings, input=maps, result=result, POWER=power)
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
    settings = windows(input.shape[2:], kernel, stride, low, dilation, maps, values, together)
    tensors = {"input": maps, "grad": grads, "norms": values, "result": result}
    launch(_lp_pool_backward_kernel, result, settings, **tensors, POWER=power)
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
    if POWER == 0.5:
        return tl.sqrt(base)
    nothing = base == 0.0
    raised = tl.exp2(POWER * tl.log2(tl.where(nothing, 1.0, base)))
    return tl.where(nothing, 0.0 if POWER > 0 else float("inf"), raised)


@jit
def _lp_pool_forward_kernel(
    input: tl.tensor, result: tl.tensor, count: tl.tensor, inner: tl.tensor, D: tl.tensor, H: tl.tensor, W: tl.tensor,
    OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor, KD: tl.constexpr,
    KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr,
    DY: tl.constexpr, DX: tl.constexpr, POWER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """result[o] = (sum over k of |input[o * stride - low + k * d]| ** POWER) ** (1 / POWER)."""
    at, own, p, oz, oy, ox, i = numbers_of(count, inner, OD, OH, OW, INDEX, BLOCK)
    scale, sums = tl.full((BLOCK,), 1.0, ACC), tl.zeros((BLOCK,), ACC)
    for pass_ in tl.static_range(2):
        for kz in range(KD):
            z = oz * SZ - low_z + kz * DZ
            for ky in range(KH):
                y = oy * SY - low_y + ky * DY
                rows = own & (z >= 0) & (z < D) & (y >= 0) & (y < H)
                for kx in range(KW):
                    x = ox * SX - low_x + kx * DX
                    place = (((p * D + z) * H + y) * W + x) * inner + i
                    value = tl.abs(tl.load(input + place, rows & (x >= 0) & (x < W), 0.0).to(ACC))
                    if pass_ == 0:
                        sums = tl.maximum(sums, value)
                    else:
                        sums += _raised(value / scale, POWER)
        if pass_ == 0:
            scale = tl.where((sums > 0.0) & (sums < float("inf")), sums, 1.0)
            sums = tl.zeros((BLOCK,), ACC)
    tl.store(result + at, scale * _raised(sums, 1.0 / POWER), own)


@jit
def _lp_pool_backward_kernel(
    input: tl.tensor, grad: tl.tensor, norms: tl.tensor, result: tl.tensor, count: tl.tensor, inner: tl.tensor,
    D: tl.tensor, H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor,
    low_y: tl.tensor, low_x: tl.tensor, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr,
    SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, POWER: tl.constexpr,
    INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """result[i] = sign(x) * sum over the windows o that read x of grad[o] * (|x| / norms[o]) ** (POWER - 1)."""
    at, own, p, z, y, x, i = numbers_of(count, inner, D, H, W, INDEX, BLOCK)
    value = tl.load(input + at, own, 0.0).to(ACC)
    size, acc = tl.abs(value), tl.zeros((BLOCK,), ACC)
    for kz in range(KD):
        oz, reads_z = reader(z, kz, low_z, OD, SZ, DZ)
        for ky in range(KH):
            oy, reads_y = reader(y, ky, low_y, OH, SY, DY)
            for kx in range(KW):
                ox, reads_x = reader(x, kx, low_x, OW, SX, DX)
                place = (((p * OD + oz) * OH + oy) * OW + ox) * inner + i
                # The gradient at 0 is 0, whatever the norm is.
                reads = own & reads_z & reads_y & reads_x & (size != 0.0)
                ratio = tl.where(reads, size, 1.0) / tl.load(norms + place, reads, 1.0).to(ACC)
                g = tl.load(grad + place, reads, 0.0).to(ACC)
                acc += tl.where(reads, g * _raised(ratio, POWER - 1.0), 0.0)
    tl.store(result + at, tl.where(value < 0.0, -acc, acc), own)
