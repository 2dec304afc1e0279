"""Operators that move, cut and join, and those that make tensors out of sizes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from striate.inspection.onnx_graph.operators.pointwise import dtype_of
from striate.inspection.onnx_graph.operators.registry import Node, integers, operator, within_rank


@operator("Reshape", numbers=(1,))
def _reshape(node: Node, input: Tensor, shape: Any = None) -> Tensor:
    wished = list(node.get("shape") or []) if shape is None else integers(shape)
    if not node.get("allowzero", 0):
        wished = [input.shape[place] if n == 0 and place < input.dim() else n for place, n in enumerate(wished)]
    return input.reshape(wished)


@operator("Flatten", layer=True)
def _flatten(node: Node, input: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    axis += input.dim() if axis < 0 else 0
    if axis == 1 and input.dim() > 1:
        return input.flatten(1)
    return input.reshape(torch.Size(input.shape[:axis]).numel(), torch.Size(input.shape[axis:]).numel())


@operator("Squeeze", numbers=(1,))
def _squeeze(node: Node, input: Tensor, axes: Any = None) -> Tensor:
    given = node.get("axes") if axes is None else integers(axes)
    return input.squeeze() if given is None else input.squeeze(tuple(given))


@operator("Unsqueeze", numbers=(1,))
def _unsqueeze(node: Node, input: Tensor, axes: Any = None) -> Tensor:
    given = list(node.get("axes", []) if axes is None else integers(axes))
    rank = input.dim() + len(given)
    for axis in sorted(within_rank(axis, rank, node) for axis in given):
        input = input.unsqueeze(axis)
    return input


@operator("Transpose")
def _transpose(node: Node, input: Tensor) -> Tensor:
    return input.permute(list(node.get("perm") or range(input.dim())[::-1]))


@operator("Concat")
def _concat(node: Node, *inputs: Tensor) -> Tensor:
    return torch.cat(inputs, node.get("axis", 1))


@operator("Split", numbers=(1,))
def _split(node: Node, input: Tensor, sizes: Any = None) -> tuple[Tensor, ...]:
    axis = node.get("axis", 0)
    given = node.get("split") if sizes is None else integers(sizes)
    if given is None:
        parts, size = node.get("num_outputs", len(node.outputs)), input.shape[axis]
        each = -(-size // parts)
        given = [each] * (parts - 1) + [size - each * (parts - 1)]
    return torch.split_with_sizes(input, list(given), axis)


@operator("Slice", numbers=(1, 2, 3, 4))
def _slice(node: Node, input: Tensor, *given: Any) -> Tensor:
    if not given:
        given = node.get("starts"), node.get("ends"), node.get("axes")
    starts, ends = integers(np.asarray(given[0])), integers(np.asarray(given[1]))
    axes = integers(np.asarray(given[2])) if len(given) > 2 and given[2] is not None else list(range(len(starts)))
    steps = integers(np.asarray(given[3])) if len(given) > 3 and given[3] is not None else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = input.shape[within_rank(axis, input.dim(), node)]
        if step > 0:
            first, last, _ = slice(start, end, step).indices(size)
            input = input[(slice(None),) * (axis % input.dim()) + (slice(first, max(first, last), step),)]
        else:
            places = range(*slice(start, end, step).indices(size))
            if step == -1 and len(places) == size:
                input = input.flip(axis)
            else:
                input = input.index_select(axis, torch.tensor(list(places), dtype=torch.int64))
    return input


@operator("Gather", roles=("weight",), hints=(1,))
def _gather(node: Node, input: Tensor, places: Any) -> Tensor:
    axis = within_rank(node.get("axis", 0), input.dim(), node)
    if isinstance(places, np.ndarray):
        known = integers(places)
        if not places.ndim:
            return input.select(axis, known[0])
        size = input.shape[axis]
        first = known[0] % size if known and size else 0
        if places.ndim == 1 and known == list(range(first, first + len(known))):
            return input.narrow(axis, first, len(known))
        places = torch.tensor(known, dtype=torch.int64).reshape(places.shape)
    places = _positive(places, input.shape[axis])
    if axis == 0 and input.dim() == 2 and input.is_floating_point():
        return functional.embedding(places, input)
    found = input.index_select(axis, places.reshape(-1))
    return found.reshape(*input.shape[:axis], *places.shape, *input.shape[axis + 1 :])


def _positive(places: Tensor, size: int) -> Tensor:
    """Places counted from the first: ONNX counts from the last where they are negative."""
    places = places.to(torch.int64)
    return torch.where(places < 0, places + size, places)


@operator("GatherElements")
def _gather_elements(node: Node, input: Tensor, places: Tensor) -> Tensor:
    axis = node.get("axis", 0)
    return input.gather(axis, _positive(places, input.shape[axis]))


@operator("GatherND")
def _gather_nd(node: Node, input: Tensor, places: Tensor) -> Tensor:
    batch, depth = node.get("batch_dims", 0), places.shape[-1]
    lead = [
        torch.arange(input.shape[axis]).reshape(*[-1 if axis == place else 1 for place in range(places.dim() - 1)])
        for axis in range(batch)
    ]
    return input[(*lead, *(places[..., axis] for axis in range(depth)))]


@operator("ScatterElements", "Scatter")
def _scatter_elements(node: Node, input: Tensor, places: Tensor, updates: Tensor) -> Tensor:
    axis, how = node.get("axis", 0), node.get("reduction", "none")
    places = _positive(places, input.shape[axis])
    if how == "none":
        return input.scatter(axis, places, updates)
    words = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    if how not in words:
        raise ValueError(f"{node.label} ({node.op}): reduction {how!r} is not known")
    return input.scatter_reduce(axis, places, updates, words[how])


@operator("ScatterND")
def _scatter_nd(node: Node, input: Tensor, places: Tensor, updates: Tensor) -> Tensor:
    if node.get("reduction", "none") not in ("none", "add"):
        raise ValueError(f"{node.label} (ScatterND): reduction {node.get('reduction')!r} is not known here")
    depth = places.shape[-1]
    index = tuple(places[..., axis] for axis in range(depth))
    return input.index_put(index, updates, accumulate=node.get("reduction", "none") == "add")


@operator("Expand", numbers=(1,), makes=True)
def _expand(node: Node, input: Tensor, shape: Any) -> Tensor:
    sizes = np.broadcast_shapes(tuple(input.shape), tuple(integers(shape)))
    return input.expand(sizes)


@operator("Tile", numbers=(1,), makes=True)
def _tile(node: Node, input: Tensor, repeats: Any) -> Tensor:
    return input.repeat(integers(repeats))


@operator("Pad", numbers=(1, 2, 3), makes=True)
def _pad(node: Node, input: Tensor, pads: Any = None, value: Any = None, axes: Any = None) -> Tensor:
    given = list(node.get("pads", [])) if pads is None else integers(pads)
    number = node.get("value", 0.0) if value is None or not np.size(value) else np.asarray(value).reshape(-1)[0].item()
    along = list(range(input.dim())) if axes is None else [a % input.dim() for a in integers(axes)]
    if len(given) != 2 * len(along):
        raise ValueError(f"{node.label} (Pad): {len(given)} pads for {len(along)} axes")
    low = dict(zip(along, given[: len(along)], strict=True))
    high = dict(zip(along, given[len(along) :], strict=True))
    mode = node.get("mode", "constant")
    if mode == "constant":
        first = min((axis for axis in along if low[axis] or high[axis]), default=input.dim())
        order = range(input.dim() - 1, first - 1, -1)
        flat = [n for axis in order for n in (low.get(axis, 0), high.get(axis, 0))]
        return functional.pad(input, flat, value=number) if flat else input
    for axis in along:
        if low[axis] or high[axis]:
            input = input.index_select(axis, _outside(mode, input.shape[axis], low[axis], high[axis], node))
    return input


def _outside(mode: str, size: int, low: int, high: int, node: Node) -> Tensor:
    """The places that are read along a padded axis.

    Raises:
        ValueError: if the mode is not known.
    """
    places = torch.arange(-low, size + high)
    if mode == "edge":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places % size
    if mode != "reflect":
        raise ValueError(f"{node.label} (Pad): mode {mode!r} is not known")
    period = max(2 * (size - 1), 1)
    places = places % period
    return torch.where(places < size, places, period - places)


@operator("Shape")
def _shape(node: Node, input: Tensor) -> Tensor:
    sizes = list(input.shape)
    return torch.tensor(sizes[node.get("start", 0) : node.get("end", len(sizes))], dtype=torch.int64)


@operator("Size")
def _size(node: Node, input: Tensor) -> Tensor:
    return torch.tensor(input.numel(), dtype=torch.int64)


@operator("ConstantOfShape", numbers=(0,), makes=True)
def _constant_of_shape(node: Node, shape: Any) -> Tensor:
    value = node.get("value")
    if value is None:
        return torch.zeros(integers(shape))
    numbers, dtype = value
    return torch.full(integers(shape), numbers[0], dtype=dtype)


@operator("Range", numbers=(0, 1, 2), makes=True)
def _range(node: Node, start: Any, limit: Any, step: Any) -> Tensor:
    first, last, by = (np.asarray(each).reshape(-1)[0].item() for each in (start, limit, step))
    dtype = torch.from_numpy(np.zeros(1, np.asarray(start).dtype)).dtype
    count = max(int(np.ceil((last - first) / by)), 0)
    found: Tensor = first + torch.arange(count, dtype=dtype) * by
    return found


@operator("OneHot", numbers=(1, 2), makes=True)
def _one_hot(node: Node, places: Tensor, depth: Any, values: Any) -> Tensor:
    count = integers(np.asarray(depth))[0]
    dtype = torch.from_numpy(values).dtype
    off, on = (torch.full((), each, dtype=dtype) for each in values.tolist())
    axis = node.get("axis", -1)
    axis += places.dim() + 1 if axis < 0 else 0
    steps = torch.arange(count).reshape(-1, *[1] * (places.dim() - axis))
    return torch.where(_positive(places, count).unsqueeze(axis) == steps, on, off)


@operator("EyeLike", makes=True)
def _eye_like(node: Node, input: Tensor) -> Tensor:
    dtype = dtype_of(node.get("dtype"), node) if node.get("dtype") else input.dtype
    rows, columns = input.shape
    found: Tensor = torch.arange(rows)[:, None] + node.get("k", 0) == torch.arange(columns)
    return found.to(dtype)


@operator("Trilu", numbers=(1,))
def _trilu(node: Node, input: Tensor, k: Any = None) -> Tensor:
    shift = 0 if k is None else integers(np.asarray(k))[0]
    return input.triu(shift) if node.get("upper", 1) else input.tril(shift)


@operator("DepthToSpace", layer=True)
def _depth_to_space(node: Node, input: Tensor) -> Tensor:
    block = node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(input, block)
    batch, channels, height, width = input.shape
    parts = input.reshape(batch, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(batch, channels // block**2, height * block, width * block)


@operator("SpaceToDepth", layer=True)
def _space_to_depth(node: Node, input: Tensor) -> Tensor:
    block = node.get("blocksize")
    batch, channels, height, width = input.shape
    parts = input.reshape(batch, channels, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(batch, channels * block**2, height // block, width // block)


@operator("Compress", numbers=(1,))
def _compress(node: Node, input: Tensor, condition: Any) -> Tensor:
    places = torch.tensor(np.flatnonzero(np.asarray(condition)).tolist(), dtype=torch.int64)
    axis = node.get("axis")
    return input.reshape(-1)[places] if axis is None else input.index_select(axis, places)
