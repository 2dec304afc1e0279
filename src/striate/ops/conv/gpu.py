"""Depthwise convolution on the GPU, in either memory format.

A tile is places times channels: many places of one plane, or few places of channels that lie together; `rows` takes
large windows. Nothing is added
up in an order that could change: each gradient of the input is gathered, and that of the weight is summed in slabs that
depend on sizes alone.
"""

import math
from typing import Any

import torch
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._door import memory_format
from striate.ops._triton import divided, index_type, jit, launched, number_type, tl
from striate.ops.conv import rows

# Numbers of a tile, and the most channels and taps of one.
_TILE, _CHANNELS, _TAPS = 512, 64, 4
# Places that one program adds up for the gradient of the weight, at least.
_SLAB = 1024


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
    if rows.suits(weight.shape[2:], sizes):
        return rows.correlate(input, weight, bias, sizes, stride, low, dilation).contiguous(memory_format=layout)
    result = torch.empty(
        (input.shape[0], weight.shape[0], *sizes), dtype=input.dtype, device=input.device, memory_format=layout
    )
    if result.numel():
        maps = input.contiguous(memory_format=layout)
        at = _At(maps, result, weight, stride, low, dilation)
        tensors = {"input": maps, "weight": at.taps, "bias": bias, "output": result}
        programs, settings = at.tiles(result)
        launched(_depthwise_forward_kernel, lambda _: (programs,), maps, **tensors, **settings)
    return result


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
    grad_input = torch.empty_like(maps) if needs[0] else input.new_empty(0)
    grad_weight = torch.empty_like(weight, memory_format=torch.contiguous_format) if needs[1] else weight.new_empty(0)
    if not maps.numel() or not grads.numel():
        return grad_input.zero_(), grad_weight.zero_()
    at = _At(maps, grads, weight, stride, low, dilation)
    if needs[0] and _turned(input, weight, stride):
        # The gradient is a convolution with the taps in reverse.
        reaches = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=True)]
        before = [reach - a for reach, a in zip(reaches, low, strict=True)]
        flipped = weight.flip(*range(2, weight.ndim))
        grad_input.copy_(rows.correlate(grad, flipped, None, input.shape[2:], stride, before, dilation))
    elif needs[0]:
        tensors = {"grad": grads, "weight": at.taps, "result": grad_input}
        programs, settings = at.tiles(grad_input)
        launched(_depthwise_backward_input_kernel, lambda _: (programs,), maps, **tensors, **settings)
    if needs[1] and rows.suits(weight.shape[2:], grad.shape[2:]):
        grad_weight.copy_(rows.products(input, grad, weight.shape[2:], stride, low, dilation).view(weight.shape))
    elif needs[1]:
        sums, many, settings = at.slabs(grads)
        tensors = {"grad": grads, "input": maps, "sums": sums}
        launched(_depthwise_backward_weight_kernel, lambda _: (many,), maps, **tensors, **settings)
        grad_weight.copy_(sums.sum(0).t().reshape(weight.shape))
    return grad_input, grad_weight


def _turned(input: Tensor, weight: Tensor, stride: list[int]) -> bool:
    """Whether the input's gradient is a depthwise convolution with large windows."""
    single = weight.shape[0] == input.shape[1] and set(stride) == {1}
    return single and rows.suits(weight.shape[2:], input.shape[2:])


class _At:
    """What the kernels ask of input, output and weight.

    Args:
        maps: the input `(N, C, *sizes)`, dense in its memory format.
        outputs: the output or its gradient, in the same.
        weight: `(C * multiplier, 1, *kernel)`.
        stride: one number an axis, as all that follow.
        low: padding before the input.
        dilation: places from one tap to the next.
    """

    def __init__(
        self, maps: Tensor, outputs: Tensor, weight: Tensor, stride: list[int], low: list[int], dilation: list[int]
    ) -> None:
        self.together = memory_format(maps) != torch.contiguous_format
        self.channels, self.count = weight.shape[0], math.prod(weight.shape[2:])
        flat = weight.flatten(1)
        # Of channels that lie together, the taps do so, too.
        self.taps = flat.t().contiguous().t() if self.together else flat.contiguous()
        (images, channels), into = maps.shape[:2], three(maps.shape[2:], 1)
        self.settings: dict[str, Any] = {
            "N": images,
            "C": channels,
            "stride_o": self.taps.stride(0),
            "stride_t": self.taps.stride(1),
            "MULTIPLIER": self.channels // channels,
            "TOGETHER": self.together,
            "INDEX": index_type(maps, outputs),
            "ACC": number_type(maps.dtype),
        }
        for names, numbers in (
            ("D H W", into),
            ("OD OH OW", three(outputs.shape[2:], 1)),
            ("KD KH KW", three(weight.shape[2:], 1)),
            ("SZ SY SX", three(stride, 1)),
            ("low_z low_y low_x", three(low, 0)),
            ("DZ DY DX", three(dilation, 1)),
        ):
            self.settings.update(zip(names.split(), numbers, strict=True))

    def tiles(self, written: Tensor) -> tuple[int, dict[str, Any]]:
        """How many programs write these maps, and the settings of their kernel."""
        images, channels, *sizes = written.shape
        block_c = min(_CHANNELS, _rounded(channels)) if self.together else 1
        block_p = min(_TILE // block_c, _rounded(math.prod(sizes)))
        programs = images * divided(channels, block_c) * divided(math.prod(sizes), block_p)
        return programs, {**self.settings, "BLOCK_P": block_p, "BLOCK_C": block_c}

    def slabs(self, grads: Tensor) -> tuple[Tensor, int, dict[str, Any]]:
        """Room for the sums of each slab, `(slabs, taps, out)`, and what `tiles` gives for the kernel of these."""
        places = grads.shape[0] * math.prod(grads.shape[2:])
        block_c = min(_CHANNELS, _rounded(self.channels)) if self.together else 1
        block_t = 1 if self.together else min(_TAPS, _rounded(self.count))
        # With as many places as taps the sums take no more room than the gradient of the output.
        slab = min(max(_SLAB, _rounded(self.count)), _rounded(places))
        many = divided(places, slab)
        dtype = torch.promote_types(grads.dtype, torch.float32)
        sums = torch.empty(many, self.count, self.channels, dtype=dtype, device=grads.device)
        programs = many * divided(self.count, block_t) * divided(self.channels, block_c)
        blocks = {"SLAB": slab, "BLOCK_P": min(_TILE // block_c, slab), "BLOCK_T": block_t, "BLOCK_C": block_c}
        return sums, programs, {**self.settings, **blocks}


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
    grad: tl.tensor, input: tl.tensor, sums: tl.tensor, N: tl.tensor, C: tl.tensor, D: tl.tensor, H: tl.tensor,
    W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor, low_x: tl.tensor,
    stride_o: tl.tensor, stride_t: tl.tensor, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SZ: tl.constexpr,
    SY: tl.constexpr, SX: tl.constexpr, DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, MULTIPLIER: tl.constexpr,
    TOGETHER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, SLAB: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr,
) -> None:  # fmt: skip
    """sums[slab, k, o] = sum over n and p of a slab of grad[n, o, p] * input[n, o // M, p * stride + k * d - low]."""
    OC = C * MULTIPLIER
    blocks_o, blocks_t = tl.cdiv(OC, BLOCK_C), tl.cdiv(KD * KH * KW, BLOCK_T)
    program = tl.program_id(0).to(INDEX)
    slab = program // (blocks_o * blocks_t)
    o = (program // blocks_t % blocks_o * BLOCK_C + tl.arange(0, BLOCK_C))[None, None, :]
    tap = (program % blocks_t * BLOCK_T + tl.arange(0, BLOCK_T))[None, :, None]
    kz, ky, kx, c = tap // (KH * KW), tap // KW % KH, tap % KW, o // MULTIPLIER
    acc = tl.zeros((BLOCK_P, BLOCK_T, BLOCK_C), ACC)
    for begin in range(0, SLAB, BLOCK_P):
        p = (slab * SLAB + begin + tl.arange(0, BLOCK_P))[:, None, None]
        n, oz, oy, ox = p // (OD * OH * OW), p // (OH * OW) % OD, p // OW % OH, p % OW
        z, y, x = oz * SZ - low_z + kz * DZ, oy * SY - low_y + ky * DY, ox * SX - low_x + kx * DX
        own = (n < N) & (o < OC)
        read = own & (tap < KD * KH * KW) & (z >= 0) & (z < D) & (y >= 0) & (y < H) & (x >= 0) & (x < W)
        g = tl.load(grad + _number(n, o, oz, oy, ox, OC, OD, OH, OW, TOGETHER), own, 0.0).to(ACC)
        acc += g * tl.load(input + _number(n, c, z, y, x, C, D, H, W, TOGETHER), read, 0.0).to(ACC)
    place = (slab * (KD * KH * KW) + tap) * OC + o
    whole = tl.sum(acc, 0, keep_dims=True)
    tl.store(sums + place, whole, (tap < KD * KH * KW) & (o < OC))
