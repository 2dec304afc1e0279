"""Local contrast normalisation on the GPU, in both memory formats.

The maps are read for their mean and their spread over the channels, and once more for the result: the squares of
`v = x - local mean` have the mean `spread + (mean - local mean) ** 2`. In between there are only planes of one channel,
`(N, pixels)`, which are averaged along one axis after the other; what the window weighs inside the maps is the product
of what it weighs along the axes.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._door import memory_format
from striate.ops._pooling.gpu import fitting
from striate.ops._triton import divided, index_type, jit, launched, number_type, tl
from striate.ops.local_contrast_norm.window import Rule

# Numbers of a tile of maps and of one of planes; the most channels of the first, and fewer, so that threads add up
# most of them alone, where channels lie apart and there are many pixels.
_TILE, _PLANE, _CHANNELS, _APART, _MANY = 1024, 256, 32, 8, 2**14


def forward(input: Tensor, rule: Rule) -> Tensor:
    """`v = x - sum of w * x`, and `v / max(c, sqrt(sum of w * v ** 2))`, each where the rule asks for it."""
    maps = input.contiguous(memory_format=memory_format(input))
    result = torch.empty_like(maps)
    if result.numel():
        planes = _planes(maps, rule)
        tensors = {"local": planes.local, "deviations": planes.deviations, "least": planes.least}
        _over_maps(_apply_kernel, maps, input=maps, **tensors, result=result, FLOOR=_floor(rule, maps))
    return result


def backward(grad: Tensor, input: Tensor, rule: Rule) -> Tensor:
    """The gradient of the input."""
    layout = memory_format(input)
    maps, grads = input.contiguous(memory_format=layout), grad.contiguous(memory_format=layout)
    result = torch.empty_like(maps)
    if not result.numel():
        return result
    planes = _planes(maps, rule) if rule.divide else _Planes(None, None, None, None)
    scale, products = (_plane(maps) if rule.divide else None for _ in range(2))
    shares = _plane(maps) if rule.divide and rule.floor is None else None
    back = _plane(maps) if rule.subtract else None
    tensors = {"input": maps, "grad": grads, "local": planes.local, "scale": scale}
    seen = {"deviations": planes.deviations, "least": planes.least, "FLOOR": _floor(rule, maps)}
    _over_maps(_average_gradients_kernel, maps, **tensors, **seen, products=products, shares=shares, means=back)
    if products is not None:
        share = None if shares is None else shares.mean(1)
        products = _adjoint(products, maps, rule, planes, share, back)
    if back is not None:
        back = _adjoint(back, maps, rule)
    _over_maps(_go_back_kernel, maps, **tensors, products=products, back=back, result=result)
    return result


@dataclass(frozen=True, slots=True)
class _Planes:
    """What is known of the maps, `(N, pixels)` each; None where nothing asks for it.

    Args:
        means: over the channels.
        local: the local mean.
        deviations: the local deviation.
        least: the smallest divisor of each sample, `(N,)`, if the rule has none.
    """

    means: Tensor | None
    local: Tensor | None
    deviations: Tensor | None
    least: Tensor | None


def _planes(maps: Tensor, rule: Rule) -> _Planes:
    means, squares = (_plane(maps) if wanted else None for wanted in (rule.subtract, rule.divide))
    local, least, last = means, None, maps.ndim - 3
    _over_maps(_average_kernel, maps, input=maps, means=means, squares=squares)
    for axis in range(maps.ndim - 2):
        if local is not None:
            source, local = local, torch.empty_like(local)
            more = {"means": means, "squares": squares if axis == last else None, "RENORMALIZE": rule.renormalize}
            _over_planes(_local_mean_kernel, maps, axis, rule, source=source, result=local, **more)
    for axis in range(maps.ndim - 2):
        if squares is not None:
            source, squares = squares, torch.empty_like(squares)
            more = {"OUTSIDE": rule.outside, "LAST": axis == last}
            _over_planes(_deviation_kernel, maps, axis, rule, source=source, result=squares, **more)
    if squares is not None and rule.floor is None:
        least = squares.mean(1)
    return _Planes(means, local, squares, least)


def _adjoint(
    source: Tensor,
    maps: Tensor,
    rule: Rule,
    planes: _Planes | None = None,
    share: Tensor | None = None,
    of_local: Tensor | None = None,
) -> Tensor:
    """The adjoint of means around pixels.

    With planes that of the deviations, each with a share of its sample's: twice the gradients of the squares. What the
    local mean gets of these is added to `of_local`.
    """
    for axis in range(maps.ndim - 2):
        more: dict[str, Any] = dict.fromkeys(("deviations", "share", "means", "local", "of_local"))
        if planes is not None and axis == 0:
            more |= {"deviations": planes.deviations, "share": share}
        if planes is not None and axis == maps.ndim - 3:
            more |= {"means": planes.means, "local": planes.local, "of_local": of_local}
        more |= {"P": source.shape[1], "OUTSIDE": rule.outside and planes is not None}
        result = torch.empty_like(source)
        _over_planes(_adjoint_kernel, maps, axis, rule, source=source, result=result, **more)
        source = result
    return source


def _floor(rule: Rule, maps: Tensor) -> float | None:
    """The smallest divisor; 1 / what is smaller than any normal number would be infinite, and 0 is taken for none."""
    tiny = torch.finfo(torch.promote_types(maps.dtype, torch.float32)).tiny
    return rule.floor and max(rule.floor, tiny)


def _plane(maps: Tensor) -> Tensor:
    """A plane that nobody has written."""
    wide = torch.promote_types(maps.dtype, torch.float32)
    return torch.empty(maps.shape[0], math.prod(maps.shape[2:]), dtype=wide, device=maps.device)


def _over_maps(kernel: Any, maps: Tensor, **arguments: Any) -> None:
    """Run a kernel for all pixels of maps, and all of their channels."""
    images, channels, pixels = *maps.shape[:2], math.prod(maps.shape[2:])
    together = memory_format(maps) != torch.contiguous_format
    most = _CHANNELS if together or images * pixels < _MANY else _APART
    block_c = min(most, 1 << (channels - 1).bit_length())
    block = fitting(pixels, max(1, _TILE // block_c))
    settings = {"C": channels, "P": pixels, "TOGETHER": together, "BLOCK": block, "BLOCK_C": block_c}
    types = {"INDEX": index_type(maps), "ACC": number_type(maps.dtype)}
    programs = images * divided(pixels, block)
    launched(kernel, lambda _: (programs,), maps, **arguments, **settings, **types)


def _over_planes(kernel: Any, maps: Tensor, axis: int, rule: Rule, **arguments: Any) -> None:
    """Run a kernel for all pixels of maps, along one of their axes."""
    sizes, plane = maps.shape[2:], arguments["result"]
    weights, inside = _weights(
        rule.kernel[axis], rule.sigma[axis], sizes[axis], rule.renormalize, plane.dtype, plane.device
    )
    settings = {"count": plane.numel(), "length": sizes[axis], "inner": math.prod(sizes[axis + 1 :]), "BLOCK": _PLANE}
    settings |= {"TAPS": rule.kernel[axis], "INDEX": index_type(plane), "ACC": number_type(plane.dtype)}
    programs = divided(plane.numel(), _PLANE)
    launched(kernel, lambda _: (programs,), maps, weights=weights, inside=inside, **arguments, **settings)


@functools.lru_cache(1024)
def _weights(
    taps: int, sigma: float, length: int, renormalize: bool, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The window along an axis, and 1 / what it weighs inside at each place, or ones."""
    weights = torch.tensor(Rule([taps], [sigma], True, True, False, True, None).weights(0), dtype=torch.float64)
    inside = torch.ones(length, dtype=torch.float64)
    if renormalize:
        inside = 1 / F.conv1d(inside.view(1, 1, -1), weights.view(1, 1, -1), padding=taps // 2).view(-1)
    return weights.to(device, dtype), inside.to(device, dtype)


@jit
def _place(count, length, inner, INDEX: tl.constexpr, BLOCK: tl.constexpr):
    """The numbers of a tile of planes, which of them there are, and their places along an axis."""
    at = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    return at, at < count, at // inner % length


@jit
def _local_mean_kernel(
    source, weights, inside, means, squares, result, count, length, inner, TAPS: tl.constexpr,
    RENORMALIZE: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Means along one axis; the mean of equal numbers is exactly theirs. Squares of `x - mean` become those of v."""
    at, own, place = _place(count, length, inner, INDEX, BLOCK)
    base, sums = tl.load(source + at, own, 0.0), tl.zeros((BLOCK,), ACC)
    if not RENORMALIZE:
        base = tl.zeros((BLOCK,), ACC)
    for tap in range(TAPS):
        shift = tap - TAPS // 2
        there = own & (place + shift >= 0) & (place + shift < length)
        moved = tl.load(source + (at + tl.cast(shift, INDEX) * inner), there, 0.0)
        sums += tl.where(there, tl.load(weights + tap) * (moved - base), 0.0)
    local = base + sums * tl.load(inside + place, own, 1.0)
    tl.store(result + at, local, own)
    if squares is not None:
        far = tl.load(means + at, own, 0.0) - local
        tl.store(squares + at, tl.load(squares + at, own, 0.0) + far * far, own)


@jit
def _deviation_kernel(
    source, weights, inside, result, count, length, inner, TAPS: tl.constexpr, OUTSIDE: tl.constexpr,
    LAST: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Means of squares along one axis, and their roots at the end."""
    at, own, place = _place(count, length, inner, INDEX, BLOCK)
    sums = tl.zeros((BLOCK,), ACC)
    for tap in range(TAPS):
        shift = tap - TAPS // 2
        there = own & (place + shift >= 0) & (place + shift < length)
        sums += tl.load(weights + tap) * tl.load(source + (at + tl.cast(shift, INDEX) * inner), there, 0.0)
    per = tl.load(inside + place, own, 1.0)
    sums *= per * per if OUTSIDE else per
    if LAST:
        # The other root takes what is smaller than any normal number for 0.
        sums = tl.sqrt_rn(sums) if ACC == tl.float32 else tl.sqrt(sums)
    tl.store(result + at, sums, own)


@jit
def _adjoint_kernel(
    source, weights, inside, deviations, share, means, local, of_local, result, count, length, inner, P,
    TAPS: tl.constexpr, OUTSIDE: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The adjoint of means along one axis; of squares it begins with that of the roots and ends with what v takes."""
    at, own, place = _place(count, length, inner, INDEX, BLOCK)
    sums = tl.zeros((BLOCK,), ACC)
    for tap in range(TAPS):
        shift = tap - TAPS // 2
        there = own & (place + shift >= 0) & (place + shift < length)
        to = at + tl.cast(shift, INDEX) * inner
        value = tl.load(source + to, there, 0.0)
        if share is not None:
            value += tl.load(share + at // P, own, 0.0)
        if deviations is not None:
            deviation = tl.load(deviations + to, there, 0.0)
            value = tl.where(deviation == 0.0, 0.0, value / tl.where(deviation == 0.0, 1.0, deviation))
        per = tl.load(inside + (place + shift), there, 0.0)
        sums += tl.where(there, tl.load(weights + tap) * value * (per * per if OUTSIDE else per), 0.0)
    tl.store(result + at, sums, own)
    if of_local is not None:
        far = tl.load(means + at, own, 0.0) - tl.load(local + at, own, 0.0)
        tl.store(of_local + at, tl.load(of_local + at, own, 0.0) + sums * far, own)


@jit
def _tile(C, P, TOGETHER: tl.constexpr, INDEX: tl.constexpr, BLOCK: tl.constexpr, BLOCK_C: tl.constexpr):
    """The image of a tile of maps, its pixels, which of them there are, their first numbers, channels, and the step."""
    tiles = tl.cdiv(P, BLOCK)
    n, p = (tl.program_id(0) // tiles).to(INDEX), tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
    if TOGETHER:
        p, c, step = p[:, None], tl.arange(0, BLOCK_C)[None, :], 1
    else:
        p, c, step = p[None, :], tl.arange(0, BLOCK_C)[:, None], P
    return n, n * P + p, p < P, n * C * P + p.to(INDEX) * (C if TOGETHER else 1), c, step


@jit
def _average_kernel(
    input, means, squares, C, P, TOGETHER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr,
    BLOCK: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """The mean over the channels, and the mean of the squares of what differs from it; without means of all."""
    n, pixel, own, first, channel, step = _tile(C, P, TOGETHER, INDEX, BLOCK, BLOCK_C)
    mean = tl.zeros((BLOCK, 1) if TOGETHER else (1, BLOCK), ACC)
    if means is not None:
        # The first is taken away, so that the mean of equal numbers is exactly theirs.
        base, total = tl.load(input + first, own, 0.0).to(ACC), mean + tl.zeros(channel.shape, ACC)
        for begin in range(0, C, BLOCK_C):
            c = (begin + channel).to(INDEX)
            read = own & (c < C)
            x = tl.load(input + (first + c * step), read, 0.0).to(ACC)
            total += tl.where(read, x - base, 0.0)
        mean = base + tl.sum(total, 1 if TOGETHER else 0, keep_dims=True) / C
        tl.store(means + pixel, mean, own)
    if squares is not None:
        total = tl.zeros(own.shape, ACC) + tl.zeros(channel.shape, ACC)
        for begin in range(0, C, BLOCK_C):
            c = (begin + channel).to(INDEX)
            read = own & (c < C)
            v = tl.load(input + (first + c * step), read, 0.0).to(ACC) - mean
            total += tl.where(read, v * v, 0.0)
        tl.store(squares + pixel, tl.sum(total, 1 if TOGETHER else 0, keep_dims=True) / C, own)


@jit
def _divisor(deviations, least, n, pixel, own, FLOOR: tl.constexpr, ACC: tl.constexpr):
    """The deviation of each pixel, the smallest divisor, and whether the first divides."""
    deviation = tl.load(deviations + pixel, own, 1.0)
    if FLOOR is None:
        floor = tl.zeros(pixel.shape, ACC) + tl.load(least + n)
    else:
        floor = tl.zeros(pixel.shape, ACC) + FLOOR
    return deviation, floor, (deviation > floor) | (deviation != deviation)


@jit
def _one_over(divisor):
    """What is multiplied by; 0 is taken for 1."""
    return 1.0 / tl.where(divisor == 0.0, 1.0, divisor)


@jit
def _apply_kernel(
    input, local, deviations, least, result, C, P, FLOOR: tl.constexpr, TOGETHER: tl.constexpr,
    INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """`result = (x - local mean) / divisor`."""
    n, pixel, own, first, channel, step = _tile(C, P, TOGETHER, INDEX, BLOCK, BLOCK_C)
    mean, scale = tl.zeros(pixel.shape, ACC), tl.zeros(pixel.shape, ACC) + 1.0
    if local is not None:
        mean = tl.load(local + pixel, own, 0.0)
    if deviations is not None:
        deviation, floor, larger = _divisor(deviations, least, n, pixel, own, FLOOR, ACC)
        scale = _one_over(tl.where(larger, deviation, floor))
    for begin in range(0, C, BLOCK_C):
        c = (begin + channel).to(INDEX)
        there, at = own & (c < C), first + c * step
        x = tl.load(input + at, there, 0.0).to(ACC)
        tl.store(result + at, ((x - mean) * scale).to(result.dtype.element_ty), there)


@jit
def _average_gradients_kernel(
    input, grad, local, deviations, least, scale, products, shares, means, C, P, FLOOR: tl.constexpr,
    TOGETHER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """What multiplies, the gradients of deviations and of the smallest divisors, and what v's takes from the mean's."""
    n, pixel, own, first, channel, step = _tile(C, P, TOGETHER, INDEX, BLOCK, BLOCK_C)
    total = tl.zeros(own.shape, ACC) + tl.zeros(channel.shape, ACC)
    product, mean = total, tl.zeros(own.shape, ACC)
    if local is not None:
        mean = tl.load(local + pixel, own, 0.0)
    for begin in range(0, C, BLOCK_C):
        c = (begin + channel).to(INDEX)
        read, at = own & (c < C), first + c * step
        g = tl.load(grad + at, read, 0.0).to(ACC)
        total += g
        if scale is not None:
            x = tl.load(input + at, read, 0.0).to(ACC)
            product += tl.where(read, g * (x - mean), 0.0)
    sums = tl.sum(total, 1 if TOGETHER else 0, keep_dims=True) / C
    if scale is not None:
        deviation, floor, larger = _divisor(deviations, least, n, pixel, own, FLOOR, ACC)
        factor = _one_over(tl.where(larger, deviation, floor))
        of_divisor = -tl.sum(product, 1 if TOGETHER else 0, keep_dims=True) / C * factor * factor
        sums *= factor
        tl.store(scale + pixel, factor, own)
        tl.store(products + pixel, tl.where(larger, of_divisor, 0.0), own)
        if shares is not None:
            # A divisor of 0 is taken for 1, whatever the deviations are.
            counts = (larger == 0) & ((floor > 0.0) | (floor != floor))
            tl.store(shares + pixel, tl.where(counts, of_divisor, 0.0), own)
    if means is not None:
        tl.store(means + pixel, sums, own)


@jit
def _go_back_kernel(
    input, grad, local, scale, products, back, result, C, P, TOGETHER: tl.constexpr, INDEX: tl.constexpr,
    ACC: tl.constexpr, BLOCK: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """`result = grad * scale + (x - local mean) * products - back`."""
    n, pixel, own, first, channel, step = _tile(C, P, TOGETHER, INDEX, BLOCK, BLOCK_C)
    zeros = tl.zeros(pixel.shape, ACC)
    mean, factor, product, less = zeros, zeros, zeros, zeros
    if local is not None:
        mean = tl.load(local + pixel, own, 0.0)
    if scale is not None:
        factor, product = tl.load(scale + pixel, own, 0.0), tl.load(products + pixel, own, 0.0)
    if back is not None:
        less = tl.load(back + pixel, own, 0.0)
    for begin in range(0, C, BLOCK_C):
        c = (begin + channel).to(INDEX)
        there, at = own & (c < C), first + c * step
        found = tl.load(grad + at, there, 0.0).to(ACC)
        if scale is not None:
            x = tl.load(input + at, there, 0.0).to(ACC)
            found = found * factor + (x - mean) * product
        tl.store(result + at, (found - less).to(result.dtype.element_ty), there)
