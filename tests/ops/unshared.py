"""Unshared convolutions and their transpose, as the tests call them, and their definition by columns."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import striate
from striate.geometry import Window, windows

LOCAL = (striate.local_conv1d, striate.local_conv2d, striate.local_conv3d)
TRANSPOSED = (striate.local_conv_transpose1d, striate.local_conv_transpose2d, striate.local_conv_transpose3d)
IM2COL = (striate.im2col1d, striate.im2col2d, striate.im2col3d)
COL2IM = (striate.col2im1d, striate.col2im2d, striate.col2im3d)
# Groups, channels of the input of a convolution, channels of its output.
KINDS = {"standard": (1, 3, 2), "grouped": (2, 4, 6), "depthwise": (4, 4, 4), "wide": (1, 17, 13)}
# What no setting that counts may be.
NO_NUMBERS: tuple[Any, ...] = (None, "2", (2,), 2.0, True, torch.tensor(2))
DEFAULTS: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)), dtype=torch.float64)


def windows_of(axes: int, kernel: int | Sequence[int], settings: dict[str, Any]) -> tuple[Window, ...]:
    own = {name: value for name, value in settings.items() if name in DEFAULTS}
    return windows(axes, kernel, **{**DEFAULTS, **own})


def tensors(
    axes: int, kind: str = "standard", size: int = 5, kernel: int = 3, batch: int = 2, **settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Input, weight and a bias for every place of a convolution, float64."""
    groups, channels, out = KINDS[kind]
    sizes = [size + axis for axis in range(axes)]
    along = windows_of(axes, kernel, settings)
    outputs = [window.output_size(n) for window, n in zip(along, sizes, strict=True)]
    return (
        draw(batch, channels, *sizes),
        draw(*outputs, out, channels // groups, *[kernel] * axes),
        draw(*outputs, out),
    )


def local(axes: int, kind: str = "standard", **settings: Any) -> Callable[..., Tensor]:
    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return LOCAL[axes - 1](input, weight, bias, groups=KINDS[kind][0], **settings)

    return call


def by_columns(axes: int, kind: str = "standard", **settings: Any) -> Callable[..., Tensor]:
    """Every window as a column, times the weights of its place."""
    groups = KINDS[kind][0]

    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        outputs, out, kernel = weight.shape[:axes], weight.shape[axes], weight.shape[axes + 2 :]
        columns = IM2COL[axes - 1](input, kernel, **settings)
        columns = columns.reshape(input.shape[0], groups, -1, math.prod(outputs))
        filters = weight.reshape(math.prod(outputs), groups, out // groups, -1)
        result = torch.einsum("ngkp,pgok->ngop", columns, filters).reshape(input.shape[0], out, *outputs)
        return result if bias is None else result + spread(bias, axes)

    return call


def spread(bias: Tensor, axes: int) -> Tensor:
    """A bias `(out,)` or `(*sizes, out)`, to be added to `(N, out, *sizes)`."""
    return bias.reshape(-1, *[1] * axes) if bias.ndim == 1 else bias.movedim(-1, 0)


def transposed_tensors(
    axes: int, kind: str = "standard", size: int = 4, kernel: int = 3, batch: int = 2, more: int = 0, **settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Input, weight and a bias for every place of a transposed convolution, float64."""
    groups, out, channels = KINDS[kind]
    sizes = [size + axis for axis in range(axes)]
    outputs = transposed_sizes(axes, kernel, sizes, more, settings)
    return (
        draw(batch, channels, *sizes),
        draw(*sizes, channels, out // groups, *[kernel] * axes),
        draw(*outputs, out),
    )


def transposed_sizes(
    axes: int, kernel: int | Sequence[int], sizes: Sequence[int], more: int, settings: dict[str, Any]
) -> list[int]:
    along = windows_of(axes, kernel, settings)
    return [window.transposed_output_size(n, more) for window, n in zip(along, sizes, strict=True)]


def transposed(axes: int, kind: str = "standard", **settings: Any) -> Callable[..., Tensor]:
    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return TRANSPOSED[axes - 1](input, weight, bias, groups=KINDS[kind][0], **settings)

    return call


def transposed_by_columns(axes: int, kind: str = "standard", more: int = 0, **settings: Any) -> Callable[..., Tensor]:
    """What every input spreads, as a column, added where the columns of a convolution would have been read."""
    groups = KINDS[kind][0]

    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        sizes, channels, kernel = weight.shape[:axes], weight.shape[axes], weight.shape[axes + 2 :]
        spots = input.reshape(input.shape[0], groups, channels // groups, math.prod(sizes))
        filters = weight.reshape(math.prod(sizes), groups, channels // groups, -1)
        columns = torch.einsum("ngcp,pgck->ngkp", spots, filters).flatten(1, 2)
        along = windows_of(axes, tuple(kernel), settings)
        steps = [window.stride for window in along], 0, [window.dilation for window in along]
        spans = [(n - 1) * window.stride + window.extent for window, n in zip(along, sizes, strict=True)]
        plane = COL2IM[axes - 1](columns, spans, kernel, *steps)
        sides = [(-low, more - high) for low, high in reversed([window.crops() for window in along])]
        result = torch.nn.functional.pad(plane, [side for pair in sides for side in pair])
        return result if bias is None else result + spread(bias, axes)

    return call
