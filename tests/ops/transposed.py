"""Transposed convolutions and their definition, as the tests call them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from striate.geometry import windows
from striate.ops.conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d, reference

TRANSPOSED = (conv_transpose1d, conv_transpose2d, conv_transpose3d)
KINDS = ["standard", "depthwise", "grouped"]
GROUPS = {"standard": 1, "depthwise": 4, "grouped": 2}


def tensors(axes: int, kind: str, size: int = 4, kernel: int = 3, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Input, weight and bias, float64."""
    generator = torch.Generator().manual_seed(axes)
    channels, out = {"standard": (3, 2), "depthwise": (4, 1), "grouped": (4, 3)}[kind]

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sizes = [size + axis for axis in range(axes)]
    return draw(batch, channels, *sizes), draw(channels, out, *[kernel] * axes), draw(out * GROUPS[kind])


def transposed(axes: int, kind: str = "standard", **settings: Any) -> Callable[..., Tensor]:
    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return TRANSPOSED[axes - 1](input, weight, bias, groups=GROUPS[kind], **settings)

    return call


def defined(axes: int, kind: str = "standard", more: int = 0, **settings: Any) -> Callable[..., Tensor]:
    """The definition; `more` is the output padding."""

    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        arguments = {"stride": 1, "padding": 0, "dilation": 1, **settings}
        circular = arguments.pop("padding_mode", "zeros") == "circular"
        along = windows(axes, tuple(weight.shape[2:]), **arguments)
        low, high = zip(*(window.crops() for window in along), strict=True)
        high = tuple(b - more for b in high)
        strides, dilations = [window.stride for window in along], [window.dilation for window in along]
        groups = GROUPS[kind]
        return reference.conv_transpose(input, weight, bias, strides, low, high, dilations, groups, circular=circular)

    return call
