"""Gradients through samples on the GPU: of input, offsets and mask in one pass over each tile."""

import math
from typing import Any

import torch
from torch import Tensor

from striate.ops._sampling.gpu import Samples
from striate.ops._sampling.places import corner_of, places_of, samples_of
from striate.ops._triton import divided, jit, product_precision, product_type, tl, tuned


def backward(
    samples: Samples, grads: Tensor, weight: Tensor | None, group: int, *, input: bool, moves: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of input, offsets and mask, flat and in the type of sums.

    The input's gradient is added up by many programs at once, so that its last bits change from run to run; under
    `torch.use_deterministic_algorithms` in whole numbers, which add up to the same in any order.

    Args:
        samples: what was read.
        grads: of the outputs, as `rows`.
        weight: `(groups, taps, channels, filters)`, `(taps, C * multiplier)` where a group has one channel, or None.
        group: channels of a group of filters; 0 where there is no weight.
        input: whether the input's gradient is wanted.
        moves: whether those of offsets and mask are.

    Returns:
        Rows of the input's gradient, and the other two; what is not wanted says nothing.
    """
    device = grads.device
    deterministic = torch.are_deterministic_algorithms_enabled()

    def room(many: int, dtype: torch.dtype = samples.number) -> Tensor:
        return torch.zeros(many, dtype=dtype, device=device)

    many = samples.pictures.numel() if input else 1
    sums = room(many)
    fixed = room(many if deterministic else 1, torch.int64)
    quantum = _quantum(samples, grads, weight, group) if deterministic else room(1)
    grad_offset = room(samples.offsets.numel() if moves else 1)
    grad_mask = room(samples.masks.numel() if moves and samples.masks is not None else 1)
    if grads.numel() and samples.pictures.numel():
        each = samples.channels // samples.groups
        together = math.gcd(group, each) if group > 1 else each

        def programs(all: dict[str, Any]) -> int:
            return divided(samples.pixels, all["BLOCK_P"]) * samples.groups * samples.taps

        samples.launch(
            _samples_backward_kernel,
            programs,
            grad=grads,
            weight=weight,
            grad_input=sums,
            fixed=fixed,
            quantum=quantum,
            grad_offset=grad_offset,
            grad_mask=grad_mask,
            each=each,
            together=together,
            group=max(group, 1),
            filters=grads.shape[2] * max(group, 1) // samples.channels,
            OC=grads.shape[2],
            PRODUCT=group > 1,
            WEIGHTED=weight is not None,
            NEEDS_INPUT=input,
            NEEDS_MOVES=moves,
            DETERMINISTIC=deterministic,
            VALUE=product_type(grads.dtype),
            PRECISION=product_precision(),
        )
    if deterministic and input:
        sums += (fixed.double() * quantum.double()).to(sums.dtype)
    return sums, grad_offset, grad_mask


def _quantum(samples: Samples, grads: Tensor, weight: Tensor | None, group: int) -> Tensor:
    """The step of whole numbers in which no sum of contributions to one pixel can leave 64 bits."""

    def largest(tensor: Tensor) -> Tensor:
        return torch.where(tensor.isfinite(), tensor.double(), 0).abs().amax()

    bound = grads.new_full((), float(max(samples.pixels * samples.taps, 1)), dtype=torch.float64)
    if grads.numel():
        bound = bound * largest(grads)
    if weight is not None:
        filters = weight if group > 1 else weight.view(samples.taps, samples.channels, -1)
        bound = bound * largest(filters.double().abs().sum(-1))
    if samples.masks is not None and samples.masks.numel():
        bound = bound * largest(samples.masks)
    exponent = torch.frexp(bound).exponent.clamp(-60, 180 if samples.number == torch.float32 else 1080)
    return torch.ldexp(torch.ones_like(bound), exponent - 61).to(samples.number).view(1)


@jit
def _grad_values(
    grad,
    weight,
    m,
    own,
    c,
    own_c,
    first,
    t,
    group,
    filters,
    OC,
    PRODUCT: tl.constexpr,
    WEIGHTED: tl.constexpr,
    VALUE: tl.constexpr,
    PRECISION: tl.constexpr,
    TAPS: tl.constexpr,
    BLOCK_O: tl.constexpr,
):
    """The gradients of a tile (pixels, channels) of samples of tap t, `first + c`, which lie in one group."""
    total = tl.zeros((m.shape[0], c.shape[0]), tl.dtype(TAPS.number))
    if PRODUCT:
        head = (first // group * TAPS.many + t) * group + first % group + c
        for begin in range(0, filters, BLOCK_O):
            o = begin + tl.arange(0, BLOCK_O)
            at = grad + m[:, None] * OC + (first // group * filters + o)[None, :]
            grads = tl.load(at, mask=own[:, None] & (o < filters)[None, :], other=0).to(VALUE)
            at = weight + head[:, None] * filters + o[None, :]
            values = tl.load(at, mask=own_c[:, None] & (o < filters)[None, :], other=0).to(VALUE)
            total = tl.dot(grads, tl.trans(values), total, input_precision=PRECISION, out_dtype=tl.dtype(TAPS.number))
    else:
        for j in range(filters):
            o = (first + c) * filters + j
            at = grad + m[:, None] * OC + o[None, :]
            grads = tl.load(at, mask=own[:, None] & own_c[None, :], other=0).to(tl.dtype(TAPS.number))
            if WEIGHTED:
                grads *= tl.load(weight + t * OC + o, mask=own_c, other=0).to(tl.dtype(TAPS.number))[None, :]
            total += grads
    return tl.where(own_c[None, :], total, 0)


@tuned(
    [
        {"BLOCK_P": 64, "BLOCK_C": 32, "BLOCK_O": 128, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 32, "BLOCK_O": 64, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 32, "BLOCK_C": 32, "BLOCK_O": 64, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 32, "BLOCK_O": 32, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 32, "BLOCK_C": 64, "BLOCK_O": 32, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 64, "BLOCK_C": 16, "BLOCK_O": 32, "num_warps": 4, "num_stages": 2},
    ],
    key=["together", "filters", "PRECISION", "PRODUCT", "NEEDS_INPUT", "NEEDS_MOVES", "TAPS"],
    small={"BLOCK_P": 16, "BLOCK_C": 16, "BLOCK_O": 16},
    exact=[
        {"BLOCK_P": 64, "BLOCK_C": 32, "BLOCK_O": 32, "num_warps": 8, "num_stages": 2},
        {"BLOCK_P": 32, "BLOCK_C": 32, "BLOCK_O": 32, "num_warps": 4, "num_stages": 2},
        {"BLOCK_P": 32, "BLOCK_C": 16, "BLOCK_O": 32, "num_warps": 4, "num_stages": 2},
    ],
    fits={"BLOCK_C": "together", "BLOCK_O": "filters"},
    zero=["grad_input", "fixed"],
)
@jit
def _samples_backward_kernel(
    input,
    offset,
    mask,
    grad,
    weight,
    grad_input,
    fixed,
    quantum,
    grad_offset,
    grad_mask,
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
    PRODUCT: tl.constexpr,
    WEIGHTED: tl.constexpr,
    NEEDS_INPUT: tl.constexpr,
    NEEDS_MOVES: tl.constexpr,
    DETERMINISTIC: tl.constexpr,
    VALUE: tl.constexpr,
    PRECISION: tl.constexpr,
    TAPS: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_O: tl.constexpr,
):
    """One tap of one offset group at a tile of pixels: all its channels, so that offsets and mask are summed here."""
    t, g = tl.program_id(0) % TAPS.many, tl.program_id(0) // TAPS.many % G
    m = (tl.program_id(0) // (TAPS.many * G)).to(tl.dtype(TAPS.integer)) * BLOCK_P + tl.arange(0, BLOCK_P)
    own = m < M
    P = outputs[0] * outputs[1] * outputs[2]
    places = places_of(m, outputs)
    n, p = places[0], places[1]
    first = n * (sizes[0] * sizes[1] * sizes[2])
    below, part, unknown, factor = samples_of(offset, mask, places, own, g, t, outputs, G, TAPS)
    exists = own & (unknown == 0)
    step = tl.load(quantum)
    # The products of pixels and gradients, a tile for each corner.
    products = (tl.zeros((BLOCK_P, BLOCK_C), tl.dtype(TAPS.number)),) * 2**TAPS.axes
    tiles = tl.cdiv(together, BLOCK_C)
    for tile in range(each // together * tiles):
        start = g * each + tile // tiles * together
        c = tile % tiles * BLOCK_C + tl.arange(0, BLOCK_C)
        own_c = c < together
        grads = _grad_values(
            grad, weight, m, own, c, own_c, start, t, group, filters, OC,
            PRODUCT, WEIGHTED, VALUE, PRECISION, TAPS, BLOCK_O,
        )  # fmt: skip
        for corner in tl.static_range(2**TAPS.axes):
            pixel, inside, share_z, share_y, share_x = corner_of(below, part, exists, sizes, corner, TAPS)
            at = ((first + pixel) * C)[:, None] + (start + c)[None, :]
            here = inside[:, None] & own_c[None, :]
            if NEEDS_MOVES:
                values = tl.load(input + at, mask=here, other=0).to(tl.dtype(TAPS.number))
                products = products[:corner] + (products[corner] + values * grads,) + products[corner + 1 :]
            if NEEDS_INPUT:
                parts = grads * (share_z * share_y * share_x * factor)[:, None]
                if DETERMINISTIC:
                    # Whole numbers add up to the same in any order, and so do infinity and NaN.
                    finite = tl.abs(parts) < float("inf")
                    whole = tl.floor(tl.where(finite, parts, 0) / step + 0.5).to(tl.int64)
                    tl.atomic_add(fixed + at, whole, mask=here, sem="relaxed")
                    here = here & (finite == 0)
                tl.atomic_add(grad_input + at, parts, mask=here, sem="relaxed")
    if NEEDS_MOVES:
        sum_z, sum_y = tl.zeros((BLOCK_P,), tl.dtype(TAPS.number)), tl.zeros((BLOCK_P,), tl.dtype(TAPS.number))
        sum_x, sum_factor = tl.zeros((BLOCK_P,), tl.dtype(TAPS.number)), tl.zeros((BLOCK_P,), tl.dtype(TAPS.number))
        for corner in tl.static_range(2**TAPS.axes):
            _, inside, share_z, share_y, share_x = corner_of(below, part, exists, sizes, corner, TAPS)
            dot = tl.where(inside, tl.sum(products[corner], 1), 0)
            sum_factor += share_z * share_y * share_x * dot
            dot = tl.where(inside, dot * factor, 0)
            sum_x += (dot if corner % 2 else -dot) * share_z * share_y
            sum_y += (dot if corner // 2 % 2 else -dot) * share_z * share_x
            sum_z += (dot if corner // 4 else -dot) * share_y * share_x
        at = (n * G + g) * TAPS.many + t
        to = grad_offset + at * TAPS.axes * P + p
        tl.store(to + (TAPS.axes - 1) * P, sum_x * TAPS.scale, mask=own)
        if TAPS.axes > 1:
            tl.store(to + (TAPS.axes - 2) * P, sum_y * TAPS.scale, mask=own)
        if TAPS.axes > 2:
            tl.store(to, sum_z * TAPS.scale, mask=own)
        if TAPS.masked:
            lost = tl.where(unknown, float("nan"), sum_factor)
            tl.store(grad_mask + at * P + p, lost, mask=own)
