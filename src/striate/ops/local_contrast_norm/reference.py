"""Local contrast normalisation from its formulas.

The window is the same for all channels, so that the maps are averaged over the channels first, and one plane is
averaged along one axis after the other.
"""

import torch
from torch import Tensor

from striate.ops.local_contrast_norm.window import Rule


def local_contrast_norm(input: Tensor, rule: Rule) -> Tensor:
    """`v = x - sum of w * x`, and `v / max(c, sqrt(sum of w * v ** 2))`, each where the rule asks for it.

    Args:
        input: `(N, C, *sizes)`.
        rule: which of the two, the window, what happens at the border, and c.

    Returns:
        The input's shape and dtype; computed in float32 at least.
    """
    maps = input.to(torch.promote_types(input.dtype, torch.float32))
    if rule.subtract:
        maps = maps - _local_mean(maps, rule)
    if rule.divide:
        maps = _divide(maps, rule)
    return maps.to(input.dtype)


def _local_mean(maps: Tensor, rule: Rule) -> Tensor:
    """`sum of w * x` over places and channels; of equal numbers it is exactly that number."""
    first = maps[:, :1]
    mean = first + (maps - first).mean(1, keepdim=True)
    for axis in range(2, maps.ndim):
        weights, inside = rule.weights(axis - 2), _inside(mean, axis, rule)
        sums = torch.zeros_like(mean)
        for tap, weight in enumerate(weights):
            moved, there = _moved(mean, axis, tap - len(weights) // 2)
            sums = sums + torch.where(there, weight * (moved - mean), 0.0)
        mean = mean + sums / inside if rule.renormalize else mean * inside + sums
    return mean


def _divide(maps: Tensor, rule: Rule) -> Tensor:
    inside: Tensor | float = 1.0
    variance = maps.square().mean(1, keepdim=True)
    for axis in range(2, maps.ndim):
        weights = rule.weights(axis - 2)
        if rule.renormalize:
            inside = inside * _inside(variance, axis, rule)
        sums = torch.zeros_like(variance)
        for tap, weight in enumerate(weights):
            moved, there = _moved(variance, axis, tap - len(weights) // 2)
            sums = sums + torch.where(there, weight * moved, 0.0)
        variance = sums
    deviation = _root(variance) / inside if rule.outside else _root(variance / inside)
    if rule.floor is None:
        floor = deviation.mean(list(range(1, maps.ndim)), keepdim=True)
    else:
        floor = torch.full_like(deviation, rule.floor)
    least = torch.where((deviation > floor) | deviation.isnan(), deviation, floor)
    # Where nothing differs from its surroundings, 0 is divided by 1.
    return maps / torch.where(least == 0, 1.0, least)


def _root(squares: Tensor) -> Tensor:
    """The square root, with the gradient 0 at 0."""
    nothing = squares == 0
    return torch.where(nothing, 0.0, torch.where(nothing, 1.0, squares).sqrt())


def _inside(plane: Tensor, axis: int, rule: Rule) -> Tensor:
    """The weight of the window that lies inside, by place along one axis."""
    weights = rule.weights(axis - 2)
    shares = [
        weight * _there(plane, axis, tap - len(weights) // 2).to(plane.dtype) for tap, weight in enumerate(weights)
    ]
    return torch.stack(shares).sum(0)


def _there(plane: Tensor, axis: int, shift: int) -> Tensor:
    """Whether a place moved along an axis is still inside."""
    places = torch.arange(plane.shape[axis], device=plane.device) + shift
    return ((places >= 0) & (places < plane.shape[axis])).view([-1] + [1] * (plane.ndim - 1 - axis))


def _moved(plane: Tensor, axis: int, shift: int) -> tuple[Tensor, Tensor]:
    """What lies `shift` places on along an axis, and whether there is such a place."""
    places = torch.arange(plane.shape[axis], device=plane.device) + shift
    return plane.index_select(axis, places.clamp(0, plane.shape[axis] - 1)), _there(plane, axis, shift)
