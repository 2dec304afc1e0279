"""Norms of windows on the CPU, in either memory format.

Sums of powers along lines are what costs; a norm that these cannot hold is computed again, number by number. The
gradient is `x * |x| ** (power - 2)` times the sum of `grad / norm ** (power - 1)` of the windows that read x.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._door import memory_format
from striate.ops._threads import Workspace, run_slabs
from striate.ops.lp_pool import kernels

Array = NDArray[Any]

# What a slab is worth, and into how many the largest maps are cut.
_SLAB_AT_LEAST, _SLABS = 1 << 17, 64


def forward(
    input: Tensor,
    power: float,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    outputs: list[int],
) -> Tensor:
    """The norms of the windows of `(N, C, *sizes)`, float32 or float64."""
    layout = memory_format(input)
    result = torch.empty((*input.shape[:2], *outputs), dtype=input.dtype, memory_format=layout)
    source, at = _flat(input, layout), _at(input, layout, kernel, stride, low, dilation, outputs)
    mode = _mode(power)
    summed = source if mode else _powers(source, power)
    least, most = _range(source.dtype, 30, 38, power)
    norms, length = _flat(result, layout), outputs[-1] * at[-1]
    workspace = Workspace()

    def work(first: int, last: int) -> None:
        line = workspace.array("line", input.shape[-1] * at[-1], source.dtype)
        kernels.sum_lines(summed, mode, at, line, norms, first, last)
        if not mode:
            torch.from_numpy(norms[first * length : last * length]).pow_(1 / power)
        kernels.correct_lines(source, power, least, most, at, norms, first, last)

    _in_slabs(norms.size // max(length, 1), input.numel(), work)
    return result


def backward(
    grad: Tensor,
    input: Tensor,
    norms: Tensor,
    power: float,
    kernel: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    """The input's gradient."""
    layout = memory_format(input)
    result = torch.empty(input.shape, dtype=input.dtype, memory_format=layout)
    at = _at(input, layout, kernel, stride, low, dilation, norms.shape[2:])
    grads, source, values, found = (_flat(tensor, layout) for tensor in (grad, input, norms, result))
    mode, length = _mode(power), input.shape[-1] * at[-1]
    workspace = Workspace()
    shares = _shares(grads, values, power)

    def work(first: int, last: int) -> None:
        if shares is None:
            kernels.spread_ratios(grads, values, power, source, at, found, first, last)
            return
        line = workspace.array("line", norms.shape[-1] * at[-1], source.dtype)
        kernels.spread_lines(shares, mode, source, at, line, found, first, last)
        if not mode:
            own = torch.from_numpy(source[first * length : last * length])
            slopes, shared = own.abs().pow_(power - 1).copysign_(own), torch.from_numpy(found)[first * length :]
            # A number that no window reads may be too large to be raised to its power.
            slopes.masked_fill_((own == 0) | (shared[: len(own)] == 0), 0)
            shared[: len(own)].mul_(slopes)

    _in_slabs(source.size // max(length, 1), input.numel(), work)
    return result


def _shares(grads: Array, norms: Array, power: float) -> Array | None:
    """What is spread, grads / norms ** (power - 1), 0 where a norm is 0; None where it leaves the numbers' range."""
    if power == 1:
        return grads
    least, most = _range(norms.dtype, 25, 25, power - 1)
    shares = np.empty_like(norms)
    outside: list[int] = []

    def work(first: int, last: int) -> None:
        outside.append(kernels.out_of_range(norms[first:last], least, most))
        own, grad = torch.from_numpy(norms[first:last]), torch.from_numpy(grads[first:last])
        part = torch.from_numpy(shares[first:last])
        if power == 2:
            torch.div(grad, own, out=part)
        else:
            torch.pow(own, 1 - power, out=part).mul_(grad)
        part.masked_fill_(own == 0, 0)

    _in_slabs(norms.size, norms.size, work)
    return None if any(outside) else shares


def _powers(source: Array, power: float) -> Array:
    """|source| ** power."""
    powers = np.empty_like(source)

    def work(first: int, last: int) -> None:
        part = torch.from_numpy(powers[first:last])
        torch.abs(torch.from_numpy(source[first:last]), out=part).pow_(power)

    _in_slabs(source.size, source.size, work)
    return powers


def _mode(power: float) -> int:
    return {1.0: kernels.ABSOLUTE, 2.0: kernels.SQUARE}.get(power, kernels.POWERED)


def _range(dtype: Any, least: float, most: float, power: float) -> tuple[Any, Any]:
    """The numbers whose power lies between 10 ** -least and 10 ** most, for float64 8 times as far."""
    information: Any = np.finfo(dtype)
    factor = 1 if dtype == np.float32 else 8
    ends = sorted(_ten_to(sign * factor / power) for sign in (-least, most))
    return dtype.type(max(ends[0], float(information.tiny))), dtype.type(min(ends[1], float(information.max)))


def _ten_to(exponent: float) -> float:
    return math.pow(10, max(min(exponent, 308), -308))


def _at(
    input: Tensor,
    layout: torch.memory_format,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    outputs: Sequence[int],
) -> Array:
    """The places as the kernels take them."""
    together = input.shape[1] if layout != torch.contiguous_format else 1
    fillers = ((input.shape[2:], 1), (outputs, 1), (kernel, 1), (stride, 1), (low, 0), (dilation, 1))
    return np.array([*(n for own, filler in fillers for n in three(own, filler)), together])


def _flat(maps: Tensor, layout: torch.memory_format) -> Array:
    """The numbers in the order of that memory format; a view, where they lie so."""
    own = maps.detach().contiguous(memory_format=layout)
    if layout != torch.contiguous_format:
        own = own.movedim(1, -1)
    array: Array = own.reshape(-1).numpy()
    return array


def _in_slabs(rows: int, numbers: int, work: Callable[[int, int], None]) -> None:
    """Call `work(first, last)` for runs of rows, the same whatever the number of threads."""
    slabs = min(rows, max(1, min(_SLABS, numbers // _SLAB_AT_LEAST)))
    run_slabs(lambda slab: work(rows * slab // slabs, rows * (slab + 1) // slabs), slabs)
