"""Numbers put back on the GPU, and what comes back to them, in either memory format.

Every place first learns the last number that names it, by a maximum of integers, which has no order.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.ops._pooling.gpu import launch, tile_of
from striate.ops._pooling.taps import format_of
from striate.ops._triton import jit, tl


def forward(input: Tensor, indices: Tensor, sizes: Sequence[int], channels_last: bool) -> Tensor:
    """The numbers of `(N, C, *outputs)` at their indices in `(N, C, *sizes)`, zeros elsewhere.

    While a CUDA graph is captured, nothing can be asked of the device: an index that lies outside then names no place.

    Raises:
        ValueError: if an index lies outside.
    """
    layout = format_of(input.ndim, channels_last)
    values, shape = input.contiguous(memory_format=layout), (*input.shape[:2], *sizes)
    result = torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=layout)
    last, wrong, settings = _last(indices.contiguous(memory_format=layout), shape, channels_last)
    tensors = {"input": values, "last": last, "result": result}
    launch(_max_unpool_forward_kernel, result, settings["places"], settings, tensors, runs=False)
    if not (wrong.is_cuda and torch.cuda.is_current_stream_capturing()) and wrong.item():
        outside = indices[(indices < -1) | (indices >= math.prod(sizes))]
        raise ValueError(
            f"max_unpool: indices must be from 0 to {math.prod(sizes) - 1}, places of an output of {tuple(sizes)}, "
            f"or -1, got {int(outside[0])}"
        )
    return result


def backward(grad: Tensor, indices: Tensor, channels_last: bool) -> Tensor:
    """The gradient `(N, C, *outputs)` of the numbers: that of their place, 0 for those that another has replaced."""
    layout = format_of(grad.ndim, channels_last)
    grads, named = grad.contiguous(memory_format=layout), indices.contiguous(memory_format=layout)
    result = torch.empty(indices.shape, dtype=grad.dtype, device=grad.device, memory_format=layout)
    last, _, settings = _last(named, grad.shape, channels_last)
    tensors = {"grad": grads, "indices": named, "last": last, "result": result}
    launch(_max_unpool_backward_kernel, result, settings["many"], settings, tensors, spread=True, runs=False)
    return result


def _last(indices: Tensor, shape: Sequence[int], channels_last: bool) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """By place, in the order of memory, the last number that names it or -1; whether an index is wrong; and the planes.

    The last are what kernels ask for.
    """
    many, places, inner = math.prod(indices.shape[2:]), math.prod(shape[2:]), shape[1] if channels_last else 1
    kind = torch.int32 if many < 2**31 else torch.int64
    last = torch.full((math.prod(shape),), -1, dtype=kind, device=indices.device)
    wrong = torch.zeros(1, dtype=torch.int32, device=indices.device)
    settings = {"inner": inner, "many": many, "places": places}
    tensors = {"indices": indices, "last": last, "wrong": wrong}
    # Not the indices are written, but there is a program for each of them.
    launch(_max_unpool_last_kernel, indices, many, settings, tensors, spread=True, runs=False)
    return last, wrong, settings


@jit
def _max_unpool_last_kernel(indices, last, wrong, rows, inner, many, places, TILE: tl.constexpr):
    """last[place] = the largest j that names it."""
    at, own, where = tile_of(rows, inner, 1, 1, many, TILE)
    p, _, _, j, i = where
    place = tl.load(indices + at, own, -1)
    named = (place >= 0) & (place < places)
    to = last + (p * places + place.to(tl.dtype(TILE.place))) * inner + i
    tl.atomic_max(to, j.to(last.dtype.element_ty), named, sem="relaxed")
    tl.store(wrong + at * 0, 1, own & (place != -1) & (named == 0))


@jit
def _max_unpool_forward_kernel(input, last, result, rows, inner, many, places, TILE: tl.constexpr):
    """result[place] = input[last[place]], 0 where there is none."""
    at, own, where = tile_of(rows, inner, 1, 1, places, TILE)
    p, _, _, _, i = where
    j = tl.load(last + at, own, -1).to(tl.dtype(TILE.place))
    tl.store(result + at, tl.load(input + (p * many + j) * inner + i, own & (j >= 0), 0.0), own)


@jit
def _max_unpool_backward_kernel(grad, indices, last, result, rows, inner, many, places, TILE: tl.constexpr):
    """result[j] = grad[indices[j]] where j is the last that names the place, 0 for the others."""
    at, own, where = tile_of(rows, inner, 1, 1, many, TILE)
    p, _, _, j, i = where
    place = tl.load(indices + at, own, -1)
    named = (place >= 0) & (place < places)
    to = (p * places + place.to(tl.dtype(TILE.place))) * inner + i
    stays = named & (tl.load(last + to, named, -1) == j)
    tl.store(result + at, tl.load(grad + to, stays, 0.0), own)
