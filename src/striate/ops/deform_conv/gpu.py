"""Deformable convolution on the GPU: a product of matrices whose one side is sampled as it is multiplied.

No columns are kept. The samples of a tile of pixels and channels are made in registers, in float32 at least, and go
from there into the product with the weight.
"""

import math
from typing import Any

import torch
from torch import Tensor

from striate.ops._sampling.gpu import Samples, Window, add_up, by_pixel, empty_maps, rows
from striate.ops._sampling.gpu_gradients import backward as through_samples
from striate.ops._sampling.places import places_of, sampled, samples_of
from striate.ops._triton import divided, jit, product_precision, product_type, tl, tuned

# Pixels that one program adds up for the gradient of the weight, and the most numbers of all partial sums.
_SLAB, _PARTIAL = 2048, 1 << 24


def forward(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    """Deformable convolution of `(N, C, *sizes)` with `(out, C / groups, *kernel)`, in the input's memory format."""
    samples = Samples(input, offset, mask, Window(list(weight.shape[2:]), stride, low, dilation))
    bias = None if bias is None else bias.contiguous()
    result = empty_maps(input, input.shape[0], weight.shape[0], *offset.shape[2:])
    if weight.shape[1] == 1:
        add_up(samples, _filters(weight, samples), bias, result)
    elif result.numel():
        layer = _Layer(weight, samples)

        def programs(all: dict[str, Any]) -> int:
            return divided(samples.pixels, all["BLOCK_P"]) * layer.groups * divided(layer.filters, all["BLOCK_O"])

        samples.launch(
            _deform_forward_kernel,
            programs,
            weight=_filters(weight, samples),
            bias=bias,
            output=result,
            steps=by_pixel(result),
            BIASED=bias is not None,
            **layer.settings,
        )
    return result


def backward(
    grad: Tensor,
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    stride: list[int],
    low: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of input, offset, weight and mask; an empty tensor for one that is not needed."""
    samples = Samples(input, offset, mask, Window(list(weight.shape[2:]), stride, low, dilation))
    grads, filters = rows(grad), _filters(weight, samples)
    moves = needs[1] or (needs[3] and mask is not None)
    found = through_samples(samples, grads, filters, weight.shape[1], input=needs[0], moves=moves)
    wanted = [needs[0], needs[1], needs[3]]
    grad_input, grad_offset, grad_mask = samples.gradients(found, input, offset, mask, wanted)
    grad_weight = _weight_gradient(samples, grads, weight) if needs[2] else weight.new_empty(0)
    return grad_input, grad_offset, grad_weight, grad_mask


class _Layer:
    """How the channels of a layer fall into tiles: `together` share a group of filters and a group of offsets."""

    def __init__(self, weight: Tensor, samples: Samples) -> None:
        self.groups = samples.channels // weight.shape[1]
        self.filters = weight.shape[0] // self.groups
        each = samples.channels // samples.groups
        self.settings = {
            "each": each,
            "together": math.gcd(weight.shape[1], each),
            "group": weight.shape[1],
            "filters": self.filters,
            "VALUE": product_type(weight.dtype),
            "PRECISION": product_precision(),
        }


def _filters(weight: Tensor, samples: Samples) -> Tensor:
    """The weight as `(groups, taps, channels, filters)`, or `(taps, out)` where a group has one channel."""
    if weight.shape[1] == 1:
        return weight.detach().reshape(weight.shape[0], samples.taps).t().contiguous()
    apart = weight.detach().reshape(samples.channels // weight.shape[1], -1, weight.shape[1], samples.taps)
    return apart.permute(0, 3, 2, 1).contiguous()


def _weight_gradient(samples: Samples, grads: Tensor, weight: Tensor) -> Tensor:
    """The weight's gradient, from sums over slabs of pixels that depend on sizes alone."""
    many = max(1, min(divided(samples.pixels, _SLAB), _PARTIAL // weight.numel()))
    # Whole numbers of every tile of pixels, so that no pixel is counted twice.
    slab = divided(divided(samples.pixels, many), 128) * 128
    layer = _Layer(weight, samples)
    sums = torch.zeros(many, *_filters(weight, samples).shape, dtype=samples.number, device=weight.device)
    if samples.pixels and weight.shape[1] == 1:
        each = layer.settings["each"]

        def tiles(all: dict[str, Any]) -> int:
            return many * samples.taps * samples.groups * divided(each, all["BLOCK_C"]) * layer.filters

        samples.launch(
            _depthwise_backward_weight_kernel,
            tiles,
            grad=grads,
            sums=sums,
            slab=slab,
            each=each,
            MULTIPLIER=layer.filters,
        )
    elif samples.pixels:
        settings = layer.settings

        def programs(all: dict[str, Any]) -> int:
            runs: int = samples.channels // settings["together"] * divided(settings["together"], all["BLOCK_C"])
            return many * samples.taps * runs * divided(layer.filters, all["BLOCK_O"])

        samples.launch(
            _deform_backward_weight_kernel,
            programs,
            grad=grads,
            sums=sums,
            slab=slab,
            OC=weight.shape[0],
            **settings,
        )
    total = sums.sum(0)
    if weight.shape[1] == 1:
        return total.t().reshape(weight.shape).to(weight.dtype)
    return total.permute(0, 3, 2, 1).reshape(weight.shape).to(weight.dtype)


@tuned(
    [
        {"BLOCK_P": 64, "BLOCK_C": 32, "BLOCK_O": 256, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 64, "BLOCK_O": 128, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 32, "BLOCK_O": 128, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 64, "BLOCK_O": 64, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 32, "BLOCK_O": 64, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 128, "BLOCK_C": 32, "BLOCK_O": 64, "num_warps": 8, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 32, "BLOCK_O": 32, "num_warps": 4, "num_stages": 2},
    ],
    key=["together", "filters", "PRECISION", "TAPS"],
    small={"BLOCK_P": 16, "BLOCK_C": 16, "BLOCK_O": 16},
    exact=[
        {"BLOCK_P": 64, "BLOCK_C": 16, "BLOCK_O": 128, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 16, "BLOCK_O": 256, "num_warps": 8, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 32, "BLOCK_O": 64, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 32, "BLOCK_C": 16, "BLOCK_O": 32, "num_warps": 4, "num_stages": 2},
    ],
    fits={"BLOCK_C": "together", "BLOCK_O": "filters"},
)
@jit
def _deform_forward_kernel(
    input,
    offset,
    mask,
    weight,
    bias,
    output,
    steps,
    each,
    together,
    group,
    filters,
    C,
    G,
    M,
    sizes,
    outputs,
    BIASED: tl.constexpr,
    VALUE: tl.constexpr,
    PRECISION: tl.constexpr,
    TAPS: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_O: tl.constexpr,
):
    """A tile (pixels, filters of one group): the sum over channels and taps of samples times weights."""
    tiles = tl.cdiv(filters, BLOCK_O)
    run = tl.program_id(0) // tiles % (C // group)
    m = (tl.program_id(0) // (tiles * (C // group))).to(tl.dtype(TAPS.integer)) * BLOCK_P + tl.arange(0, BLOCK_P)
    o = tl.program_id(0) % tiles * BLOCK_O + tl.arange(0, BLOCK_O)
    own, own_o = m < M, o < filters
    places = places_of(m, outputs)
    n, p = places[0], places[1]
    first = n * (sizes[0] * sizes[1] * sizes[2])
    total = tl.zeros((BLOCK_P, BLOCK_O), tl.dtype(TAPS.number))
    if BIASED:
        total += tl.load(bias + run * filters + o, mask=own_o, other=0).to(tl.dtype(TAPS.number))[None, :]
    for start in range(0, group, together):
        for t in range(TAPS.many):
            samples = samples_of(offset, mask, places, own, (run * group + start) // each, t, outputs, G, TAPS)
            for begin in range(0, together, BLOCK_C):
                c = begin + tl.arange(0, BLOCK_C)
                own_c = c < together
                c += start
                values = sampled(input, first, run * group + c, own_c, own, samples, sizes, C, TAPS)
                at = weight + ((run * TAPS.many + t) * group + c)[:, None] * filters + o[None, :]
                weights = tl.load(at, mask=own_c[:, None] & own_o[None, :], other=0).to(VALUE)
                total = tl.dot(
                    values.to(VALUE), weights, total, input_precision=PRECISION, out_dtype=tl.dtype(TAPS.number)
                )  # fmt: skip
    o += run * filters
    at = output + (n * steps[0] + p * steps[2])[:, None] + (o.to(tl.dtype(TAPS.integer)) * steps[1])[None, :]
    tl.store(at, total.to(output.dtype.element_ty), mask=own[:, None] & own_o[None, :])


@tuned(
    [
        {"BLOCK_P": 32, "BLOCK_C": 64, "BLOCK_O": 256, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 64, "BLOCK_O": 256, "num_warps": 8, "num_stages": 2},
        {"BLOCK_P": 32, "BLOCK_C": 64, "BLOCK_O": 128, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 64, "BLOCK_O": 64, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 32, "BLOCK_C": 32, "BLOCK_O": 64, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 32, "BLOCK_C": 32, "BLOCK_O": 32, "num_warps": 4, "num_stages": 2},
    ],
    key=["together", "filters", "PRECISION", "TAPS"],
    small={"BLOCK_P": 16, "BLOCK_C": 16, "BLOCK_O": 16},
    exact=[
        {"BLOCK_P": 16, "BLOCK_C": 64, "BLOCK_O": 256, "num_warps": 8, "num_stages": 2},
        {"BLOCK_P": 16, "BLOCK_C": 64, "BLOCK_O": 128, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 32, "BLOCK_C": 32, "BLOCK_O": 64, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 16, "BLOCK_C": 32, "BLOCK_O": 32, "num_warps": 4, "num_stages": 2},
    ],
    fits={"BLOCK_C": "together", "BLOCK_O": "filters"},
)
@jit
def _deform_backward_weight_kernel(
    input,
    offset,
    mask,
    grad,
    sums,
    slab,
    each,
    together,
    group,
    filters,
    OC,
    C,
    G,
    M,
    sizes,
    outputs,
    VALUE: tl.constexpr,
    PRECISION: tl.constexpr,
    TAPS: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_O: tl.constexpr,
):
    """A tile (channels, filters) of one tap: the sum over a slab of pixels of samples times gradients."""
    tiles, parts = tl.cdiv(filters, BLOCK_O), tl.cdiv(together, BLOCK_C)
    runs = C // together * parts
    t = tl.program_id(0) // (tiles * runs) % TAPS.many
    begin = (tl.program_id(0) // (tiles * runs * TAPS.many)).to(tl.dtype(TAPS.integer))
    run = tl.program_id(0) // tiles % runs
    o = tl.program_id(0) % tiles * BLOCK_O + tl.arange(0, BLOCK_O)
    c = run % parts * BLOCK_C + tl.arange(0, BLOCK_C)
    own_c, own_o = c < together, o < filters
    start = run // parts * together
    total = tl.zeros((BLOCK_C, BLOCK_O), tl.dtype(TAPS.number))
    for tile in range(0, tl.minimum(slab, M - begin * slab), BLOCK_P):
        m = begin * slab + tile + tl.arange(0, BLOCK_P)
        own = m < M
        places = places_of(m, outputs)
        first = places[0] * (sizes[0] * sizes[1] * sizes[2])
        samples = samples_of(offset, mask, places, own, start // each, t, outputs, G, TAPS)
        values = sampled(input, first, start + c, own_c, own, samples, sizes, C, TAPS)
        at = grad + m[:, None] * OC + (start // group * filters + o)[None, :]
        grads = tl.load(at, mask=own[:, None] & own_o[None, :], other=0).to(VALUE)
        total = tl.dot(
            tl.trans(values.to(VALUE)), grads, total, input_precision=PRECISION, out_dtype=tl.dtype(TAPS.number)
        )  # fmt: skip
    row = ((begin * (C // group) + start // group) * TAPS.many + t) * group + start % group + c
    tl.store(sums + row[:, None] * filters + o[None, :], total, mask=own_c[:, None] & own_o[None, :])


@tuned(
    [
        {"BLOCK_P": 32, "BLOCK_C": 64, "num_warps": 4},
        {"BLOCK_P": 64, "BLOCK_C": 32, "num_warps": 4},
        {"BLOCK_P": 64, "BLOCK_C": 16, "num_warps": 4},
    ],
    key=["each", "MULTIPLIER", "TAPS"],
    fits={"BLOCK_C": "each"},
    small={"BLOCK_P": 16, "BLOCK_C": 4},
)
@jit
def _depthwise_backward_weight_kernel(
    input,
    offset,
    mask,
    grad,
    sums,
    slab,
    each,
    C,
    G,
    M,
    sizes,
    outputs,
    MULTIPLIER: tl.constexpr,
    TAPS: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """Filters of one channel each, one tap: the sum over a slab of pixels of samples times gradients."""
    parts = tl.cdiv(each, BLOCK_C)
    rest = tl.program_id(0) // MULTIPLIER
    g, t = rest // parts % G, rest // (parts * G) % TAPS.many
    begin = (rest // (parts * G * TAPS.many)).to(tl.dtype(TAPS.integer))
    c = rest % parts * BLOCK_C + tl.arange(0, BLOCK_C)
    own_c = c < each
    c += g * each
    o = c * MULTIPLIER + tl.program_id(0) % MULTIPLIER
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.dtype(TAPS.number))
    for tile in range(0, tl.minimum(slab, M - begin * slab), BLOCK_P):
        m = begin * slab + tile + tl.arange(0, BLOCK_P)
        own = m < M
        places = places_of(m, outputs)
        first = places[0] * (sizes[0] * sizes[1] * sizes[2])
        samples = samples_of(offset, mask, places, own, g, t, outputs, G, TAPS)
        values = sampled(input, first, c, own_c, own, samples, sizes, C, TAPS)
        at = grad + m[:, None] * (C * MULTIPLIER) + o[None, :]
        total += values * tl.load(at, mask=own[:, None] & own_c[None, :], other=0).to(tl.dtype(TAPS.number))
    row = (begin * TAPS.many + t) * (C * MULTIPLIER)
    tl.store(sums + row + o, tl.sum(total, 0), mask=own_c)
