"""The products of unshared convolution on the GPU: a small matrix at every spot, read once for many images.

Maps are turned so that the images lie together, `(C, places, N)`: what a tap reads, it reads for all images at once.
Each number of a result is summed by one program, in an order that depends on sizes alone.
"""

import math
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

# The most rows and columns of a tile, and the terms that are multiplied at once.
_ROWS, _COLUMNS, _TERMS = 64, 64, 32


class Layer:
    """An unshared layer: windows with weights of their own at every spot.

    Args:
        weight: `(*spots, out / groups * groups, C / groups, *kernel)`.
        sizes: places of the plane that the windows read, one number an axis, as all that follow but the channels.
        channels: C, of that plane.
        stride: places from one window to the next.
        low: padding before the plane.
        dilation: places from one tap to the next.
    """

    def __init__(
        self, weight: Tensor, sizes: list[int], channels: int, stride: list[int], low: list[int], dilation: list[int]
    ) -> None:
        axes = len(stride)
        spots, (out, into), kernel = weight.shape[:axes], weight.shape[axes : axes + 2], weight.shape[axes + 2 :]
        self.weight, self.groups, self.places = weight.contiguous(), channels // into, math.prod(sizes)
        self.spots, self.out, self.into, self.taps = math.prod(spots), out // self.groups, into, math.prod(kernel)
        self.settings: dict[str, Any] = {
            "G": self.groups,
            "OC": self.out,
            "C": self.into,
            "ACC": number_type(weight.dtype),
            "PRODUCT": product_type(weight.dtype),
            "PRECISION": product_precision(),
        }
        for names, numbers in (
            ("D H W", three(sizes, 1)),
            ("OD OH OW", three(spots, 1)),
            ("KD KH KW", three(kernel, 1)),
            ("SZ SY SX", three(stride, 1)),
            ("low_z low_y low_x", three(low, 0)),
            ("DZ DY DX", three(dilation, 1)),
        ):
            self.settings.update(zip(names.split(), numbers, strict=True))

    def gather(self, plane: Tensor, bias: Tensor | None, result: Tensor) -> None:
        """result[n, o, p] = bias[p, o] + sum over c and k of weight[p, o, c, k] * plane[n, c, p * s + k * d - low]."""
        turned, sums = _turned(plane), _room(result)
        tensors = {"plane": turned, "weight": self.weight, "bias": _dense(bias), "result": sums}
        self._launch(_gather_kernel, self.spots, self.out, plane.shape[0], tensors, bias_step=_step(bias))
        result.copy_(sums.permute(2, 0, 1).view(result.shape))

    def scatter(self, spots: Tensor, bias: Tensor | None, result: Tensor) -> None:
        """result[n, c, i] = bias[i, c] + sum of weight[p, o, c, k] * spots[n, o, p] where p * s + k * d - low = i."""
        turned, sums = _turned(spots), _room(result)
        tensors = {"spots": turned, "weight": self.weight, "bias": _dense(bias), "result": sums}
        self._launch(_scatter_kernel, self.places, self.into, spots.shape[0], tensors, bias_step=_step(bias))
        result.copy_(sums.permute(2, 0, 1).view(result.shape))

    def outer(self, plane: Tensor, spots: Tensor, result: Tensor) -> None:
        """result[p, o, c, k] = sum over n of spots[n, o, p] * plane[n, c, p * s + k * d - low]."""
        tensors = {"plane": _turned(plane), "spots": _turned(spots), "result": result}
        self._launch(_outer_kernel, self.spots, self.out, self.into * self.taps, tensors, N=plane.shape[0])

    def _launch(
        self, kernel: Any, matrices: int, rows: int, columns: int, tensors: dict[str, Any], **more: Any
    ) -> None:
        """Run a kernel for a matrix of so many rows and columns in each group at each place."""
        blocks = {"BLOCK_M": _tile(rows, _ROWS), "BLOCK_N": _tile(columns, _COLUMNS)}
        tiles = divided(rows, blocks["BLOCK_M"]) * divided(columns, blocks["BLOCK_N"])
        programs, index = matrices * self.groups * tiles, index_type(*tensors.values())
        settings = {"N": columns, **self.settings, **blocks, "BLOCK_R": _TERMS, **more, "INDEX": index}
        launched(kernel, lambda _: (programs,), self.weight, **tensors, **settings)


def _turned(maps: Tensor) -> Tensor:
    """Maps `(N, C, *sizes)` as `(C, places, N)`."""
    return maps.flatten(2).permute(1, 2, 0).contiguous()


def _room(result: Tensor) -> Tensor:
    """What a kernel writes for a result `(N, C, *sizes)`: `(C, places, N)`."""
    images, channels, *sizes = result.shape
    return torch.empty(channels, math.prod(sizes), images, dtype=result.dtype, device=result.device)


def _dense(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.contiguous()


def _step(bias: Tensor | None) -> int:
    """From one place to the next of a bias `(*sizes, out)`; one `(out,)` is the same everywhere."""
    return 0 if bias is None or bias.ndim == 1 else bias.shape[-1]


def _tile(size: int, most: int) -> int:
    """How much of a size is done at once; products of matrices take no fewer than sixteen."""
    return max(16, min(most, 1 << (size - 1).bit_length()))


@jit
def _matrix(
    M: tl.tensor, N: tl.tensor, G: tl.tensor, INDEX: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr
) -> Any:
    """The place, the group, the rows and the columns that a program works on."""
    program = tl.program_id(0).to(INDEX)
    across, along = tl.cdiv(N, BLOCK_N), tl.cdiv(M, BLOCK_M)
    m = program // across % along * BLOCK_M + tl.arange(0, BLOCK_M)
    n = program % across * BLOCK_N + tl.arange(0, BLOCK_N)
    matrix = program // (across * along)
    return matrix // G, matrix % G, m, n


@jit
def _read_by(
    p: tl.tensor, tap: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor, D: tl.tensor, H: tl.tensor,
    W: tl.tensor, OH: tl.tensor, OW: tl.tensor, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr,
    SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr,
) -> Any:  # fmt: skip
    """The place of the plane that a tap reads at a spot, and whether there is one."""
    z = p // (OH * OW) * SZ - low_z + tap // (KH * KW) * DZ
    y = p // OW % OH * SY - low_y + tap // KW % KH * DY
    x = p % OW * SX - low_x + tap % KW * DX
    return (z * H + y) * W + x, (z >= 0) & (z < D) & (y >= 0) & (y < H) & (x >= 0) & (x < W)


@jit
def _gather_kernel(
    plane: tl.tensor, weight: tl.tensor, bias: tl.tensor, result: tl.tensor, bias_step: tl.tensor, N: tl.tensor,
    G: tl.tensor, OC: tl.tensor, C: tl.tensor, D: tl.tensor, H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor,
    OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor, KD: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr,
    DX: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, PRODUCT: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_R: tl.constexpr,
) -> None:  # fmt: skip
    """result[o, p, n] = bias[p, o] + sum over r = (c, k) of weight[p, o, r] * plane[c, i(p, k), n]."""
    p, g, o, n = _matrix(OC, N, G, INDEX, BLOCK_M, BLOCK_N)
    own, TAPS = (o < OC)[:, None] & (n < N)[None, :], KD * KH * KW
    terms = C * TAPS
    row = g * OC + o
    acc = tl.zeros((BLOCK_M, BLOCK_N), ACC)
    for begin in range(0, terms, BLOCK_R):
        r = begin + tl.arange(0, BLOCK_R)
        place, inside = _read_by(
            p, r % TAPS, low_z, low_y, low_x, D, H, W, OH, OW, KH, KW, SZ, SY, SX, DZ, DY, DX
        )  # fmt: skip
        at = ((p * G * OC + row) * terms)[:, None] + r[None, :]
        w = tl.load(weight + at, (o < OC)[:, None] & (r < terms)[None, :], 0.0)
        read = ((g * C + r // TAPS) * (D * H * W) + place)[:, None] * N + n[None, :]
        x = tl.load(plane + read, (inside & (r < terms))[:, None] & (n < N)[None, :], 0.0)
        acc = tl.dot(w.to(PRODUCT), x.to(PRODUCT), acc, input_precision=PRECISION, out_dtype=ACC)
    if bias is not None:
        acc += tl.load(bias + p * bias_step + row, o < OC, 0.0).to(ACC)[:, None]
    to = (row * (OD * OH * OW) + p)[:, None] * N + n[None, :]
    tl.store(result + to, acc.to(result.dtype.element_ty), own)


@jit
def _scatter_kernel(
    spots: tl.tensor, weight: tl.tensor, bias: tl.tensor, result: tl.tensor, bias_step: tl.tensor, N: tl.tensor,
    G: tl.tensor, OC: tl.tensor, C: tl.tensor, D: tl.tensor, H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor,
    OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor, KD: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr,
    DX: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, PRODUCT: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_R: tl.constexpr,
) -> None:  # fmt: skip
    """result[c, i, n] = bias[i, c] + sum over k and o of weight[p, o, c, k] * spots[o, p, n] where p reads i."""
    i, g, c, n = _matrix(C, N, G, INDEX, BLOCK_M, BLOCK_N)
    own, TAPS = (c < C)[:, None] & (n < N)[None, :], KD * KH * KW
    acc = tl.zeros((BLOCK_M, BLOCK_N), ACC)
    for tap in range(TAPS):
        z = i // (H * W) + low_z - tap // (KH * KW) * DZ
        y = i // W % H + low_y - tap // KW % KH * DY
        x = i % W + low_x - tap % KW * DX
        oz, oy, ox = z // SZ, y // SY, x // SX
        p = (oz * OH + oy) * OW + ox
        whole = (z >= 0) & (y >= 0) & (x >= 0) & (z % SZ == 0) & (y % SY == 0) & (x % SX == 0)
        if whole & (oz < OD) & (oy < OH) & (ox < OW):
            for begin in range(0, OC, BLOCK_R):
                o = begin + tl.arange(0, BLOCK_R)
                at = ((p * G + g) * OC + o)[None, :] * (C * TAPS) + c[:, None] * TAPS + tap
                w = tl.load(weight + at, (c < C)[:, None] & (o < OC)[None, :], 0.0)
                read = ((g * OC + o) * (OD * OH * OW) + p)[:, None] * N + n[None, :]
                s = tl.load(spots + read, (o < OC)[:, None] & (n < N)[None, :], 0.0)
                acc = tl.dot(w.to(PRODUCT), s.to(PRODUCT), acc, input_precision=PRECISION, out_dtype=ACC)
    if bias is not None:
        acc += tl.load(bias + i * bias_step + g * C + c, c < C, 0.0).to(ACC)[:, None]
    to = ((g * C + c) * (D * H * W) + i)[:, None] * N + n[None, :]
    tl.store(result + to, acc.to(result.dtype.element_ty), own)


@jit
def _outer_kernel(
    plane: tl.tensor, spots: tl.tensor, result: tl.tensor, N: tl.tensor, G: tl.tensor, OC: tl.tensor, C: tl.tensor,
    D: tl.tensor, H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor,
    low_y: tl.tensor, low_x: tl.tensor, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr,
    SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, INDEX: tl.constexpr,
    ACC: tl.constexpr, PRODUCT: tl.constexpr, PRECISION: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    BLOCK_R: tl.constexpr,
) -> None:  # fmt: skip
    """result[p, o, r] = sum over n of spots[o, p, n] * plane[c, i(p, k), n] for r = (c, k)."""
    TAPS = KD * KH * KW
    terms = C * TAPS
    p, g, o, r = _matrix(OC, terms, G, INDEX, BLOCK_M, BLOCK_N)
    place, inside = _read_by(
        p, r % TAPS, low_z, low_y, low_x, D, H, W, OH, OW, KH, KW, SZ, SY, SX, DZ, DY, DX
    )  # fmt: skip
    acc = tl.zeros((BLOCK_M, BLOCK_N), ACC)
    row = g * OC + o
    for begin in range(0, N, BLOCK_R):
        n = begin + tl.arange(0, BLOCK_R)
        from_spot = (row * (OD * OH * OW) + p)[:, None] * N + n[None, :]
        s = tl.load(spots + from_spot, (o < OC)[:, None] & (n < N)[None, :], 0.0)
        read = ((g * C + r // TAPS) * (D * H * W) + place)[None, :] * N + n[:, None]
        x = tl.load(plane + read, (inside & (r < terms))[None, :] & (n < N)[:, None], 0.0)
        acc = tl.dot(s.to(PRODUCT), x.to(PRODUCT), acc, input_precision=PRECISION, out_dtype=ACC)
    to = ((p * G * OC + row) * terms)[:, None] + r[None, :]
    tl.store(result + to, acc.to(result.dtype.element_ty), (o < OC)[:, None] & (r < terms)[None, :])
