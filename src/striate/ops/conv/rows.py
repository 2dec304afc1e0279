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
    tuned,
)

# Taps of a row and of a window, and outputs of a row, from which a band matrix is worth it.
_WIDTH, _TAPS, _OUTPUTS = 7, 49, 8
# The most outputs and inputs of a row in a tile.
_ACROSS = 64
# Of the gradient of the weight: outputs and inputs of a row in a tile, rows that a program takes at least, and programs
# from which more of them are not worth their sums.
_BLOCK_X, _BLOCK_K = 32, 64
_ROWS, _PROGRAMS = 64, 2048
# Bytes that are read at once.
_WIDE = 16


def suits(kernel: Sequence[int], outputs: Sequence[int]) -> bool:
    """Whether windows are as large as this is made for."""
    return kernel[-1] >= _WIDTH and outputs[-1] >= _OUTPUTS and math.prod(kernel) >= _TAPS


def rounded(dtype: torch.dtype) -> bool:
    """Whether units for products of matrices take numbers of a dtype."""
    return dtype in (torch.bfloat16, torch.float16) or (dtype == torch.float32 and product_precision() != "ieee")


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
    maps, (channels, _, *kernel) = input.contiguous(), weight.shape
    result = torch.empty((maps.shape[0], channels, *outputs), dtype=maps.dtype, device=maps.device)
    if not result.numel():
        return result
    # Zeros for the taps that there are not, on both sides of a row.
    around, reach = (_ACROSS - 1) * stride[-1] + _WIDE, dilation[-1] * (kernel[-1] - 1) + 1
    bands = weight.new_zeros(channels, math.prod(kernel[:-1]), around + reach + around + _ACROSS)
    bands[..., around : around + reach : dilation[-1]] = weight.reshape(*bands.shape[:2], kernel[-1])
    rows = result[:, 0].numel() // outputs[-1]

    def programs(all: dict[str, Any]) -> tuple[int]:
        return (channels * divided(rows * divided(outputs[-1], all["BLOCK_X"]), all["BLOCK_M"]),)

    settings = _settings(maps, result, kernel, stride, low, dilation)
    settings |= {"reach": reach, "left": around, "length": bands.shape[2], "INDEX": index_type(maps, result, bands)}
    tensors = {"input": maps, "bands": bands, "bias": bias, "output": result}
    launched(_depthwise_rows_kernel, programs, maps, **tensors, **settings)
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
    maps, grads, channels = input.contiguous(), grad.contiguous(), grad.shape[1]
    settings = _settings(maps, grads, kernel, stride, low, dilation)
    reach = dilation[-1] * (kernel[-1] - 1) + 1
    pieces = divided(settings["shift"] + (_BLOCK_X - 1) * stride[-1] + reach, _BLOCK_K)
    own, units = pieces * channels * math.prod(kernel[:-1]), divided(math.prod(grads[:, 0].shape[:-1]), _ROWS)
    slabs = max(1, min(units, _PROGRAMS // own))
    sums = torch.empty(
        slabs * pieces,
        channels,
        math.prod(kernel),
        dtype=torch.promote_types(grads.dtype, torch.float32),
        device=grads.device,
    )
    more = {
        "slabs": slabs,
        "pieces": pieces,
        "KW": kernel[-1],
        "DX": dilation[-1],
        "TAPS": min(_rounded(kernel[-1]), _BLOCK_K),
        "MOST_Y": _rounded(settings["OH"]),
        "INDEX": index_type(maps, grads, sums),
        "BLOCK_X": _BLOCK_X,
        "BLOCK_K": _BLOCK_K,
    }
    tensors = {"input": maps, "grad": grads, "sums": sums}
    launched(_depthwise_products_kernel, lambda _: (slabs * own,), maps, **tensors, **settings, **more)
    return sums.sum(0)


def _rounded(size: int) -> int:
    """The next power of two."""
    return 1 << (size - 1).bit_length()


def _settings(
    input: Tensor,
    output: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
) -> dict[str, Any]:
    """What both kernels ask of maps and windows."""
    wide = _WIDE // input.element_size()
    align, align_o = (math.gcd(maps.shape[-1], wide) for maps in (input, output))
    shift = -low[-1] % align
    settings: dict[str, Any] = {
        "N": input.shape[0],
        "OC": output.shape[1],
        "MULTIPLIER": output.shape[1] // input.shape[1],
        "ACC": number_type(input.dtype),
        "VALUE": product_type(input.dtype),
        "PRECISION": product_precision(),
        "ALIGN": align,
        "ALIGN_O": align_o,
        "shift": shift,
    }
    for names, numbers in (
        ("D H", three(input.shape[2:], 1)),
        ("OD OH", three(output.shape[2:], 1)),
        ("low_z low_y", three(low, 0)),
        ("KD KH", three(kernel, 1)),
        ("SZ SY SX", three(stride, 1)),
        ("DZ DY", three(dilation, 1)),
    ):
        settings.update(zip(names.split(), numbers, strict=False))
    # Widths in steps of what is read at once, so that the compiler sees it.
    settings |= {"W": input.shape[-1] // align, "OW": output.shape[-1] // align_o, "low_x": (low[-1] + shift) // align}
    return settings


@tuned(
    [
        {"BLOCK_M": 128, "BLOCK_X": 32, "BLOCK_K": 32, "num_warps": 4, "num_stages": 1},
        {"BLOCK_M": 128, "BLOCK_X": 32, "BLOCK_K": 64, "num_warps": 4, "num_stages": 1},
        {"BLOCK_M": 64, "BLOCK_X": 32, "BLOCK_K": 32, "num_warps": 4, "num_stages": 1},
    ],
    key=["KD", "KH", "reach"],
    small={"BLOCK_M": 16, "BLOCK_X": 16, "BLOCK_K": 16},
    exact=[
        {"BLOCK_M": 64, "BLOCK_X": 16, "BLOCK_K": 16, "num_warps": 1, "num_stages": 1},
        {"BLOCK_M": 128, "BLOCK_X": 16, "BLOCK_K": 16, "num_warps": 2, "num_stages": 1},
        {"BLOCK_M": 64, "BLOCK_X": 32, "BLOCK_K": 16, "num_warps": 2, "num_stages": 1},
    ],
)
@jit
def _depthwise_rows_kernel(
    input: tl.tensor, bands: tl.tensor, bias: tl.tensor, output: tl.tensor, N: tl.tensor, OC: tl.tensor, D: tl.tensor,
    H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor,
    low_x: tl.tensor, shift: tl.tensor, reach: tl.tensor, left: tl.tensor, length: tl.tensor, KD: tl.constexpr,
    KH: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr,
    MULTIPLIER: tl.constexpr, ALIGN: tl.constexpr, ALIGN_O: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr,
    VALUE: tl.constexpr, PRECISION: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_X: tl.constexpr, BLOCK_K: tl.constexpr,
) -> None:  # fmt: skip
    """output[n, o, p] = bias[o] + sum over k of weight[o, k] * input[n, o // MULTIPLIER, p * stride + k * d - low]."""
    wide, wide_o, before = W * ALIGN, OW * ALIGN_O, low_x * ALIGN
    rows, program = N * OD * OH, tl.program_id(0).to(INDEX)
    # Pieces of rows, those from the same columns one after another.
    pieces = rows * tl.cdiv(wide_o, BLOCK_X)
    tiles = tl.cdiv(pieces, BLOCK_M)
    o, top = program // tiles, program % tiles * BLOCK_M
    m = top + tl.arange(0, BLOCK_M)
    begin, n, oz, oy = m // rows * BLOCK_X, m % rows // (OD * OH), m // OH % OD, m % OH
    z, y = tl.where(m < pieces, oz * SZ - low_z, -KD * DZ), oy * SY - low_y
    across, start = tl.arange(0, BLOCK_X), begin * SX - before
    row = (((n * (OC // MULTIPLIER) + o // MULTIPLIER) * D + z) * H + y) * W * ALIGN + start
    deep, high = tl.full((), D, tl.uint32), tl.full((), H, tl.uint32)
    acc = tl.zeros((BLOCK_M, BLOCK_X), ACC)
    # What all pieces of the tile have before the input's columns, and behind them.
    none = tl.maximum(before - (tl.minimum(top + BLOCK_M, pieces) - 1) // rows * (BLOCK_X * SX), 0) // BLOCK_K * BLOCK_K
    most = tl.minimum(shift + (BLOCK_X - 1) * SX + reach, wide + before - top // rows * (BLOCK_X * SX))
    for first in range(none, most, BLOCK_K):
        j = first + tl.arange(0, BLOCK_K)
        x = start[:, None] + j[None, :]
        inside = (x >= 0) & (x < wide)
        from_input = input + (row[:, None] + j[None, :])
        from_bands = bands + (o * (KD * KH * length) + left - shift + j[:, None] - (across * SX)[None, :])
        for line in range(KD * KH):
            dz, dy = line // KH * DZ, line % KH * DY
            there = ((z + dz).to(tl.uint32) < deep) & ((y + dy).to(tl.uint32) < high)
            values = tl.load(from_input + (dz * H + dy) * wide, there[:, None] & inside, 0.0)
            taps = tl.load(from_bands + line * length)
            acc = tl.dot(values.to(VALUE), taps.to(VALUE), acc, input_precision=PRECISION, out_dtype=ACC)
    if bias is not None:
        acc += tl.load(bias + o).to(ACC)
    ox = begin[:, None] + across[None, :]
    to = (((n * OC + o) * OD + oz) * OH + oy)[:, None] * wide_o + ox
    tl.store(output + to, acc.to(output.dtype.element_ty), (m < pieces)[:, None] & (ox < wide_o))


@tuned(
    [
        {"BLOCK_M": 64, "num_warps": 4, "num_stages": 1},
        {"BLOCK_M": 64, "num_warps": 2, "num_stages": 1},
        {"BLOCK_M": 32, "num_warps": 4, "num_stages": 1},
    ],
    key=["KD", "KH", "KW", "MOST_Y"],
    small={"BLOCK_M": 16},
    exact=[
        {"BLOCK_M": 16, "num_warps": 1, "num_stages": 1},
        {"BLOCK_M": 32, "num_warps": 2, "num_stages": 1},
    ],
)
@jit
def _depthwise_products_kernel(
    input: tl.tensor, grad: tl.tensor, sums: tl.tensor, slabs: tl.tensor, pieces: tl.tensor, N: tl.tensor,
    OC: tl.tensor, D: tl.tensor, H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor,
    low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor, shift: tl.tensor, KD: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, TAPS: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr,
    DY: tl.constexpr, DX: tl.constexpr, MULTIPLIER: tl.constexpr, MOST_Y: tl.constexpr, ALIGN: tl.constexpr,
    ALIGN_O: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, VALUE: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_X: tl.constexpr, BLOCK_K: tl.constexpr,
) -> None:  # fmt: skip
    """sums[slab, o, k] = sum over n and p of a slab of grad[n, o, p] * input[n, o // M, p * stride + k * d - low]."""
    wide, wide_o, program = W * ALIGN, OW * ALIGN_O, tl.program_id(0).to(INDEX)
    line, o, part = program % (KD * KH), program // (KD * KH) % OC, program // (KD * KH * OC)
    piece, slab = part % pieces * BLOCK_K, part // pieces
    j, across = piece + tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_X)
    # Rows of one plane, and planes of images where one has too few.
    BLOCK_Y: tl.constexpr = min(BLOCK_M, MOST_Y)
    BLOCK_N: tl.constexpr = BLOCK_M // BLOCK_Y
    of_n, of_y = tl.arange(0, BLOCK_M) // BLOCK_Y, tl.arange(0, BLOCK_M) % BLOCK_Y
    blocks_y = tl.cdiv(OH, BLOCK_Y)
    units = tl.cdiv(N, BLOCK_N) * OD * blocks_y
    deep, high = tl.full((), D, tl.uint32), tl.full((), H, tl.uint32)
    acc = tl.zeros((BLOCK_K, BLOCK_X), ACC)
    for unit in range(units * slab // slabs, units * (slab + 1) // slabs):
        n, oz = unit // (OD * blocks_y) * BLOCK_N + of_n, unit // blocks_y % OD
        oy = unit % blocks_y * BLOCK_Y + of_y
        z, y = oz * SZ - low_z + line // KH * DZ, oy * SY - low_y + line % KH * DY
        own = (n < N) & (oy < OH)
        there = own & (z.to(tl.uint32) < deep) & (y.to(tl.uint32) < high)
        row = (((n * (OC // MULTIPLIER) + o // MULTIPLIER) * D + z) * H + y) * W * ALIGN
        to = (((n * OC + o) * OD + oz) * OH + oy) * OW * ALIGN_O
        for begin in range(0, wide_o, BLOCK_X):
            x, ox = begin * SX - low_x * ALIGN + j, begin + across
            values = tl.load(
                input + (row[None, :] + x[:, None]), there[None, :] & ((x >= 0) & (x < wide))[:, None], 0.0
            )
            g = tl.load(grad + (to[:, None] + ox[None, :]), own[:, None] & (ox < wide_o)[None, :], 0.0)
            acc = tl.dot(values.to(VALUE), g.to(VALUE), acc, input_precision=PRECISION, out_dtype=ACC)
    # The sums of a tap lie on a diagonal.
    for first in range(0, KW, TAPS):
        kx = first + tl.arange(0, TAPS)
        at = (kx * DX)[:, None] + (across * SX)[None, :] + shift - piece
        found = (at >= 0) & (at < BLOCK_K)
        total = tl.sum(tl.where(found, tl.gather(acc, tl.where(found, at, 0).to(tl.int32), 0), 0.0), 1)
        tl.store(sums + ((part * OC + o) * (KD * KH) + line) * KW + kx, total, kx < KW)
