"""Numbers put back on the GPU, and what comes back to them, in either memory format.

Every place first learns the last number that names it, by a maximum of integers, which has no order.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.ops._pooling.gpu import launch
from striate.ops._pooling.taps import format_of
from striate.ops._triton import index_type, jit, tl


def forward(input: Tensor, indices: Tensor, sizes: Sequence[int], channels_last: bool) -> Tensor:
    """The numbers of `(N, C, *outputs)` at their indices in `(N, C, *sizes)`, zeros elsewhere.

    Raises:
        ValueError: if an index lies outside.
    """
    layout, places = format_of(input.ndim, channels_last), math.prod(sizes)
    wrong = indices[(indices < -1) | (indices >= places)]
    if wrong.numel():
        raise ValueError(
            f"max_unpool: indices must be from 0 to {places - 1}, places of an output of {tuple(sizes)}, "
            f"or -1, got {int(wrong[0])}"
        )
    values, shape = input.contiguous(memory_format=layout), (*input.shape[:2], *sizes)
    result = torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=layout)
    last, settings = _last(indices.contiguous(memory_format=layout), shape, channels_last)
    launch(_max_unpool_forward_kernel, result, settings, input=values, last=last, result=result)
    return result


def backward(grad: Tensor, indices: Tensor, channels_last: bool) -> Tensor:
    """The gradient `(N, C, *outputs)` of the numbers: that of their place, 0 for those that another has replaced."""
    layout = format_of(grad.ndim, channels_last)
    grads, named = grad.contiguous(memory_format=layout), indices.contiguous(memory_format=layout)
    result = torch.empty(indices.shape, dtype=grad.dtype, device=grad.device, memory_format=layout)
    last, settings = _last(named, grad.shape, channels_last)
    launch(_max_unpool_backward_kernel, result, settings, grad=grads, indices=named, last=last, result=result)
    return result


def _last(indices: Tensor, shape: Sequence[int], channels_last: bool) -> tuple[Tensor, dict[str, Any]]:
    """By place, in the order of memory, the last number that names it or -1; and what kernels ask of the planes."""
    last = torch.full((math.prod(shape),), -1, dtype=torch.int32, device=indices.device)
    inner = shape[1] if channels_last else 1
    sizes = {"inner": inner, "many": math.prod(indices.shape[2:]), "places": math.prod(shape[2:])}
    settings = {**sizes, "INDEX": index_type(indices, last)}
    # Not the indices are written, but there is a program for each of them.
    launch(_max_unpool_last_kernel, indices, settings, indices=indices, last=last)
    return last, settings


@jit
def _plane(count: tl.tensor, inner: tl.tensor, size: tl.tensor, INDEX: tl.constexpr, BLOCK: tl.constexpr) -> Any:
    """Numbers of a block, which of them there are, their plane, their number in it, and their place in a pixel."""
    at = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    return at, at < count, at // inner // size, at // inner % size, at % inner


@jit
def _max_unpool_last_kernel(
    indices: tl.tensor, last: tl.tensor, count: tl.tensor, inner: tl.tensor, many: tl.tensor, places: tl.tensor,
    INDEX: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """last[place] = the largest j that names it."""
    at, own, p, j, i = _plane(count, inner, many, INDEX, BLOCK)
    place = tl.load(indices + at, own, -1).to(INDEX)
    tl.atomic_max(last + (p * places + place) * inner + i, j.to(tl.int32), own & (place >= 0) & (place < places))


@jit
def _max_unpool_forward_kernel(
    input: tl.tensor, last: tl.tensor, result: tl.tensor, count: tl.tensor, inner: tl.tensor, many: tl.tensor,
    places: tl.tensor, INDEX: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """result[place] = input[last[place]], 0 where there is none."""
    at, own, p, _, i = _plane(count, inner, places, INDEX, BLOCK)
    j = tl.load(last + at, own, -1).to(INDEX)
    tl.store(result + at, tl.load(input + (p * many + j) * inner + i, own & (j >= 0), 0.0), own)


@jit
def _max_unpool_backward_kernel(
    grad: tl.tensor, indices: tl.tensor, last: tl.tensor, result: tl.tensor, count: tl.tensor, inner: tl.tensor,
    many: tl.tensor, places: tl.tensor, INDEX: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """result[j] = grad[indices[j]] where j is the last that names the place, 0 for the others."""
    at, own, p, j, i = _plane(count, inner, many, INDEX, BLOCK)
    place = tl.load(indices + at, own, -1).to(INDEX)
    to = (p * places + place) * inner + i
    named = own & (place >= 0) & (place < places)
    stays = named & (tl.load(last + to, named, -1).to(INDEX) == j)
    tl.store(result + at, tl.load(grad + to, stays, 0.0), own)
