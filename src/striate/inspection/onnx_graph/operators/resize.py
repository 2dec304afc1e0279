"""Operators that read a picture between its pixels."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from striate.inspection.onnx_graph.operators.registry import Node, integers, operator


@operator("Resize", numbers=(1, 2, 3), makes=True, layer=True)
def _resize(node: Node, input: Tensor, *given: Any) -> Tensor:
    # Set 10 has scales only; from 11 on a region comes first.
    scales, sizes = (given[0], None) if node.version < 11 else (*given[1:], None, None)[:2]
    return _resized(node, input, scales, sizes)


@operator("Upsample", numbers=(1,), makes=True, layer=True)
def _upsample(node: Node, input: Tensor, scales: Any = None) -> Tensor:
    return _resized(node, input, node.get("scales") if scales is None else scales, None)


def _resized(node: Node, input: Tensor, scales: Any, sizes: Any) -> Tensor:
    axes = [axis % input.dim() for axis in node.get("axes") or range(input.dim())]
    factors, wished = dict.fromkeys(range(input.dim()), 1.0), list(input.shape)
    if sizes is not None and np.size(sizes):
        _to_sizes(node, input, axes, integers(np.asarray(sizes)), factors, wished)
    elif scales is not None and np.size(scales):
        for axis, factor in zip(axes, np.asarray(scales).reshape(-1).tolist(), strict=True):
            factors[axis] = float(factor)
            wished[axis] = math.floor(input.shape[axis] * factor)
    else:
        raise ValueError(f"{node.label} ({node.op}): neither scales nor sizes are given")
    quick = _by_pytorch(node, input, factors, wished)
    if quick is not None:
        return quick
    for axis in range(input.dim()):
        if wished[axis] != input.shape[axis] or factors[axis] != 1:
            input = _along(node, input, axis, factors[axis], wished[axis])
    return input


def _to_sizes(
    node: Node, input: Tensor, axes: list[int], sizes: list[int], factors: dict[int, float], wished: list[int]
) -> None:
    """Work out scales and sizes from wished sizes."""
    policy = node.get("keep_aspect_ratio_policy", "stretch")
    ratios = [size / input.shape[axis] for axis, size in zip(axes, sizes, strict=True)]
    if policy != "stretch":
        one = min(ratios) if policy == "not_larger" else max(ratios)
        ratios = [one] * len(axes)
        sizes = [math.floor(one * input.shape[axis] + 0.5) for axis in axes]
    for axis, ratio, size in zip(axes, ratios, sizes, strict=True):
        factors[axis], wished[axis] = ratio, size


def _by_pytorch(node: Node, input: Tensor, factors: dict[int, float], wished: list[int]) -> Tensor | None:
    """The same in one operation, where PyTorch has it."""
    axes = input.dim() - 2
    if axes not in (1, 2, 3) or wished[:2] != list(input.shape[:2]) or not input.is_floating_point():
        return None
    mode = "linear" if node.op == "Upsample" and node.get("mode") == "bilinear" else node.get("mode", "nearest")
    old = "asymmetric" if node.op == "Upsample" or node.version < 11 else "half_pixel"
    place = node.get("coordinate_transformation_mode", old)
    whole = all(wished[2 + axis] == input.shape[2 + axis] * factors[2 + axis] for axis in range(axes))
    if node.get("antialias", 0) or node.get("exclude_outside", 0):
        return None
    sizes = wished[2:]
    if mode == "nearest":
        # At whole factors asymmetric and floor are PyTorch's, and so is half a pixel and rounding.
        nearest = node.get("nearest_mode", "floor" if old == "asymmetric" else "round_prefer_floor")
        multiples = all(size % n == 0 for size, n in zip(sizes, input.shape[2:], strict=True))
        alike = (place, nearest) == ("asymmetric", "floor") or (
            place == "half_pixel" and nearest.startswith("round") and multiples
        )
        return functional.interpolate(input, sizes, mode="nearest") if alike and whole and multiples else None
    if place not in ("half_pixel", "pytorch_half_pixel", "align_corners") or not whole or 1 in sizes:
        return None
    aligned = place == "align_corners"
    if mode == "linear":
        word = ("linear", "bilinear", "trilinear")[axes - 1]
        return functional.interpolate(input, sizes, mode=word, align_corners=aligned)
    if mode == "cubic" and axes == 2 and node.get("cubic_coeff_a", -0.75) == -0.75:
        return functional.interpolate(input, sizes, mode="bicubic", align_corners=aligned)
    return None


def _coordinates(node: Node, size: int, factor: float, wished: int) -> Tensor:
    """Where the outputs lie among the inputs of an axis.

    Raises:
        ValueError: if the rule is not known.
    """
    old = "asymmetric" if node.op == "Upsample" or node.version < 11 else "half_pixel"
    mode = node.get("coordinate_transformation_mode", old)
    places = torch.arange(wished, dtype=torch.float64)
    if mode == "asymmetric":
        return places / factor
    if mode == "align_corners":
        return places * ((size - 1) / (wished - 1)) if wished > 1 else places * 0
    if mode == "pytorch_half_pixel" and wished == 1:
        return places * 0
    if mode == "half_pixel_symmetric":
        adjusted = wished / (factor * size)
        return size / 2 * (1 - adjusted) + (places + 0.5) / factor - 0.5
    if mode in ("half_pixel", "pytorch_half_pixel"):
        return (places + 0.5) / factor - 0.5
    raise ValueError(f"{node.label} ({node.op}): the coordinates {mode!r} are not known here")


def _along(node: Node, input: Tensor, axis: int, factor: float, wished: int) -> Tensor:
    """Resize along one axis by a product with a matrix of weights.

    Raises:
        ValueError: if the mode is not known.
    """
    size = input.shape[axis]
    mode = "linear" if node.get("mode", "nearest") == "bilinear" else node.get("mode", "nearest")
    at = _coordinates(node, size, factor, wished)
    if mode == "nearest":
        how = node.get("nearest_mode", "floor" if node.op == "Upsample" or node.version < 11 else "round_prefer_floor")
        ways: dict[str, Callable[[Tensor], Tensor]] = {
            "floor": torch.floor, "ceil": torch.ceil, "round_prefer_ceil": lambda x: torch.floor(x + 0.5),
            "round_prefer_floor": lambda x: torch.ceil(x - 0.5),
        }  # fmt: skip
        if how not in ways:
            raise ValueError(f"{node.label} ({node.op}): nearest_mode {how!r} is not known")
        return input.index_select(axis, ways[how](at).clamp(0, size - 1).to(torch.int64))
    if mode not in ("linear", "cubic"):
        raise ValueError(f"{node.label} ({node.op}): mode {mode!r} is not known here")
    places = torch.arange(size, dtype=torch.float64)
    wide = max(1.0, 1 / factor) if node.get("antialias", 0) else 1.0
    reach = math.ceil((1 if mode == "linear" else 2) * wide) + 1
    base = torch.floor(at)[:, None] + torch.arange(-reach, reach + 1)
    weights = _bump(mode, (base - at[:, None]) / wide, node.get("cubic_coeff_a", -0.75))
    if node.get("exclude_outside", 0):
        weights = weights * ((base >= 0) & (base < size))
    weights = weights / weights.sum(1, keepdim=True)
    matrix = ((base.clamp(0, size - 1)[:, :, None] == places) * weights[:, :, None]).sum(1)
    return (input.movedim(axis, -1) @ matrix.to(input.dtype).T).movedim(-1, axis)


def _bump(mode: str, distance: Tensor, a: float) -> Tensor:
    away = distance.abs()
    if mode == "linear":
        return (1 - away).clamp(min=0)
    near = ((a + 2) * away - (a + 3)) * away * away + 1
    far = ((a * away - 5 * a) * away + 8 * a) * away - 4 * a
    return torch.where(away <= 1, near, torch.where(away < 2, far, torch.zeros_like(away)))


@operator("GridSample", layer=True)
def _grid_sample(node: Node, input: Tensor, grid: Tensor) -> Tensor:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(node.get("mode", "linear"), node.get("mode", "linear"))
    edges, aligned = node.get("padding_mode", "zeros"), bool(node.get("align_corners", 0))
    return functional.grid_sample(input, grid, mode, edges, aligned)


@operator("AffineGrid", numbers=(1,), layer=True)
def _affine_grid(node: Node, theta: Tensor, size: Any) -> Tensor:
    return functional.affine_grid(theta, integers(size), bool(node.get("align_corners", 0)))
