"""Deformable convolution by its definition: samples at real coordinates, and a sum over the taps of the window."""

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor


def deform_conv(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """output[n, o, p] = bias[o] + sum over c, k of weight[o, c, k] * mask[n, k, p] * input[n, c] at x(n, k, p).

    The coordinates are x(n, k, p) = p * stride - low + k * dilation + offset[n, k, p]. Computed in float32 at least.
    """
    wide = at_least_float32(input.dtype)
    kernel, into = weight.shape[2:], weight.shape[1]
    taps = math.prod(kernel)
    groups = input.shape[1] // into
    points = coordinates(offset.to(wide), kernel, stride, low, dilation)
    sampled = sample(input.to(wide), points)
    if mask is not None:
        sampled = sampled * factors(mask.to(wide)).reshape(*sampled.shape[:2], 1, *sampled.shape[3:])
    columns = sampled.reshape(input.shape[0], groups, into * taps, *offset.shape[2:])
    filters = weight.to(wide).reshape(groups, weight.shape[0] // groups, into * taps)
    result = torch.einsum("ngk...,gok->ngo...", columns, filters).flatten(1, 2)
    if bias is not None:
        result = result + bias.to(wide).view(-1, *[1] * len(kernel))
    return result.to(input.dtype)


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """The dtype of coordinates and sums for values of a dtype."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def coordinates(
    offset: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    scale: float = 1.0,
    remove_center: bool = False,
) -> Tensor:
    """Coordinates (N, groups, taps, axes, *outputs) of offsets with the channels (group, tap, axis).

    They are p * stride - low + m + scale * (k * dilation - m + offset) for the middle m of the window.
    """
    axes, outputs = len(kernel_size), offset.shape[2:]
    taps = math.prod(kernel_size) - remove_center
    moved = offset.reshape(offset.shape[0], offset.shape[1] // (taps * axes), taps, axes, *outputs)
    middles = middle(kernel_size, dilation, scale)
    steps = tap_steps(kernel_size, dilation, middles, offset, remove_center)
    along = []
    for axis, (n, s, a, m) in enumerate(zip(outputs, stride, low, middles, strict=True)):
        starts = torch.arange(n, dtype=offset.dtype, device=offset.device) * s + (m - a)
        starts = starts.view([n if other == axis else 1 for other in range(axes)])
        along.append(starts + (steps[axis].view(-1, *[1] * axes) + moved.select(3, axis)) * scale)
    return torch.stack(along, 3)


def middle(kernel_size: Sequence[int], dilation: Sequence[int], scale: float) -> list[int]:
    """The place in a window around which it is scaled, one number an axis; 0 where there is nothing to scale."""
    return [0 if scale == 1 else d * (k - 1) // 2 for k, d in zip(kernel_size, dilation, strict=True)]


def tap_steps(
    kernel_size: Sequence[int], dilation: Sequence[int], middles: Sequence[int], like: Tensor, remove_center: bool
) -> list[Tensor]:
    """The places from the middle of a window to its taps, in the order of rows: one tensor an axis."""
    steps = []
    for axis, (k, d, m) in enumerate(zip(kernel_size, dilation, middles, strict=True)):
        places = torch.arange(k, dtype=like.dtype, device=like.device) * d - m
        every = places.view([k if other == axis else 1 for other in range(len(kernel_size))])
        every = every.expand(tuple(kernel_size)).reshape(-1)
        half = every.shape[0] // 2
        steps.append(torch.cat([every[:half], every[half + 1 :]]) if remove_center else every)
    return steps


def factors(mask: Tensor) -> Tensor:
    """Factors, NaN for one that is infinite: infinity would tell whether it is multiplied before a sum or after it."""
    return mask + 0 * mask.detach()


def sample(input: Tensor, points: Tensor) -> Tensor:
    """Multilinear interpolation of (N, C, *sizes) at (N, groups, taps, axes, *outputs), with zeros outside.

    Only corners inside count, with the weights of the corners `floor(x)` and `floor(x) + 1`. A coordinate that is NaN
    gives NaN; neither that nor one outside takes part in any gradient. Returns (N, groups, C / groups, taps, *outputs).
    """
    batch, groups, taps = points.shape[:3]
    sizes, outputs = input.shape[2:], points.shape[4:]
    axes = len(sizes)
    flat = input.reshape(batch, groups, input.shape[1] // groups, math.prod(sizes))
    unknown = points.isnan().any(3, keepdim=True)
    reached = torch.ones_like(unknown)
    for axis, n in enumerate(sizes):
        x = points.narrow(3, axis, 1)
        reached = reached & (x >= -1) & (x < n)
    # At -2 no corner is inside.
    near = [torch.where(reached.squeeze(3), points.select(3, axis), -2).flatten(2) for axis in range(axes)]
    floors = [x.floor() for x in near]
    total: Tensor = flat.new_zeros(*flat.shape[:3], near[0].shape[2])
    for corner in product((0, 1), repeat=axes):
        weight = torch.ones_like(near[0])
        place = torch.zeros_like(near[0], dtype=torch.int64)
        inside = torch.ones_like(place, dtype=torch.bool)
        for x, below, up, n in zip(near, floors, corner, sizes, strict=True):
            weight = weight * (x - below if up else below + 1 - x)
            at = below.long() + up
            inside = inside & (at >= 0) & (at < n)
            place = place * n + at.clamp(0, n - 1)
        values = flat.gather(3, place.unsqueeze(2).expand(-1, -1, flat.shape[2], -1))
        # Both, or infinity there, or in a gradient, would be NaN with the zero of the other.
        values, weight = torch.where(inside.unsqueeze(2), values, 0), torch.where(inside, weight, 0)
        total = total + values * weight.unsqueeze(2)
    nothing = torch.where(unknown.squeeze(3), math.nan, 0.0).to(total.dtype).flatten(2).unsqueeze(2)
    return (total + nothing).reshape(*flat.shape[:3], taps, *outputs)
