"""Small depthwise windows on the GPU: a plane of the input is read once for all the output planes that it belongs to.

The planes are those along the first axis, of a picture its rows. Each has one sum under way for each tap of that axis,
and when it is finished, the next takes its place.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from striate.ops._triton import divided, index_type, jit, launched, number_type, tl

# The most taps along the first axis, whose sums are in registers, and of the first and the last, whose code is written
# out.
_DEEP, _TAPS = 9, 81
# Numbers of a tile, by the most sums that are under way, and the most channels of one where they lie together.
_TILES, _CHANNELS = {4: 256, 7: 128, _DEEP: 64}, 32
# Programs from which there are enough.
_PROGRAMS = 1024


def suits(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> bool:
    """Whether windows are such as this is made for."""
    single = stride[0] == dilation[0] == 1
    return len(kernel) > 1 and single and kernel[0] <= _DEEP and kernel[0] * kernel[-1] <= _TAPS


def correlate(
    maps: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    layout: torch.memory_format,
    outputs: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Depthwise convolution of `(N, C, *sizes)`, dense in a memory format, with `(C * multiplier, 1, *kernel)`."""
    images, (channels, _, *kernel), together = maps.shape[0], weight.shape, layout != torch.contiguous_format
    result = torch.empty((images, channels, *outputs), dtype=maps.dtype, device=maps.device, memory_format=layout)
    if not result.numel():
        return result
    block_c = min(_CHANNELS, 1 << (channels - 1).bit_length()) if together else 1
    block_p = next(numbers for most, numbers in _TILES.items() if kernel[0] <= most) // block_c
    tiles = divided(images * math.prod(outputs[1:]), block_p) * divided(channels, block_c)
    # Shorter runs are more programs, and read the planes between two of them twice.
    runs = max(1, min(divided(_PROGRAMS, tiles), outputs[0] // (2 * kernel[0])))
    span = divided(outputs[0], runs)
    wide = torch.promote_types(weight.dtype, torch.float32)
    taps = weight.new_zeros(math.prod(kernel), divided(channels, block_c) * block_c, dtype=wide)
    taps[:, :channels] = weight.flatten(1).t()
    settings = {
        "N": images,
        "C": maps.shape[1],
        "taps_t": taps.shape[1],
        "span": span,
        "MULTIPLIER": channels // maps.shape[1],
        "TOGETHER": together,
        "INDEX": index_type(maps, result),
        "ACC": number_type(maps.dtype),
        "BLOCK_P": block_p,
        "BLOCK_C": block_c,
    }
    for names, numbers, missing in (
        ("D H W", maps.shape[2:], 1),
        ("OD OH OW", outputs, 1),
        ("KD KH KW", kernel, 1),
        ("_ SY SX", stride, 1),
        ("low_z low_y low_x", low, 0),
        ("_ DY DX", dilation, 1),
    ):
        # The rows of a picture are planes that are one row high.
        own = [*numbers] if len(kernel) == 3 else [numbers[0], missing, numbers[1]]
        settings.update(zip(names.split(), own, strict=True))
    del settings["_"]
    programs = tiles * divided(outputs[0], span)
    tensors = {"input": maps, "taps": taps, "bias": bias, "output": result}
    launched(_depthwise_planes_kernel, lambda _: (programs,), maps, **tensors, **settings, num_warps=1)
    return result


@jit
def _depthwise_planes_kernel(
    input: tl.tensor, taps: tl.tensor, bias: tl.tensor, output: tl.tensor, N: tl.tensor, C: tl.tensor, D: tl.tensor,
    H: tl.tensor, W: tl.tensor, OD: tl.tensor, OH: tl.tensor, OW: tl.tensor, low_z: tl.tensor, low_y: tl.tensor,
    low_x: tl.tensor, taps_t: tl.tensor, span: tl.tensor, KD: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
    SY: tl.constexpr, SX: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, MULTIPLIER: tl.constexpr,
    TOGETHER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
) -> None:  # fmt: skip
    """output[n, o, p] = bias[o] + sum over k of weight[o, k] * input[n, o // MULTIPLIER, p * stride + k * d - low]."""
    OC, columns, program = C * MULTIPLIER, N * OH * OW, tl.program_id(0).to(INDEX)
    blocks_c, blocks_p = tl.cdiv(OC, BLOCK_C), tl.cdiv(columns, BLOCK_P)
    if TOGETHER:
        block_c, block_p = program % blocks_c, program // blocks_c % blocks_p
    else:
        block_c, block_p = program // blocks_p % blocks_c, program % blocks_p
    begin = program // (blocks_c * blocks_p) * span
    p, o = block_p * BLOCK_P + tl.arange(0, BLOCK_P), block_c * BLOCK_C + tl.arange(0, BLOCK_C)
    n, y, x, c = p // (OH * OW), p // OW % OH * SY - low_y, p % OW * SX - low_x, o // MULTIPLIER
    own = (p < columns)[:, None] & (o < OC)[None, :]
    if TOGETHER:
        step_x, step_y, to_y = C, W * C, OW * OC
        at = ((n * D * H + y) * step_y + x * C)[:, None] + c[None, :]
        to = (n * OD * OH * to_y + p % (OH * OW) * OC)[:, None] + o[None, :]
    else:
        step_x, step_y, to_y = 1, W, OW
        at = ((n * C * D * H + y) * W + x)[:, None] + (c * D * H * W)[None, :]
        to = (n * OC * OD * OH * OW + p % (OH * OW))[:, None] + (o * OD * OH * OW)[None, :]
    high, wide = tl.full((), H, tl.uint32), tl.full((), W, tl.uint32)
    from_taps = taps + o[None, :]
    new = tl.zeros((BLOCK_P, BLOCK_C), ACC)
    if bias is not None:
        new += tl.load(bias + o, o < OC, 0.0).to(ACC)[None, :]
    # One sum for each tap of the first axis: of the output plane for which that tap reads the plane at hand.
    sums = (new,) * KD
    end = tl.minimum(begin + span, OD)
    for z in range(begin - low_z, end - low_z + KD - 1):
        if (z >= 0) & (z < D):
            for ky in range(KH):
                row = input + (z * H + ky * DY) * step_y + at
                there = own & ((y + ky * DY).to(tl.uint32) < high)[:, None]
                for kx in tl.static_range(KW):
                    read = there & ((x + kx * DX).to(tl.uint32) < wide)[:, None]
                    value = tl.load(row + (kx * DX) * step_x, read, 0.0).to(ACC)
                    added = sums[:0]
                    for kz in tl.static_range(KD):
                        weight = tl.load(from_taps + ((kz * KH + ky) * KW + kx) * taps_t)
                        added = added + (sums[kz] + weight * value,)
                    sums = added
        oz = z + low_z - (KD - 1)
        if oz >= begin:
            tl.store(output + oz * OH * to_y + to, sums[KD - 1].to(output.dtype.element_ty), own)
        sums = (new,) + sums[:-1]
