"""Local response normalisation on the GPU, in both memory formats: neighbours are so many numbers apart in memory."""

import math
from typing import Any

import torch
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._door import memory_format
from striate.ops._triton import divided, index_type, jit, launched, number_type, tl

_BLOCK = 512

# Exponents that roots and divisions give, in quarters.
_POWERS = {0.5: 2, 0.75: 3, 1.0: 4}


def forward(input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool) -> Tensor:
    """`x / (k + alpha * sum of x ** 2 over the neighbours) ** beta`."""
    maps = input.contiguous(memory_format=memory_format(input))
    result = torch.empty_like(maps)
    _launch(_local_response_norm_forward_kernel, maps, low, high, alpha, beta, k, within_channel, {"result": result})
    return result


def backward(
    grad: Tensor, input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool
) -> Tensor:
    """The gradient of the input."""
    layout = memory_format(input)
    maps, grads = input.contiguous(memory_format=layout), grad.contiguous(memory_format=layout)
    result = torch.empty_like(maps)
    wide = torch.promote_types(maps.dtype, torch.float32)
    room = {"powers": torch.empty_like(maps, dtype=wide), "shares": torch.empty_like(maps, dtype=wide), "grad": grads}
    settings = alpha, beta, k, within_channel
    _launch(_local_response_norm_shares_kernel, maps, low, high, *settings, room)
    # Those whose neighbour a number is lie on its other side.
    _launch(_local_response_norm_backward_kernel, maps, high, low, *settings, {**room, "result": result})
    return result


def _launch(
    kernel: Any,
    maps: Tensor,
    low: int,
    high: int,
    alpha: float,
    beta: float,
    k: float,
    within_channel: bool,
    tensors: dict[str, Tensor],
) -> None:
    """Run a kernel for all numbers of maps, whose neighbours lie along up to three axes."""
    if not maps.numel():
        return
    axes = range(2, maps.ndim) if within_channel else (1,)
    lengths, steps = [maps.shape[axis] for axis in axes], [_step(maps, axis) for axis in axes]
    settings: dict[str, Any] = {"count": maps.numel(), "ALPHA": alpha, "BETA": beta, "K": k}
    for names, numbers in (
        ("D H W", three(lengths, 1)),
        ("step_z step_y step_x", three(steps, 1)),
        ("LOW_Z LOW_Y LOW_X", three([min(low, n - 1) for n in lengths], 0)),
        ("HIGH_Z HIGH_Y HIGH_X", three([min(high, n - 1) for n in lengths], 0)),
    ):
        settings.update(zip(names.split(), numbers, strict=True))
    more = {"POWER": _POWERS.get(beta, 0), "INDEX": index_type(maps), "ACC": number_type(maps.dtype), "BLOCK": _BLOCK}
    programs = divided(maps.numel(), _BLOCK)
    launched(kernel, lambda _: (programs,), maps, input=maps, **tensors, **settings, **more)


def _step(maps: Tensor, axis: int) -> int:
    """From a number to the next along an axis, in the memory format of the maps."""
    if memory_format(maps) == torch.contiguous_format:
        return math.prod(maps.shape[axis + 1 :])
    return 1 if axis == 1 else maps.shape[1] * math.prod(maps.shape[axis + 1 :])


@jit
def _sum_around(
    source: tl.tensor, at: tl.tensor, inside: tl.tensor, D: tl.tensor, H: tl.tensor, W: tl.tensor, step_z: tl.tensor,
    step_y: tl.tensor, step_x: tl.tensor, LOW_Z: tl.constexpr, LOW_Y: tl.constexpr, LOW_X: tl.constexpr,
    HIGH_Z: tl.constexpr, HIGH_Y: tl.constexpr, HIGH_X: tl.constexpr, SQUARED: tl.constexpr, ACC: tl.constexpr,
    BLOCK: tl.constexpr,
) -> Any:  # fmt: skip
    """The sum of the neighbours of each number, or of their squares."""
    z, y, x = at // step_z % D, at // step_y % H, at // step_x % W
    total = tl.zeros((BLOCK,), ACC)
    for dz in range(-LOW_Z, HIGH_Z + 1):
        for dy in range(-LOW_Y, HIGH_Y + 1):
            rows = inside & (z + dz >= 0) & (z + dz < D) & (y + dy >= 0) & (y + dy < H)
            for dx in range(-LOW_X, HIGH_X + 1):
                place = at + dz * step_z + dy * step_y + dx * step_x
                value = tl.load(source + place, rows & (x + dx >= 0) & (x + dx < W), 0.0).to(ACC)
                total += value * value if SQUARED else value
    return total


@jit
def _to_minus(base: tl.tensor, BETA: tl.constexpr, POWER: tl.constexpr) -> Any:
    """`base ** -BETA`. The root of a division is not NaN where the base is infinite."""
    if POWER == 4:
        return 1.0 / base
    if POWER == 2:
        return tl.sqrt(1.0 / base)
    if POWER == 3:
        root = tl.sqrt(1.0 / base)
        return root * tl.sqrt(root)
    return tl.exp2(-BETA * tl.log2(base))


@jit
def _local_response_norm_forward_kernel(
    input: tl.tensor, result: tl.tensor, count: tl.tensor, D: tl.tensor, H: tl.tensor, W: tl.tensor, step_z: tl.tensor,
    step_y: tl.tensor, step_x: tl.tensor, LOW_Z: tl.constexpr, LOW_Y: tl.constexpr, LOW_X: tl.constexpr,
    HIGH_Z: tl.constexpr, HIGH_Y: tl.constexpr, HIGH_X: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr,
    K: tl.constexpr, POWER: tl.constexpr, INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """`result = x * (k + alpha * sum of x ** 2 over the neighbours) ** -beta`."""
    at = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    total = _sum_around(
        input, at, inside, D, H, W, step_z, step_y, step_x, LOW_Z, LOW_Y, LOW_X, HIGH_Z, HIGH_Y, HIGH_X,
        True, ACC, BLOCK,
    )  # fmt: skip
    x = tl.load(input + at, inside, 0.0).to(ACC)
    power = _to_minus(K + ALPHA * total, BETA, POWER)
    tl.store(result + at, (x * power).to(result.dtype.element_ty), inside)


@jit
def _local_response_norm_shares_kernel(
    input: tl.tensor, grad: tl.tensor, powers: tl.tensor, shares: tl.tensor, count: tl.tensor, D: tl.tensor,
    H: tl.tensor, W: tl.tensor, step_z: tl.tensor, step_y: tl.tensor, step_x: tl.tensor, LOW_Z: tl.constexpr,
    LOW_Y: tl.constexpr, LOW_X: tl.constexpr, HIGH_Z: tl.constexpr, HIGH_Y: tl.constexpr, HIGH_X: tl.constexpr,
    ALPHA: tl.constexpr, BETA: tl.constexpr, K: tl.constexpr, POWER: tl.constexpr, INDEX: tl.constexpr,
    ACC: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """`powers = base ** -beta` and `shares = grad * x * base ** (-beta - 1)`."""
    at = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    total = _sum_around(
        input, at, inside, D, H, W, step_z, step_y, step_x, LOW_Z, LOW_Y, LOW_X, HIGH_Z, HIGH_Y, HIGH_X,
        True, ACC, BLOCK,
    )  # fmt: skip
    x, g = tl.load(input + at, inside, 0.0).to(ACC), tl.load(grad + at, inside, 0.0).to(ACC)
    base = K + ALPHA * total
    power = _to_minus(base, BETA, POWER)
    tl.store(powers + at, power, inside)
    tl.store(shares + at, g * x * power / base, inside)


@jit
def _local_response_norm_backward_kernel(
    input: tl.tensor, grad: tl.tensor, powers: tl.tensor, shares: tl.tensor, result: tl.tensor, count: tl.tensor,
    D: tl.tensor, H: tl.tensor, W: tl.tensor, step_z: tl.tensor, step_y: tl.tensor, step_x: tl.tensor,
    LOW_Z: tl.constexpr, LOW_Y: tl.constexpr, LOW_X: tl.constexpr, HIGH_Z: tl.constexpr, HIGH_Y: tl.constexpr,
    HIGH_X: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr, K: tl.constexpr, POWER: tl.constexpr,
    INDEX: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """`result = grad * power - 2 alpha beta x * sum of the shares` of those whose neighbour x is."""
    at = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    total = _sum_around(
        shares, at, inside, D, H, W, step_z, step_y, step_x, LOW_Z, LOW_Y, LOW_X, HIGH_Z, HIGH_Y, HIGH_X,
        False, ACC, BLOCK,
    )  # fmt: skip
    x, g = tl.load(input + at, inside, 0.0).to(ACC), tl.load(grad + at, inside, 0.0).to(ACC)
    found = g * tl.load(powers + at, inside, 0.0) - 2.0 * ALPHA * BETA * x * total
    tl.store(result + at, found.to(result.dtype.element_ty), inside)
