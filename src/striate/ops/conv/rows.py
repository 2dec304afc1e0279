"""Large depthwise windows on the GPU: a row of taps is a band matrix, by which rows of the input are multiplied.

Half of the products or more are of taps that there are not, but products of matrices are what a GPU does best.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._triton import (
    divided,
    index_type,
    jit,
    launched,
    number_type,
    product_precision,
    product_type,
    tl,
)

# Taps of a row, and outputs of one, from which a band matrix is worth it.
_TAPS, _OUTPUTS = 7, 8
# Rows, outputs of a row, and inputs of a row that are multiplied at once.
_BLOCK_M, _BLOCK_X, _BLOCK_K = 64, 32, 32
# Rows that one program adds up for the gradient of the weight.
_SLAB = 512


def suits(kernel: Sequence[int], outputs: Sequence[int]) -> bool:
    """Whether windows are as large as this is made for."""
    return kernel[-1] >= _TAPS and outputs[-1] >= _OUTPUTS and math.prod(kernel) >= _TAPS**2


def correlate(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    outputs: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Depthwise convolution of `(N, C, *sizes)` with `(C * multiplier, 1, *kernel)`; its channels do not lie last."""
    shape = (input.shape[0], weight.shape[0], *outputs)
    result = torch.empty(shape, dtype=input.dtype, device=input.device)
    if result.numel():
        settings = _settings(input, result, weight.shape[2:], stride, low, dilation)
        tensors = {"input": input.contiguous(), "weight": weight.contiguous(), "bias": bias, "output": result}
        tiles = divided(result[:, 0].numel() // outputs[-1], _BLOCK_M) * divided(outputs[-1], _BLOCK_X)
        programs = weight.shape[0] * tiles
        launched(_depthwise_rows_kernel, lambda _: (programs,), input, **tensors, **settings)
    return result


def products(
    input: Tensor,
    grad: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """The sums over images and places of grad * input, `(C * multiplier, taps)`, float32 at least."""
    settings = _settings(input, grad, kernel, stride, low, dilation)
    slabs = divided(grad[:, 0].numel() // grad.shape[-1], _SLAB)
    pieces = divided((_BLOCK_X - 1) * stride[-1] + (kernel[-1] - 1) * dilation[-1] + 1, _BLOCK_K)
    wide = torch.promote_types(grad.dtype, torch.float32)
    sums = torch.empty(slabs * pieces, grad.shape[1], math.prod(kernel), dtype=wide, device=grad.device)
    tensors = {"input": input.contiguous(), "grad": grad.contiguous(), "sums": sums}
    programs = slabs * pieces * grad.shape[1] * math.prod(kernel[:-1])
    more = {"pieces": pieces, "SLAB": _SLAB}
    launched(_depthwise_products_kernel, lambda _: (programs,), input, **tensors, **settings, **more)
    return sums.sum(0)


def _settings(
    input: Tensor,
    output: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
) -> dict[str, Any]:
    """What both kernels ask of maps and windows."""
    settings: dict[str, Any] = {
        "N": input.shape[0],
        "OC": output.shape[1],
        "MULTIPLIER": output.shape[1] // input.shape[1],
        "INDEX": index_type(input.contiguous(), output.contiguous()),
        "ACC": number_type(input.dtype),
        "PRODUCT": product_type(input.dtype),
        "PRECISION": product_precision(),
        "BLOCK_M": _BLOCK_M,
        "BLOCK_X": _BLOCK_X,
        "BLOCK_K": _BLOCK_K,
    }
    for names, numbers in (
        ("D H W", three(input.shape[2:], 1)),
        ("OD OH OW", three(output.shape[2:], 1)),
        ("low_z low_y low_x", three(low, 0)),
        ("KD KH KW", three(kernel, 1)),
        ("SZ SY SX", three(stride, 1)),
        ("DZ DY DX", three(dilation, 1)),
    ):
        settings.update(zip(names.split(), numbers, strict=True))
    return settings


@jit
def _depthwise_rows_kernel(
    input: tl.tensor, weight: tl.tensor, bias: tl.tensor, output: tl.tensor, N: tl.tensor, OC: tl.tensor, D: tl.tensor,
    H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor,
    low_x: tl.tensor, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr,
    SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, MULTIPLIER: tl.constexpr,
    INDEX: tl.constexpr, ACC: tl.constexpr, PRODUCT: tl.constexpr, PRECISION: tl.constexpr, BLOCK_M: tl.constexpr,
    BLOCK_X: tl.constexpr, BLOCK_K: tl.constexpr,
) -> None:  # fmt: skip
    """output[n, o, p] = bias[o] + sum over k of weight[o, k] * input[n, o // MULTIPLIER, p * stride + k * d - low]."""
    rows, blocks = N * OD * OH, tl.cdiv(OW, BLOCK_X)
    program = tl.program_id(0).to(INDEX)
    o, begin = program // (blocks * tl.cdiv(rows, BLOCK_M)), program % blocks * BLOCK_X
    m = program // blocks % tl.cdiv(rows, BLOCK_M) * BLOCK_M + tl.arange(0, BLOCK_M)
    n, oz, oy, across = m // (OD * OH), m // OH % OD, m % OH, tl.arange(0, BLOCK_X)
    acc = tl.zeros((BLOCK_M, BLOCK_X), ACC)
    for first in range(0, (BLOCK_X - 1) * SX + (KW - 1) * DX + 1, BLOCK_K):
        j = first + tl.arange(0, BLOCK_K)
        x = begin * SX - low_x + j
        far = j[:, None] - (across * SX)[None, :]
        # The tap that reads an input for an output, and whether there is one.
        kx, band = far // DX, (far >= 0) & (far % DX == 0) & (far // DX < KW)
        for kz in range(KD):
            z = oz * SZ - low_z + kz * DZ
            for ky in range(KH):
                y = oy * SY - low_y + ky * DY
                there = (m < rows) & (z >= 0) & (z < D) & (y >= 0) & (y < H)
                row = (((n * (OC // MULTIPLIER) + o // MULTIPLIER) * D + z) * H + y) * W
                values = tl.load(input + row[:, None] + x[None, :], there[:, None] & ((x >= 0) & (x < W))[None, :], 0.0)
                taps = tl.load(weight + ((o * KD + kz) * KH + ky) * KW + kx, band, 0.0)
                acc = tl.dot(
                    values.to(PRODUCT), taps.to(PRODUCT), acc, input_precision=PRECISION, out_dtype=ACC
                )  # fmt: skip
    if bias is not None:
        acc += tl.load(bias + o).to(ACC)
    ox = begin + across
    to = (((n * OC + o) * OD + oz) * OH + oy)[:, None] * OW + ox[None, :]
    tl.store(output + to, acc.to(output.dtype.element_ty), (m < rows)[:, None] & (ox < OW)[None, :])


@jit
def _depthwise_products_kernel(
    input: tl.tensor, grad: tl.tensor, sums: tl.tensor, N: tl.tensor, OC: tl.tensor, pieces: tl.tensor, D: tl.tensor,
    H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor,
    low_x: tl.tensor, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr,
    SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, MULTIPLIER: tl.constexpr,
    INDEX: tl.constexpr, ACC: tl.constexpr, PRODUCT: tl.constexpr, PRECISION: tl.constexpr, SLAB: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_X: tl.constexpr, BLOCK_K: tl.constexpr,
) -> None:  # fmt: skip
    """sums[slab, o, k] = sum over n and p of a slab of grad[n, o, p] * input[n, o // M, p * stride + k * d - low]."""
    rows, program = N * OD * OH, tl.program_id(0).to(INDEX)
    row_of_taps, o = program % (KD * KH), program // (KD * KH) % OC
    part = program // (KD * KH * OC)
    j, across = part % pieces * BLOCK_K + tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_X)
    acc = tl.zeros((BLOCK_K, BLOCK_X), ACC)
    for start in range(0, SLAB, BLOCK_M):
        m = part // pieces * SLAB + start + tl.arange(0, BLOCK_M)
        n, oz, oy = m // (OD * OH), m // OH % OD, m % OH
        z, y = oz * SZ - low_z + row_of_taps // KH * DZ, oy * SY - low_y + row_of_taps % KH * DY
        there = (m < rows) & (z >= 0) & (z < D) & (y >= 0) & (y < H)
        row = (((n * (OC // MULTIPLIER) + o // MULTIPLIER) * D + z) * H + y) * W
        from_grad = (((n * OC + o) * OD + oz) * OH + oy) * OW
        for begin in range(0, OW, BLOCK_X):
            x, ox = begin * SX - low_x + j, begin + across
            values = tl.load(input + row[None, :] + x[:, None], there[None, :] & ((x >= 0) & (x < W))[:, None], 0.0)
            g = tl.load(grad + from_grad[:, None] + ox[None, :], (m < rows)[:, None] & (ox < OW)[None, :], 0.0)
            acc = tl.dot(values.to(PRODUCT), g.to(PRODUCT), acc, input_precision=PRECISION, out_dtype=ACC)
    far = j[:, None] - (across * SX)[None, :]
    for kx in range(KW):
        total = tl.sum(tl.sum(tl.where(far == kx * DX, acc, 0.0), 1), 0)
        tl.store(sums + ((part * OC + o) * (KD * KH) + row_of_taps) * KW + kx, total)
