"""Local contrast normalisation on the GPU, in both memory formats.

The maps are read for their mean and their spread over the channels, and once more for the result: the squares of
`v = x - local mean` have the mean `spread + (mean - local mean) ** 2`. In between there are only planes of one channel,
`(N, pixels)`.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from striate.ops._door import memory_format
from striate.ops._triton import divided, index_type, jit, launched, number_type, tl
from striate.ops.local_contrast_norm.window import Rule

# Numbers of a tile, and the most channels of one.
_TILE, _CHANNELS = 512, 64


def forward(input: Tensor, rule: Rule) -> Tensor:
    """`v = x - sum of w * x`, and `v / max(c, sqrt(sum of w * v ** 2))`, each where the rule asks for it."""
    maps = input.contiguous(memory_format=memory_format(input))
    result = torch.empty_like(maps)
    if result.numel():
        planes = _planes(maps, rule)
        tensors = {"input": maps, "local": planes.local, "scale": planes.scale, "result": result}
        _launch(_apply_kernel, maps, **tensors, **_flat(maps))
    return result


def backward(grad: Tensor, input: Tensor, rule: Rule) -> Tensor:
    """The gradient of the input."""
    layout = memory_format(input)
    maps, grads = input.contiguous(memory_format=layout), grad.contiguous(memory_format=layout)
    result = torch.empty_like(maps)
    if not result.numel():
        return result
    planes = _planes(maps, rule)
    sums, products = torch.empty_like(planes.local), torch.empty_like(planes.local)
    tensors = {"input": maps, "grad": grads, "local": planes.local, "sums": sums, "products": products}
    _launch(_average_gradients_kernel, maps, **tensors, **_tiled(maps))
    products, back = _plane_gradients(planes, sums, products, rule)
    tensors = {"input": maps, "grad": grads, "local": planes.local, "scale": planes.scale}
    _launch(_go_back_kernel, maps, **tensors, products=products, back=back, result=result, **_flat(maps))
    return result


@dataclass(frozen=True, slots=True)
class _Planes:
    """What is known of the maps, `(N, pixels)` each.

    Args:
        sizes: of a map.
        means: over the channels; 0 if nothing is subtracted.
        local: the local mean, or 0.
        deviations: the local deviation, or 0 if nothing is divided.
        least: the smallest divisor of each sample, `(N, 1)`.
        scale: what v is multiplied by.
        inside: the weight of the window inside the maps, `(1, pixels)`, or ones.
    """

    sizes: tuple[int, ...]
    means: Tensor
    local: Tensor
    deviations: Tensor
    least: Tensor
    scale: Tensor
    inside: Tensor

    def factor(self, rule: Rule) -> Tensor:
        """What a root is multiplied by."""
        return 1 / self.inside if rule.outside else self.inside.rsqrt()


def _planes(maps: Tensor, rule: Rule) -> _Planes:
    images, _, *sizes = maps.shape
    wide, shape = torch.promote_types(maps.dtype, torch.float32), tuple(sizes)
    means = torch.empty(images, math.prod(sizes), dtype=wide, device=maps.device)
    squares = torch.empty_like(means)
    settings = {"SUBTRACT": rule.subtract, **_tiled(maps)}
    _launch(_average_kernel, maps, input=maps, means=means, squares=squares, **settings)
    ones = torch.ones_like(means[:1])
    inside = _around(ones, shape, rule) if rule.renormalize else ones
    local = _around(means, shape, rule, mean=rule.renormalize) if rule.subtract else torch.zeros_like(means)
    scale, deviations, least = torch.ones_like(means), torch.zeros_like(means), torch.zeros_like(means[:, :1])
    if rule.divide:
        deviations = _around(squares + (means - local).square(), shape, rule).sqrt()
        deviations = deviations / inside if rule.outside else deviations * inside.rsqrt()
        if rule.floor is None:
            least = deviations.mean(1, keepdim=True)
        else:
            # 1 / what is smaller than any normal number would be infinite; 0 is taken for no floor.
            least = torch.full_like(least, rule.floor and max(rule.floor, torch.finfo(wide).tiny))
        divisor = torch.where((deviations > least) | deviations.isnan(), deviations, least)
        scale = torch.where(divisor == 0, 1, 1 / divisor)
    return _Planes(shape, means, local, deviations, least, scale, inside)


def _plane_gradients(planes: _Planes, sums: Tensor, products: Tensor, rule: Rule) -> tuple[Tensor, Tensor]:
    """What v is multiplied by, and what is taken away, in the input's gradient.

    The first is twice the gradient of a square; the second the adjoint of the local mean, of v's gradient.
    """
    back = torch.zeros_like(products)
    if rule.divide:
        of_divisor = -products * planes.scale.square()
        larger = (planes.deviations > planes.least) | planes.deviations.isnan()
        of_deviation = torch.where(larger, of_divisor, 0)
        if rule.floor is None:
            # A divisor of 0 is taken for 1, whatever the deviations are.
            counts = ~larger & ((planes.least > 0) | planes.least.isnan())
            of_deviation = of_deviation + torch.where(counts, of_divisor, 0).mean(1, keepdim=True)
        of_square = of_deviation * planes.factor(rule).square() / planes.deviations
        products = _around(torch.where(planes.deviations == 0, 0, of_square), planes.sizes, rule)
    else:
        products = torch.zeros_like(products)
    if rule.subtract:
        of_local = sums * planes.scale + products * (planes.means - planes.local)
        back = _around(of_local / planes.inside, planes.sizes, rule)
    return products, back


def _around(planes: Tensor, sizes: tuple[int, ...], rule: Rule, mean: bool = False) -> Tensor:
    """The weighted sums around all places, zeros outside, or the means of what is inside."""
    for axis, length in enumerate(sizes):
        result, inner = torch.empty_like(planes), math.prod(sizes[axis + 1 :])
        weights = _weights(rule.kernel[axis], rule.sigma[axis], planes.dtype, planes.device)
        settings = {"count": planes.numel(), "length": length, "inner": inner, "MEAN": mean, **_types(planes)}
        tensors = {"source": planes, "weights": weights, "result": result}
        _launch(_around_kernel, planes, **tensors, TAPS=rule.kernel[axis], **settings)
        planes = result
    return planes


@functools.lru_cache(64)
def _weights(taps: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(Rule([taps], [sigma], True, True, False, True, None).weights(0), dtype=dtype, device=device)


def _types(tensor: Tensor) -> dict[str, Any]:
    return {"INDEX": index_type(tensor), "ACC": number_type(tensor.dtype), "BLOCK": _TILE}


def _flat(maps: Tensor) -> dict[str, Any]:
    """How the kernels that write maps go over them, in the order of memory."""
    channels, pixels = maps.shape[1], math.prod(maps.shape[2:])
    together = memory_format(maps) != torch.contiguous_format
    return {"count": maps.numel(), "C": channels, "P": pixels, "TOGETHER": together, **_types(maps)}


def _tiled(maps: Tensor) -> dict[str, Any]:
    """How the kernels that average over the channels go over maps."""
    settings = _flat(maps)
    settings["count"], block_c = maps.shape[0] * settings["P"], 1
    if settings["TOGETHER"]:
        block_c = min(_CHANNELS, 1 << (maps.shape[1] - 1).bit_length())
    return {**settings, "BLOCK": max(1, _TILE // block_c), "BLOCK_C": block_c}


def _launch(kernel: Any, like: Tensor, **arguments: Any) -> None:
    """Run a kernel, one program for each block of what it counts."""
    programs = divided(arguments["count"], arguments["BLOCK"])
    launched(kernel, lambda _: (programs,), like, **arguments)


@jit
def _around_kernel(
    source: tl.tensor, weights: tl.tensor, result: tl.tensor, count: tl.tensor, length: tl.tensor, inner: tl.tensor,
    TAPS: tl.constexpr, MEAN: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """Weighted sums, or the means of what is inside, along one axis; the mean of equal numbers is exactly theirs."""
    at = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    own = at < count
    place = at // inner % length
    base = tl.load(source + at, own, 0.0) if MEAN else tl.zeros((BLOCK,), ACC)
    sums, inside = tl.zeros((BLOCK,), ACC), tl.zeros((BLOCK,), ACC)
    for tap in range(TAPS):
        shift = tap - TAPS // 2
        there = own & (place + shift >= 0) & (place + shift < length)
        weight = tl.load(weights + tap)
        moved = tl.load(source + at + shift * inner, there, 0.0)
        sums += tl.where(there, weight * (moved - base), 0.0)
        inside += tl.where(there, weight, 0.0)
    if MEAN:
        sums = base + sums / tl.where(own, inside, 1.0)
    tl.store(result + at, sums, own)


@jit
def _average_kernel(
    input: tl.tensor, means: tl.tensor, squares: tl.tensor, count: tl.tensor, C: tl.tensor, P: tl.tensor,
    SUBTRACT: tl.constexpr, TOGETHER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
    BLOCK_C: tl.constexpr,
) -> None:  # fmt: skip
    """The mean over the channels, or 0, and the mean of the squares of what differs from it."""
    pixel = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    first, step = _start(pixel, C, P, TOGETHER)
    own, mean = pixel < count, tl.zeros((BLOCK,), ACC)
    if SUBTRACT:
        # The first is taken away, so that the mean of equal numbers is exactly theirs.
        base, total = tl.load(input + first, own, 0.0).to(ACC), tl.zeros((BLOCK, BLOCK_C), ACC)
        for begin in range(0, C, BLOCK_C):
            c = begin + tl.arange(0, BLOCK_C)[None, :]
            read = own[:, None] & (c < C)
            x = tl.load(input + first[:, None] + c * step, read, 0.0).to(ACC)
            total += tl.where(read, x - base[:, None], 0.0)
        mean = base + tl.sum(total, 1) / C
    total = tl.zeros((BLOCK, BLOCK_C), ACC)
    for begin in range(0, C, BLOCK_C):
        c = begin + tl.arange(0, BLOCK_C)[None, :]
        read = own[:, None] & (c < C)
        v = tl.load(input + first[:, None] + c * step, read, 0.0).to(ACC) - mean[:, None]
        total += tl.where(read, v * v, 0.0)
    tl.store(means + pixel, mean, own)
    tl.store(squares + pixel, tl.sum(total, 1) / C, own)


@jit
def _start(pixel: tl.tensor, C: tl.tensor, P: tl.tensor, TOGETHER: tl.constexpr) -> Any:
    """Where the first channel of a pixel lies, and how far it is to the next one."""
    if TOGETHER:
        return pixel * C, 1
    return pixel // P * C * P + pixel % P, P


@jit
def _average_gradients_kernel(
    input: tl.tensor, grad: tl.tensor, local: tl.tensor, sums: tl.tensor, products: tl.tensor, count: tl.tensor,
    C: tl.tensor, P: tl.tensor, TOGETHER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
    BLOCK_C: tl.constexpr,
) -> None:  # fmt: skip
    """The means over the channels of the gradient, and of the gradient * v."""
    pixel = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    first, step = _start(pixel, C, P, TOGETHER)
    own = pixel < count
    mean = tl.load(local + pixel, own, 0.0)[:, None]
    total, product = tl.zeros((BLOCK, BLOCK_C), ACC), tl.zeros((BLOCK, BLOCK_C), ACC)
    for begin in range(0, C, BLOCK_C):
        c = begin + tl.arange(0, BLOCK_C)[None, :]
        read = own[:, None] & (c < C)
        x = tl.load(input + first[:, None] + c * step, read, 0.0).to(ACC)
        g = tl.load(grad + first[:, None] + c * step, read, 0.0).to(ACC)
        total += g
        product += tl.where(read, g * (x - mean), 0.0)
    tl.store(sums + pixel, tl.sum(total, 1) / C, own)
    tl.store(products + pixel, tl.sum(product, 1) / C, own)


@jit
def _pixel(at: tl.tensor, C: tl.tensor, P: tl.tensor, TOGETHER: tl.constexpr) -> Any:
    """The pixel of a number."""
    return at // C if TOGETHER else at // (C * P) * P + at % P


@jit
def _apply_kernel(
    input: tl.tensor, local: tl.tensor, scale: tl.tensor, result: tl.tensor, count: tl.tensor, C: tl.tensor,
    P: tl.tensor, TOGETHER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """`result = (x - local mean) * scale`."""
    at = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    own, pixel = at < count, _pixel(at, C, P, TOGETHER)
    x = tl.load(input + at, own, 0.0).to(ACC) - tl.load(local + pixel, own, 0.0)
    tl.store(result + at, (x * tl.load(scale + pixel, own, 0.0)).to(result.dtype.element_ty), own)


@jit
def _go_back_kernel(
    input: tl.tensor, grad: tl.tensor, local: tl.tensor, scale: tl.tensor, products: tl.tensor, back: tl.tensor,
    result: tl.tensor, count: tl.tensor, C: tl.tensor, P: tl.tensor, TOGETHER: tl.constexpr, INDEX: tl.constexpr,
    ACC: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """`result = grad * scale + (x - local mean) * products - back`."""
    at = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    own, pixel = at < count, _pixel(at, C, P, TOGETHER)
    v = tl.load(input + at, own, 0.0).to(ACC) - tl.load(local + pixel, own, 0.0)
    found = tl.load(grad + at, own, 0.0).to(ACC) * tl.load(scale + pixel, own, 0.0)
    found += v * tl.load(products + pixel, own, 0.0) - tl.load(back + pixel, own, 0.0)
    tl.store(result + at, found.to(result.dtype.element_ty), own)
