"""The products of unshared convolution on the GPU: a small matrix at every spot, read once for many images.

What a tap reads, it reads for all images at once: these lie side by side. Each number of a result is summed by one
program, in an order that depends on sizes alone.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._door import memory_format
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

# The most rows and images of a tile, and the terms that are multiplied at once; of an outer product, the most columns
# and images. Numbers of a tile that a warp takes.
_ROWS, _IMAGES, _TERMS = 64, 128, 32
_OUTER_COLUMNS, _OUTER_TERMS = 64, 16
_WARP = 1024
# Numbers of a tile that is transposed, and of maps from which this is done tile by tile.
_TILE, _LARGE = 4096, 1 << 20


@dataclass(frozen=True, slots=True)
class Beside:
    """Maps `(N, C, *sizes)`, the images side by side in memory.

    Args:
        values: the numbers.
        images: N.
        channel: from one channel to the next.
        place: from one place to the next.
    """

    values: Tensor
    images: int
    channel: int
    place: int


def beside(maps: Tensor) -> Beside:
    """Lay maps so; what lay side by side before comes next."""
    images, channels, *sizes = maps.shape
    places, last = math.prod(sizes), memory_format(maps) != torch.contiguous_format
    values = (maps.movedim(1, -1) if last else maps).reshape(images, channels * places)
    if images > 1:
        # What is small waits for its launch, and PyTorch's is the quicker one.
        small = values.numel() < _LARGE
        values = values.t().contiguous() if small else _swap(values, torch.empty_like(values), 1, *values.shape)
    return Beside(values, images, *((images, channels * images) if last else (places * images, images)))


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
        self.settings = {
            **_windows(tuple(sizes), spots, kernel, tuple(stride), tuple(low), tuple(dilation)),
            "G": self.groups,
            "OC": self.out,
            "C": self.into,
            "ACC": number_type(weight.dtype),
            "PRODUCT": product_type(weight.dtype),
            "PRECISION": product_precision(),
        }

    def gather(self, plane: Beside, bias: Tensor | None, result: Tensor) -> None:
        """result[n, o, p] = bias[p, o] + sum over c and k of weight[p, o, c, k] * plane[n, c, p * s + k * d - low]."""
        self._write(_gather_kernel, self.spots, self.out, plane, self.weight, bias, result)

    def scatter(self, spots: Beside, bias: Tensor | None, result: Tensor) -> None:
        """result[n, c, i] = bias[i, c] + sum of weight[p, o, c, k] * spots[n, o, p] where p * s + k * d - low = i."""
        # A place reads one tap of each of its spots: what is read together shall lie together.
        weight = self.weight
        if self.taps > 1:
            weight = _swap(weight, torch.empty_like(weight), self.spots * self.groups, self.out * self.into, self.taps)
        self._write(_scatter_kernel, self.places, self.into, spots, weight, bias, result)

    def outer(self, plane: Beside, spots: Beside, result: Tensor) -> None:
        """result[p, o, c, k] = sum over n of spots[n, o, p] * plane[n, c, p * s + k * d - low]."""
        tensors = {"plane": plane.values, "spots": spots.values, "result": result}
        steps = {"plane_c": plane.channel, "plane_p": plane.place, "spots_c": spots.channel, "spots_p": spots.place}
        columns = self.into * self.taps
        blocks = {"BLOCK_N": _tile(columns, _OUTER_COLUMNS), "BLOCK_R": _OUTER_TERMS}
        self._launch(_outer_kernel, self.spots, self.out, columns, blocks, tensors, N=plane.images, **steps)

    def _write(
        self,
        kernel: Any,
        matrices: int,
        rows: int,
        source: Beside,
        weight: Tensor,
        bias: Tensor | None,
        result: Tensor,
    ) -> None:
        """Let a kernel write a result `(N, C, *sizes)`, dense in its memory format."""
        images, channels, *sizes = result.shape
        places, last = math.prod(sizes), memory_format(result) != torch.contiguous_format
        # Every number of a row of images is a memory transaction of its own, where these lie apart.
        apart = images == 1 or result.numel() < _LARGE
        target = result if apart else torch.empty_like(result)
        step_n, between = (channels * places, 1) if apart else (1, images)
        step_c, step_p = (between, channels * between) if last else (places * between, between)
        tensors = {
            "source": source.values,
            "weight": weight,
            "bias": None if bias is None else bias.contiguous(),
            "result": target,
        }
        steps = {"source_c": source.channel, "source_p": source.place, "step_n": step_n, "step_c": step_c}
        bias_step = 0 if bias is None or bias.ndim == 1 else bias.shape[-1]
        blocks = {"BLOCK_N": _tile(images, min(_IMAGES, 512 // result.element_size())), "BLOCK_R": _TERMS}
        more = {"N": images, "step_p": step_p, "bias_step": bias_step}
        self._launch(kernel, matrices, rows, images, blocks, tensors, **steps, **more)
        if not apart:
            _swap(target, result, 1, channels * places, images)

    def _launch(
        self,
        kernel: Any,
        matrices: int,
        rows: int,
        columns: int,
        blocks: dict[str, int],
        tensors: dict[str, Any],
        **more: Any,
    ) -> None:
        """Run a kernel for a matrix of so many rows and columns in each group at each place."""
        tile_m, tile_n = _tile(rows, _ROWS), blocks["BLOCK_N"]
        programs = matrices * self.groups * divided(rows, tile_m) * divided(columns, tile_n)
        settings = {**self.settings, **blocks, "BLOCK_M": tile_m, **more, "INDEX": index_type(*tensors.values())}
        warps = max(1, min(4, tile_m * tile_n // _WARP))
        launched(kernel, lambda _: (programs,), self.weight, **tensors, **settings, num_warps=warps)


@functools.lru_cache(1024)
def _windows(*lists: tuple[int, ...]) -> dict[str, int]:
    """What the kernels ask of windows: plane, spots, kernel, stride, low and dilation."""
    names = ("D H W", "OD OH OW", "KD KH KW", "SZ SY SX", "low_z low_y low_x", "DZ DY DX")
    found: dict[str, int] = {}
    for three_names, numbers, missing in zip(names, lists, (1, 1, 1, 1, 0, 1), strict=True):
        found.update(zip(three_names.split(), three(numbers, missing), strict=True))
    return found


def _tile(size: int, most: int) -> int:
    """How much of a size is done at once; products of matrices take no fewer than sixteen."""
    return max(16, min(most, _rounded(size)))


def _rounded(size: int) -> int:
    """The next power of two."""
    return 1 << (size - 1).bit_length()


def _swap(source: Tensor, result: Tensor, matrices: int, rows: int, columns: int) -> Tensor:
    """The result, into which each of the matrices `(rows, columns)` of the source is written as `(columns, rows)`."""
    across = min(_rounded(columns), max(64, _TILE // _rounded(rows)))
    along = min(_rounded(rows), _TILE // across)
    programs = matrices * divided(rows, along) * divided(columns, across)
    blocks = {"R": rows, "S": columns, "INDEX": index_type(source), "BLOCK_R": along, "BLOCK_S": across}
    launched(_swap_kernel, lambda _: (programs,), source, source=source, result=result, **blocks)
    return result


@jit
def _swap_kernel(
    source: tl.tensor, result: tl.tensor, R: tl.tensor, S: tl.tensor, INDEX: tl.constexpr, BLOCK_R: tl.constexpr,
    BLOCK_S: tl.constexpr,
) -> None:  # fmt: skip
    """result[b, s, r] = source[b, r, s]."""
    program = tl.program_id(0).to(INDEX)
    across, along = tl.cdiv(S, BLOCK_S), tl.cdiv(R, BLOCK_R)
    r = (program // across % along * BLOCK_R + tl.arange(0, BLOCK_R))[:, None]
    s = (program % across * BLOCK_S + tl.arange(0, BLOCK_S))[None, :]
    first, own = program // (across * along) * (R * S), (r < R) & (s < S)
    tl.store(result + (first + s * R + r), tl.load(source + (first + r * S + s), own), own)


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
    source: tl.tensor, weight: tl.tensor, bias: tl.tensor, result: tl.tensor, source_c: tl.tensor, source_p: tl.tensor,
    step_n: tl.tensor, step_c: tl.tensor, step_p: tl.tensor, bias_step: tl.tensor, N: tl.tensor, G: tl.tensor,
    OC: tl.tensor, C: tl.tensor, D: tl.tensor, H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor,
    OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor, KD: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr,
    DX: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, PRODUCT: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_R: tl.constexpr,
) -> None:  # fmt: skip
    """result[o, p, n] = bias[p, o] + sum over r = (c, k) of weight[p, o, r] * source[c, i(p, k), n]."""
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
        read = ((g * C + r // TAPS) * source_c + place * source_p)[:, None] + n[None, :]
        x = tl.load(source + read, (inside & (r < terms))[:, None] & (n < N)[None, :], 0.0)
        acc = tl.dot(w.to(PRODUCT), x.to(PRODUCT), acc, input_precision=PRECISION, out_dtype=ACC)
    if bias is not None:
        acc += tl.load(bias + p * bias_step + row, o < OC, 0.0).to(ACC)[:, None]
    to = (row * step_c + p * step_p)[:, None] + (n * step_n)[None, :]
    tl.store(result + to, acc.to(result.dtype.element_ty), own)


@jit
def _scatter_kernel(
    source: tl.tensor, weight: tl.tensor, bias: tl.tensor, result: tl.tensor, source_c: tl.tensor, source_p: tl.tensor,
    step_n: tl.tensor, step_c: tl.tensor, step_p: tl.tensor, bias_step: tl.tensor, N: tl.tensor, G: tl.tensor,
    OC: tl.tensor, C: tl.tensor, D: tl.tensor, H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor,
    OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor, KD: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr,
    DX: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, PRODUCT: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_R: tl.constexpr,
) -> None:  # fmt: skip
    """result[c, i, n] = bias[i, c] + sum over k and o of weight[p, k, o, c] * source[o, p, n] where p reads i."""
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
                at = (((p * G + g) * TAPS + tap) * OC + o)[None, :] * C + c[:, None]
                w = tl.load(weight + at, (c < C)[:, None] & (o < OC)[None, :], 0.0)
                read = ((g * OC + o) * source_c + p * source_p)[:, None] + n[None, :]
                s = tl.load(source + read, (o < OC)[:, None] & (n < N)[None, :], 0.0)
                acc = tl.dot(w.to(PRODUCT), s.to(PRODUCT), acc, input_precision=PRECISION, out_dtype=ACC)
    if bias is not None:
        acc += tl.load(bias + i * bias_step + g * C + c, c < C, 0.0).to(ACC)[:, None]
    to = ((g * C + c) * step_c + i * step_p)[:, None] + (n * step_n)[None, :]
    tl.store(result + to, acc.to(result.dtype.element_ty), own)


@jit
def _outer_kernel(
    plane: tl.tensor, spots: tl.tensor, result: tl.tensor, plane_c: tl.tensor, plane_p: tl.tensor, spots_c: tl.tensor,
    spots_p: tl.tensor, N: tl.tensor, G: tl.tensor, OC: tl.tensor, C: tl.tensor, D: tl.tensor, H: tl.tensor,
    W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor,
    KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr,
    DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr,
    PRODUCT: tl.constexpr, PRECISION: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
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
        from_spot = (row * spots_c + p * spots_p)[:, None] + n[None, :]
        s = tl.load(spots + from_spot, (o < OC)[:, None] & (n < N)[None, :], 0.0)
        read = ((g * C + r // TAPS) * plane_c + place * plane_p)[None, :] + n[:, None]
        x = tl.load(plane + read, (inside & (r < terms))[None, :] & (n < N)[:, None], 0.0)
        acc = tl.dot(s.to(PRODUCT), x.to(PRODUCT), acc, input_precision=PRECISION, out_dtype=ACC)
    to = ((p * G * OC + row) * terms)[:, None] + r[None, :]
    tl.store(result + to, acc.to(result.dtype.element_ty), (o < OC)[:, None] & (r < terms)[None, :])
