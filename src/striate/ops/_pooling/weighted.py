"""Sums of windows with weights that are a product of taps along each axis: depthwise convolutions."""

import functools
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from striate.ops._door import memory_format, under_autocast
from striate.ops.conv.op import conv1d, conv2d, conv3d
from striate.ops.conv.routes import by_torch, torch_is_faster
from striate.ops.dispatch import Route, take

_Setting = TypeVar("_Setting")

_CONVOLUTIONS = (conv1d, conv2d, conv3d)
# Taps of the whole window from which a pass along each axis costs less, by axes: `make bench OP=gaussian_pool`.
_APART_FROM = (math.inf, 100, 100)

_WHOLE = Route("whole", "a window this small is one depthwise convolution")
_TORCH = Route("torch", "where the weights have no gradient, PyTorch's depthwise convolution is at the limit")
_APART = Route("apart", "one axis after another takes fewer products, for the weights are products of taps along each")


def wide_dtype(input: Tensor) -> torch.dtype:
    """What weighted sums are added in: taps of low precision would not sum to 1."""
    return torch.promote_types(input.dtype, torch.float32)


def weighted_windows(
    operator: str,
    input: Tensor,
    taps: Sequence[Tensor],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
) -> Tensor:
    """The weighted sums of all windows, each channel by itself.

    Args:
        operator: who asks, for `explain_dispatch`.
        input: `(N, C, *sizes)`.
        taps: by axis `(kernel,)` or `(C, kernel)`, in `wide_dtype`.
        stride: places from one window to the next, one number an axis, as all that follow.
        low: zeros before the input.
        high: zeros behind it.

    Returns:
        `(N, C, *output sizes)` in the input's dtype and memory format, under autocast, too.
    """
    if under_autocast(input):
        with torch.autocast(input.device.type, enabled=False):
            return weighted_windows(operator, input, taps, stride, low, high)
    axes, channels = len(taps), input.shape[1]
    result = input.to(wide_dtype(input))
    filters = [
        own.view(-1, 1, *(own.shape[-1] if place == axis else 1 for place in range(axes)))
        for axis, own in enumerate(taps)
    ]
    strides, padding = tuple(stride), tuple(zip(low, high, strict=True))
    if take(operator, _choose(taps)) is _WHOLE:
        passes = [(functools.reduce(torch.mul, filters), strides, padding)]
    else:
        passes = [(own, _at(axis, 1, strides), _at(axis, (0, 0), padding)) for axis, own in enumerate(filters)]
    for weight, steps, pads in passes:
        own = weight.expand(channels, *weight.shape[1:])
        if not weight.requires_grad and result.device.type == "cpu" and torch_is_faster(result, own):
            take(operator, _TORCH)
            before, behind = zip(*pads, strict=True)
            result = by_torch(result, own, None, steps, before, behind, (1,) * axes, channels)
        else:
            result = _CONVOLUTIONS[axes - 1](result, own, stride=steps, padding=pads, groups=channels)
    return result.to(input.dtype).contiguous(memory_format=memory_format(input))


def _choose(taps: Sequence[Tensor]) -> Route:
    """The cheaper way, by what was measured."""
    count = math.prod([own.shape[-1] for own in taps])
    return _APART if count >= _APART_FROM[len(taps) - 1] else _WHOLE


def _at(axis: int, elsewhere: _Setting, settings: Sequence[_Setting]) -> tuple[_Setting, ...]:
    """The setting of one axis, and another everywhere else."""
    return tuple(own if place == axis else elsewhere for place, own in enumerate(settings))
