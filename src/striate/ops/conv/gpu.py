"""Depthwise convolution on the GPU, in either memory format.

`rows` takes large windows, `planes` small ones of stride 1, the kernels here all others, in tiles of places times
channels: many places of one plane, or few places of channels that lie together. Nothing is added up in an order that
could change: each gradient of the input is gathered, and that of the weight is summed in slabs that depend on sizes
alone.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._door import memory_format
from striate.ops._triton import divided, index_type, jit, launched, number_type, tl
from striate.ops.conv import planes, rows

# Outputs of a row from which products of matrices win where there is a choice.
_WIDE = 16
# Numbers of a tile, and the most channels of one.
_TILE, _CHANNELS = 512, 64
# Of the gradient of the weight: numbers of a warp's tile, taps that a program adds up, its tiles of places at least,
# and its warps where channels lie together.
_TILE_OF_TAPS, _TAPS, _SLAB, _WARPS = 64, 32, 32, 8
# Taps from which it is a product of matrices in exact float32, too.
_FROM_EXACT = 225


def forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Tensor:
    """Depthwise convolution of `(N, C, *sizes)` with `(C * multiplier, 1, *kernel)`, in either memory format."""
    sizes = [
        (n + a + b - d * (k - 1) - 1) // s + 1
        for n, k, s, a, b, d in zip(input.shape[2:], weight.shape[2:], stride, low, high, dilation, strict=True)
    ]
    layout = memory_format(input)
    maps = input.contiguous(memory_format=layout)
    bias = None if bias is None else bias.contiguous()
    return _correlate(maps, weight, bias, layout, sizes, stride, low, dilation)


def backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor]:
    """The gradients of input and weight; an empty tensor for one that is not needed."""
    layout = memory_format(input)
    maps, grads = input.contiguous(memory_format=layout), grad.contiguous(memory_format=layout)
    kernel, sizes = weight.shape[2:], maps.shape[2:]
    grad_input, grad_weight = maps.new_empty(0), weight.new_empty(0)
    if needs[0] and weight.shape[0] == maps.shape[1] and set(stride) == {1}:
        # The gradient is a convolution with the taps in reverse.
        before = [d * (k - 1) - a for k, a, d in zip(kernel, low, dilation, strict=True)]
        flipped = weight.flip(*range(2, weight.ndim))
        grad_input = _correlate(grads, flipped, None, layout, sizes, stride, before, dilation)
    elif needs[0]:
        grad_input = torch.empty_like(maps)
        at = _At(maps, grads, weight, layout, stride, low, dilation)
        tensors = {"grad": grads, "weight": at.taps, "result": grad_input}
        at.launch(_depthwise_backward_input_kernel, grad_input, **tensors)
    large = rows.suits(kernel, grads.shape[2:]) and (rows.rounded(maps.dtype) or math.prod(kernel) >= _FROM_EXACT)
    if needs[1] and large and maps.numel():
        sums = rows.products(maps, grads, kernel, stride, low, dilation)
        grad_weight = sums.to(weight.dtype).view(weight.shape)
    elif needs[1]:
        sums = _At(maps, grads, weight, layout, stride, low, dilation).sums(maps, grads)
        grad_weight = sums.t().to(weight.dtype).reshape(weight.shape)
    return grad_input, grad_weight


def _correlate(
    maps: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    layout: torch.memory_format,
    sizes: Sequence[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    """The convolution of maps that are dense in a memory format, which is that of the result."""
    kernel, settings = weight.shape[2:], (sizes, stride, low, dilation)
    small = planes.suits(kernel, stride, dilation)
    quick = rows.rounded(maps.dtype) and layout == torch.contiguous_format and sizes[-1] >= _WIDE
    if rows.suits(kernel, sizes) and (quick or not small):
        return rows.correlate(maps, weight, bias, *settings).contiguous(memory_format=layout)
    if small:
        return planes.correlate(maps, weight, bias, layout, *settings)
    shape = (maps.shape[0], weight.shape[0], *sizes)
    result = torch.empty(shape, dtype=maps.dtype, device=maps.device, memory_format=layout)
    at = _At(maps, result, weight, layout, stride, low, dilation)
    tensors = {"input": maps, "weight": at.taps, "bias": bias, "output": result}
    at.launch(_depthwise_forward_kernel, result, **tensors)
    return result


class _At:
    """What the kernels ask of input, output and weight.

    Args:
        maps: the input `(N, C, *sizes)`, dense in a memory format.
        outputs: the output or its gradient, in the same.
        weight: `(C * multiplier, 1, *kernel)`.
        layout: that memory format.
        stride: one number an axis, as all that follow.
        low: padding before the input.
        dilation: places from one tap to the next.
    """

    def __init__(
        self,
        maps: Tensor,
        outputs: Tensor,
        weight: Tensor,
        layout: torch.memory_format,
        stride: list[int],
        low: list[int],
        dilation: list[int],
    ) -> None:
        self.together = layout != torch.contiguous_format
        self.channels, self.kernel = weight.shape[0], three(weight.shape[2:], 1)
        flat = weight.flatten(1)
        # Of channels that lie together, the taps do so, too.
        self.taps = flat.t().contiguous().t() if self.together else flat.contiguous()
        (images, channels), into = maps.shape[:2], three(maps.shape[2:], 1)
        self.settings: dict[str, Any] = {
            "N": images,
            "C": channels,
            "MULTIPLIER": self.channels // max(1, channels),
            "TOGETHER": self.together,
            "INDEX": index_type(maps, outputs),
            "ACC": number_type(maps.dtype),
        }
        for names, numbers in (
            ("D H W", into),
            ("OD OH OW", three(outputs.shape[2:], 1)),
            ("KD KH KW", self.kernel),
            ("SZ SY SX", three(stride, 1)),
            ("low_z low_y low_x", three(low, 0)),
            ("DZ DY DX", three(dilation, 1)),
        ):
            self.settings.update(zip(names.split(), numbers, strict=True))

    def launch(self, kernel: Any, written: Tensor, **tensors: Tensor | None) -> None:
        """Run a kernel that writes these maps."""
        images, channels, *sizes = written.shape
        if not written.numel():
            return
        block_c = min(_CHANNELS, _rounded(channels)) if self.together else 1
        block_p = min(_TILE // block_c, _rounded(math.prod(sizes)))
        programs = images * divided(channels, block_c) * divided(math.prod(sizes), block_p)
        steps = {"stride_o": self.taps.stride(0), "stride_t": self.taps.stride(1)}
        blocks = {"BLOCK_P": block_p, "BLOCK_C": block_c}
        launched(kernel, lambda _: (programs,), written, **tensors, **steps, **self.settings, **blocks)

    def sums(self, maps: Tensor, grads: Tensor) -> Tensor:
        """The gradient of the weight `(taps, out)`, float32 at least."""
        taps, (depth, height, width) = math.prod(self.kernel), self.kernel
        columns = min(width, _TAPS)
        lines = divided(depth * height, divided(depth * height, max(1, _TAPS // columns)))
        groups = divided(depth * height, lines) * divided(width, columns)
        block_c, warps = (min(_CHANNELS, _rounded(self.channels)), _WARPS) if self.together else (1, 1)
        block_p = max(1, _TILE_OF_TAPS * warps // block_c)
        # What one program takes: planes, and tiles of each. With as many places as taps, the sums of all programs take
        # no more room than the gradient of the output.
        deep, tiles = len(grads) * self.settings["OD"], divided(self.settings["OH"] * self.settings["OW"], block_p)
        slab = max(_SLAB, divided(taps, block_p))
        planes_each = max(1, min(deep, slab))
        tiles_each = max(1, min(tiles, slab // planes_each))
        slabs = divided(deep, planes_each) * divided(tiles, tiles_each)
        wide = torch.promote_types(grads.dtype, torch.float32)
        sums = torch.empty(slabs, taps, self.channels, dtype=wide, device=grads.device)
        more = {"planes": planes_each, "tiles": tiles_each, "LINES": lines, "COLUMNS": columns, "num_warps": warps}
        more |= {"grad": grads, "input": maps, "sums": sums, "BLOCK_P": block_p, "BLOCK_C": block_c}
        programs = slabs * groups * divided(self.channels, block_c)
        launched(_depthwise_backward_weight_kernel, lambda _: (programs,), maps, **self.settings, **more)
        return sums.sum(0)


def _rounded(size: int) -> int:
    """The next power of two."""
    return 1 << (size - 1).bit_length()


@jit
def _number(
    n: tl.tensor, c: tl.tensor, z: tl.tensor, y: tl.tensor, x: tl.tensor, C: tl.tensor, D: tl.tensor, H: tl.tensor,
    W: tl.tensor, TOGETHER: tl.constexpr,
) -> Any:  # fmt: skip
    """Where a number of maps lies."""
    if TOGETHER:
        return (((n * D + z) * H + y) * W + x) * C + c
    return (((n * C + c) * D + z) * H + y) * W + x


@jit
def _tile(
    C: tl.tensor, P: tl.tensor, TOGETHER: tl.constexpr, INDEX: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
) -> Any:  # fmt: skip
    """The image, the places as a column and the channels as a row that a program works on."""
    blocks_p, blocks_c = tl.cdiv(P, BLOCK_P), tl.cdiv(C, BLOCK_C)
    program = tl.program_id(0).to(INDEX)
    if TOGETHER:
        p, c, n = program // blocks_c % blocks_p, program % blocks_c, program // (blocks_p * blocks_c)
    else:
        p, c, n = program % blocks_p, program // blocks_p % blocks_c, program // (blocks_p * blocks_c)
    return n, (p * BLOCK_P + tl.arange(0, BLOCK_P))[:, None], (c * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]


@jit
def _depthwise_forward_kernel(
    input: tl.tensor, weight: tl.tensor, bias: tl.tensor, output: tl.tensor, N: tl.tensor, C: tl.tensor, D: tl.tensor,
    H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor,
    low_x: tl.tensor, stride_o: tl.tensor, stride_t: tl.tensor, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
    SZ: tl.constexpr, SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr,
    MULTIPLIER: tl.constexpr, TOGETHER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
) -> None:  # fmt: skip
    """output[n, o, p] = bias[o] + sum over k of weight[o, k] * input[n, o // MULTIPLIER, p * stride + k * d - low]."""
    OC = C * MULTIPLIER
    n, p, o = _tile(OC, OD * OH * OW, TOGETHER, INDEX, BLOCK_P, BLOCK_C)
    own = (p < OD * OH * OW) & (o < OC)
    oz, oy, ox, c = p // (OH * OW), p // OW % OH, p % OW, o // MULTIPLIER
    acc = tl.zeros((BLOCK_P, BLOCK_C), ACC)
    if bias is not None:
        acc += tl.load(bias + o, o < OC, 0.0).to(ACC)
    for kz in range(KD):
        z = oz * SZ - low_z + kz * DZ
        for ky in range(KH):
            y = oy * SY - low_y + ky * DY
            rows = own & (z >= 0) & (z < D) & (y >= 0) & (y < H)
            for kx in range(KW):
                x = ox * SX - low_x + kx * DX
                tap = (kz * KH + ky) * KW + kx
                w = tl.load(weight + o * stride_o + tap * stride_t, o < OC, 0.0).to(ACC)
                place = _number(n, c, z, y, x, C, D, H, W, TOGETHER)
                acc += w * tl.load(input + place, rows & (x >= 0) & (x < W), 0.0).to(ACC)
    tl.store(output + _number(n, o, oz, oy, ox, OC, OD, OH, OW, TOGETHER), acc.to(output.dtype.element_ty), own)


@jit
def _depthwise_backward_input_kernel(
    grad: tl.tensor, weight: tl.tensor, result: tl.tensor, N: tl.tensor, C: tl.tensor, D: tl.tensor, H: tl.tensor,
    W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor,
    stride_o: tl.tensor, stride_t: tl.tensor, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr,
    SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, MULTIPLIER: tl.constexpr,
    TOGETHER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
) -> None:  # fmt: skip
    """result[n, c, i] = sum over o of c and k of weight[o, k] * grad[n, o, (i + low - k * d) / stride]."""
    OC = C * MULTIPLIER
    n, i, c = _tile(C, D * H * W, TOGETHER, INDEX, BLOCK_P, BLOCK_C)
    own = (i < D * H * W) & (c < C)
    z, y, x = i // (H * W), i // W % H, i % W
    acc = tl.zeros((BLOCK_P, BLOCK_C), ACC)
    for kz in range(KD):
        at_z = z + low_z - kz * DZ
        oz = at_z // SZ
        for ky in range(KH):
            at_y = y + low_y - ky * DY
            oy = at_y // SY
            rows = own & (at_z >= 0) & (at_z % SZ == 0) & (oz < OD) & (at_y >= 0) & (at_y % SY == 0) & (oy < OH)
            for kx in range(KW):
                at_x = x + low_x - kx * DX
                ox = at_x // SX
                read = rows & (at_x >= 0) & (at_x % SX == 0) & (ox < OW)
                tap = (kz * KH + ky) * KW + kx
                for m in range(MULTIPLIER):
                    o = c * MULTIPLIER + m
                    w = tl.load(weight + o * stride_o + tap * stride_t, c < C, 0.0).to(ACC)
                    acc += w * tl.load(grad + _number(n, o, oz, oy, ox, OC, OD, OH, OW, TOGETHER), read, 0.0).to(ACC)
    tl.store(result + _number(n, c, z, y, x, C, D, H, W, TOGETHER), acc.to(result.dtype.element_ty), own)


@jit
def _depthwise_backward_weight_kernel(
    grad: tl.tensor, input: tl.tensor, sums: tl.tensor, tiles: tl.tensor, planes: tl.tensor, N: tl.tensor, C: tl.tensor,
    D: tl.tensor, H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor,
    low_y: tl.tensor, low_x: tl.tensor, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr,
    SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, MULTIPLIER: tl.constexpr,
    TOGETHER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, LINES: tl.constexpr, COLUMNS: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
) -> None:  # fmt: skip
    """sums[slab, k, o] = sum over n and p of a slab of grad[n, o, p] * input[n, o // M, p * stride + k * d - low]."""
    OC, program = C * MULTIPLIER, tl.program_id(0).to(INDEX)
    blocks_o, across, down = tl.cdiv(OC, BLOCK_C), tl.cdiv(KW, COLUMNS), tl.cdiv(KD * KH, LINES)
    first_x, line = program % across * COLUMNS, program // across % down * LINES
    o = program // (across * down) % blocks_o * BLOCK_C + tl.arange(0, BLOCK_C)
    slab, c = program // (across * down * blocks_o), o // MULTIPLIER
    slabs = tl.cdiv(tl.cdiv(OH * OW, BLOCK_P), tiles)
    begin, plane = slab % slabs * tiles, slab // slabs * planes
    deep, high, wide = tl.full((), D, tl.uint32), tl.full((), H, tl.uint32), tl.full((), W, tl.uint32)
    if TOGETHER:
        step_x, step_y = C, W * C
    else:
        step_x, step_y = 1, W
    totals = (tl.zeros((BLOCK_P, BLOCK_C), ACC),) * (LINES * COLUMNS)
    for tile in range(begin, begin + tiles):
        p = tile * BLOCK_P + tl.arange(0, BLOCK_P)
        own = (p < OH * OW)[:, None] & (o < OC)[None, :]
        y, x = p // OW * SY - low_y, p % OW * SX - low_x + first_x * DX
        if TOGETHER:
            from_grad = (p * OC)[:, None] + o[None, :]
            at = (y * step_y + x * C)[:, None] + c[None, :]
        else:
            from_grad = p[:, None] + (o * OD * OH * OW)[None, :]
            at = (y * W + x)[:, None] + (c * D * H * W)[None, :]
        for number in range(plane, tl.minimum(plane + planes, N * OD)):
            n, oz = number // OD, number % OD
            z = oz * SZ - low_z
            if TOGETHER:
                g = tl.load(grad + number * OH * OW * OC + from_grad, own, 0.0).to(ACC)
                of_plane = input + n * D * H * step_y
            else:
                g = tl.load(grad + (n * OC * OD + oz) * OH * OW + from_grad, own, 0.0).to(ACC)
                of_plane = input + n * C * D * H * step_y
            added = totals[:0]
            for i in tl.static_range(LINES):
                dz, dy = (line + i) // KH * DZ, (line + i) % KH * DY
                row = of_plane + ((z + dz) * H + dy) * step_y + at
                there = own & (((z + dz).to(tl.uint32) < deep) & ((y + dy).to(tl.uint32) < high))[:, None]
                for kx in tl.static_range(COLUMNS):
                    read = there & ((x + kx * DX).to(tl.uint32) < wide)[:, None]
                    value = tl.load(row + (kx * DX) * step_x, read, 0.0).to(ACC)
                    added = added + (totals[i * COLUMNS + kx] + g * value,)
            totals = added
    for i in tl.static_range(LINES):
        for kx in tl.static_range(COLUMNS):
            own_tap = (line + i < KD * KH) & (first_x + kx < KW)
            to = (slab * (KD * KH) + line + i) * KW + first_x + kx
            tl.store(sums + to * OC + o, tl.sum(totals[i * COLUMNS + kx], 0), (o < OC) & own_tap)
