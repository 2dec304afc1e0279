"""Convolution in four dimensions: a sum of three-dimensional ones."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, cast, check_alike, check_input, place
from striate.ops._padding import PaddingMode, pad
from striate.ops.conv.op import Size, check_channels, conv2d, conv3d
from striate.ops.dispatch import Route, take


@announced
@documented_like(conv2d)
def conv4d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    border: Tensor | None = None,
) -> Tensor:
    """Convolve clips of volumes, or light fields, with filters; `conv2d` along four axes, T, D, H and W.

    It is the sum of one `conv3d` for each tap along the first axis, whose places lie side by side in the batch. The
    result is contiguous: PyTorch has no other memory format for six axes.

    Example:
        >>> clip, filters = torch.ones(1, 2, 6, 4, 8, 8), torch.ones(3, 2, 2, 3, 3, 3)
        >>> conv4d(clip, filters, padding=("causal", "same", "same", "same")).shape
        torch.Size([1, 3, 6, 4, 8, 8])
    """
    name = "conv4d"
    input, weight, bias, border = cast(input, weight, bias, border)
    check_input(name, input, 4)
    check_alike(name, input=input, weight=weight, bias=bias, border=border)
    batch = input if input.ndim == 6 else input.unsqueeze(0)
    check_channels(name, batch, weight, bias, groups)
    kernel_size = tuple(map(int, weight.shape[2:]))
    along, low, high = place(name, 4, kernel_size, stride, padding, dilation, batch.shape[2:])
    first = along[0]
    outputs = first.output_size(batch.shape[2])
    if padding_mode != "zeros" or border is not None:
        batch = pad(name, batch, low, high, padding_mode, border)
        low = high = (0,) * 4
    take(name, Route("conv3d", "a sum of three-dimensional convolutions, one a tap of the first axis"))
    strides, dilations = [window.stride for window in along[1:]], [window.dilation for window in along[1:]]
    pads = tuple(zip(low[1:], high[1:], strict=True))
    # Low precision is widened: sums, and those of the gradients, would else be rounded at every tap.
    wide = torch.promote_types(input.dtype, torch.float32)
    volumes = F.pad(batch.transpose(1, 2), [0, 0] * 4 + [low[0], high[0]]).to(wide)

    def term(tap: int) -> Tensor:
        begin = tap * first.dilation
        read = volumes[:, begin : begin + (outputs - 1) * first.stride + 1 : first.stride].flatten(0, 1).to(input.dtype)
        return conv3d(read, weight[:, :, tap], None if tap else bias, strides, pads, dilations, groups).to(wide)

    result = reduce(torch.add, map(term, range(first.kernel))).to(input.dtype)
    result = result.reshape(batch.shape[0], outputs, *result.shape[1:]).transpose(1, 2).contiguous()
    return result if input.ndim == 6 else result.squeeze(0)
