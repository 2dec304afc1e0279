"""Convolution and pooling."""

import importlib
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from striate.geometry import Window
from striate.inspection.onnx_graph.operators.registry import Node, operator

Pads = list[tuple[int, int]]
_WORDS: dict[str, Literal["same_upper", "same_lower"]] = {"SAME_UPPER": "same_upper", "SAME_LOWER": "same_lower"}


def kernel_of(node: Node, axes: int, weight: Tensor | None = None) -> list[int]:
    """Taps of the window along each axis.

    Raises:
        ValueError: if they are not as many as the picture has axes.
    """
    found = node.get("kernel_shape") or (list(weight.shape[2:]) if weight is not None else None)
    if found is None or len(found) != axes:
        raise ValueError(f"{node.label} ({node.op}): kernel_shape {found} for a picture with {axes} axes")
    return list(found)


def per_axis(node: Node, name: str, axes: int, otherwise: int = 1) -> list[int]:
    """A setting that has a number for each axis.

    Raises:
        ValueError: if it has more or fewer.
    """
    found = list(node.get(name) or [otherwise] * axes)
    if len(found) != axes:
        raise ValueError(f"{node.label} ({node.op}): {name} {found} for a picture with {axes} axes")
    return found


def pads_of(node: Node, sizes: Sequence[int], kernel: list[int], stride: list[int], dilation: list[int]) -> Pads:
    """Places added low and high along each axis.

    Raises:
        ValueError: if they are not two for each axis.
    """
    word = node.get("auto_pad", "NOTSET")
    axes = len(sizes)
    if word in _WORDS:
        shapes = zip(kernel, stride, dilation, sizes, strict=True)
        return [Window(k, s, _WORDS[word], d).pads(n) for k, s, d, n in shapes]
    given = list(node.get("pads") or [0] * 2 * axes) if word != "VALID" else [0] * 2 * axes
    if len(given) != 2 * axes:
        raise ValueError(f"{node.label} ({node.op}): pads {given} for a picture with {axes} axes")
    return list(zip(given[:axes], given[axes:], strict=True))


def _even(pads: Pads) -> list[int] | None:
    """The padding in PyTorch's form, if it has one."""
    return [low for low, _ in pads] if all(low == high for low, high in pads) else None


def _theirs(name: str, axes: int) -> Any:
    if axes not in (1, 2, 3):
        raise ValueError(f"{name} over {axes} axes: PyTorch has it for one to three")
    return getattr(functional, f"{name}{axes}d")


def _ours(name: str, axes: int) -> Any:
    """Striate's, which pads each side by itself.

    Raises:
        ValueError: if there is none for so many axes.
    """
    if axes not in (1, 2, 3):
        raise ValueError(f"{name} over {axes} axes: there is one for one to three")
    return getattr(importlib.import_module(f"striate.ops.{name}"), f"{name}{axes}d")


def convolve(node: Node, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return the convolution that a node describes."""
    axes = input.dim() - 2
    kernel = kernel_of(node, axes, weight)
    stride, dilation = per_axis(node, "strides", axes), per_axis(node, "dilations", axes)
    pads = pads_of(node, input.shape[2:], kernel, stride, dilation)
    padding = _even(pads)
    found: Tensor
    if padding is not None:
        found = _theirs("conv", axes)(input, weight, bias, stride, padding, dilation, node.get("group", 1))
    else:
        found = _ours("conv", axes)(input, weight, bias, stride, pads, dilation, node.get("group", 1))
    return found


@operator("Conv", roles=("", "weight", "bias"), layer=True)
def _conv(node: Node, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return convolve(node, input, weight, bias)


@operator("ConvTranspose", roles=("", "weight", "bias"), layer=True)
def _conv_transpose(node: Node, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    axes = input.dim() - 2
    kernel = kernel_of(node, axes, weight)
    stride, dilation = per_axis(node, "strides", axes), per_axis(node, "dilations", axes)
    extra = per_axis(node, "output_padding", axes, 0)
    word, wished = node.get("auto_pad", "NOTSET"), node.get("output_shape")
    if word in _WORDS or wished:
        sizes = (wished or [n * s for n, s in zip(input.shape[2:], stride, strict=True)])[-axes:]
        pads: Pads = []
        for axis, size in enumerate(sizes):
            extent = Window(kernel[axis], dilation=dilation[axis]).extent
            total = stride[axis] * (input.shape[2 + axis] - 1) + extra[axis] + extent - size
            extra[axis] += max(-total, 0)
            half = max(total, 0) // 2
            more = max(total, 0) - half
            pads.append((half, more) if word == "SAME_UPPER" else (more, half))
    else:
        pads = pads_of(node, input.shape[2:], kernel, stride, dilation)
    padding, groups = _even(pads), node.get("group", 1)
    function = _theirs if padding is not None else _ours
    found: Tensor = function("conv_transpose", axes)(
        input, weight, bias, stride, padding if padding is not None else pads, extra, groups, dilation
    )
    return found


@operator("DeformConv", roles=("", "weight", "", "bias"), layer=True)
def _deform_conv(
    node: Node, input: Tensor, weight: Tensor, offset: Tensor, bias: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    axes = input.dim() - 2
    stride, dilation = per_axis(node, "strides", axes), per_axis(node, "dilations", axes)
    pads = pads_of(node, input.shape[2:], kernel_of(node, axes, weight), stride, dilation)
    found: Tensor = _ours("deform_conv", axes)(input, offset, weight, bias, stride, pads, dilation, mask)
    return found


@operator("MaxPool", layer=True)
def _max_pool(node: Node, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
    axes = input.dim() - 2
    kernel = kernel_of(node, axes)
    stride, dilation = per_axis(node, "strides", axes), per_axis(node, "dilations", axes)
    pads = pads_of(node, input.shape[2:], kernel, stride, dilation)
    padding, indices = _even(pads), node.gives(1)
    around: Any
    if padding is not None and all(2 * pad <= taps for pad, taps in zip(padding, kernel, strict=True)):
        function, around = _theirs("max_pool", axes), padding
    else:
        function, around = _ours("max_pool", axes), pads
    ceil = bool(node.get("ceil_mode", 0))
    if not indices:
        found: Tensor = function(input, kernel, stride, around, dilation, ceil)
        return found
    maxima, places = function(input, kernel, stride, around, dilation, ceil, return_indices=True)
    if node.get("storage_order", 0):
        raise ValueError(f"{node.label} (MaxPool): storage_order 1, indices down the columns, is not known here")
    planes = torch.arange(input.shape[0] * input.shape[1]).reshape(*input.shape[:2], *[1] * axes)
    return maxima, places + planes.to(places.device) * input.shape[2:].numel()


@operator("AveragePool", layer=True)
def _average_pool(node: Node, input: Tensor) -> Tensor:
    axes = input.dim() - 2
    kernel = kernel_of(node, axes)
    stride, dilation = per_axis(node, "strides", axes), per_axis(node, "dilations", axes)
    pads = pads_of(node, input.shape[2:], kernel, stride, dilation)
    padding = _even(pads)
    ceil, counted = bool(node.get("ceil_mode", 0)), bool(node.get("count_include_pad", 0))
    found: Tensor
    small = padding is not None and all(2 * pad <= taps for pad, taps in zip(padding, kernel, strict=True))
    if small and all(step == 1 for step in dilation):
        found = _theirs("avg_pool", axes)(input, kernel, stride, padding, ceil, counted)
    else:
        found = _ours("avg_pool", axes)(input, kernel, stride, pads, ceil, counted, dilation=dilation)
    return found


@operator("LpPool", layer=True)
def _lp_pool(node: Node, input: Tensor) -> Tensor:
    axes = input.dim() - 2
    kernel = kernel_of(node, axes)
    stride, dilation = per_axis(node, "strides", axes), per_axis(node, "dilations", axes)
    pads = pads_of(node, input.shape[2:], kernel, stride, dilation)
    ceil = bool(node.get("ceil_mode", 0))
    found: Tensor = _ours("lp_pool", axes)(
        input, node.get("p", 2), kernel, stride, ceil, padding=pads, dilation=dilation
    )
    return found


def _places(input: Tensor) -> list[int]:
    return list(range(2, input.dim()))


@operator("GlobalAveragePool", layer=True)
def _global_average_pool(node: Node, input: Tensor) -> Tensor:
    return input.mean(_places(input), keepdim=True)


@operator("GlobalMaxPool", layer=True)
def _global_max_pool(node: Node, input: Tensor) -> Tensor:
    return input.amax(_places(input), keepdim=True)


@operator("GlobalLpPool", layer=True)
def _global_lp_pool(node: Node, input: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(input, node.get("p", 2), _places(input), keepdim=True)
    return found


@operator("MaxUnpool", numbers=(2,), layer=True)
def _max_unpool(node: Node, input: Tensor, places: Tensor, shape: Any = None) -> Tensor:
    axes = input.dim() - 2
    kernel, stride = kernel_of(node, axes), per_axis(node, "strides", axes)
    pads = pads_of(node, input.shape[2:], kernel, stride, [1] * axes)
    wished = zip(input.shape[2:], stride, kernel, pads, strict=True)
    sizes = [(n - 1) * s + k - low - high for n, s, k, (low, high) in wished]
    if shape is not None:
        sizes = [int(n) for n in shape][2:]
    planes = input.shape[0] * input.shape[1]
    whole = input.new_zeros(planes * torch.Size(sizes).numel())
    return whole.scatter(0, places.reshape(-1), input.reshape(-1)).reshape(*input.shape[:2], *sizes)
