"""Deformable aggregation: the door."""

import math
from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

from striate.geometry import windows
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, cast, check_fits, check_input, memory_format
from striate.ops.deform_aggregate import reference
from striate.ops.deform_aggregate.registered import deform_aggregate
from striate.ops.deform_conv.checks import check_center, check_mask, check_offset, check_precision, check_scale
from striate.ops.deform_conv.routes import choose
from striate.ops.dispatch import take

Size: TypeAlias = int | Sequence[int]


@announced
def deform_aggregate2d(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: Size,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    *,
    groups: int = 1,
    offset_scale: float = 1.0,
    remove_center: bool = False,
) -> Tensor:
    """Add up, at every output, samples of the input at moved taps, each with a factor of its own: DCNv3's and DCNv4's.

    `output[n, c, p] = sum over k of mask[n, g, k, p] * input[n, c] at x`, for places p, taps k and the group g of the
    channel c, so that there is no weight. The coordinates are
    `x = p * stride - low + m + offset_scale * (k * dilation - m + offset[n, g, k, p])`: the window and its offsets
    grow by `offset_scale` around its middle `m = dilation * (kernel_size - 1) // 2`. The factors are taken as they
    come; DCNv3 makes them sum to 1 over the taps beforehand.

    The input is read at a coordinate as in `striate.deform_conv2d`: linearly between places, with zeros outside,
    derivatives from above, and NaN where the coordinate is NaN or the factor is not finite.

    Args:
        input: `(N, C, *sizes)` or `(C, *sizes)`, floating-point.
        offset: `(N, groups * taps * axes, *output sizes)`, in places before scaling; without N if the input has none.
            Channels lie in the order (group, tap, axis), taps in the order of rows, axes as those of the input: y
            before x. Of the input's dtype, or float32 beside a lower one.
        mask: `(N, groups * taps, *output sizes)`; without N, and of another dtype, as `offset`.
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis.
        padding: places added around the input: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid", "same", "same_upper", "same_lower", "half", "full", "causal"; see `geometry.Window`.
        dilation: places from one tap of the window to the next, at least 1; one number or one an axis.
        groups: sets of consecutive channels that share offsets and factors; it divides C.
        offset_scale: the factor by which windows and offsets grow, finite.
        remove_center: leave out the tap in the middle, so that there is one tap less; for odd kernel sizes.

    Returns:
        `(N, C, *output sizes)` in the input's dtype and memory format, or `(C, *output sizes)`.

    Raises:
        TypeError: if the input is not floating-point, dtypes do not go together, or a setting has the wrong type.
        ValueError: if ranks, channels, devices or sizes do not fit, the window is larger than the padded input, or a
            setting is out of its range.

    Source:
        Wang et al., "InternImage: exploring large-scale vision foundation models with deformable convolutions", 2023,
        https://arxiv.org/abs/2211.05778; without the sum to 1: Xiong et al., "Efficient deformable ConvNets", 2024,
        https://arxiv.org/abs/2401.06197.

    Example:
        >>> picture, offset = torch.arange(9.0).view(1, 1, 3, 3), torch.zeros(1, 2 * 8, 3, 3)
        >>> mean = torch.full((1, 8, 3, 3), 1 / 8)
        >>> deform_aggregate2d(picture, offset, mean, 3, padding=1, remove_center=True)
        tensor([[[[1.0000, 1.7500, 1.2500],
                  [2.2500, 4.0000, 2.7500],
                  [1.7500, 3.2500, 2.0000]]]])
    """
    settings = groups, offset_scale, remove_center
    return _aggregate("deform_aggregate2d", 2, input, offset, mask, kernel_size, stride, padding, dilation, *settings)


@announced
@documented_like(deform_aggregate2d)
def deform_aggregate1d(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: Size,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    *,
    groups: int = 1,
    offset_scale: float = 1.0,
    remove_center: bool = False,
) -> Tensor:
    """Add up samples of series at moved taps; `deform_aggregate2d` along one axis.

    Example:
        >>> series, offset, mask = torch.tensor([[0.0, 10.0, 20.0, 40.0]]), torch.zeros(3, 2), torch.ones(3, 2)
        >>> deform_aggregate1d(series, offset, mask, 3)
        tensor([[30., 70.]])
        >>> deform_aggregate1d(series, offset, mask, 3, offset_scale=0.5)
        tensor([[30., 65.]])
    """
    settings = groups, offset_scale, remove_center
    return _aggregate("deform_aggregate1d", 1, input, offset, mask, kernel_size, stride, padding, dilation, *settings)


@announced
@documented_like(deform_aggregate2d)
def deform_aggregate3d(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: Size,
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: Size = 1,
    *,
    groups: int = 1,
    offset_scale: float = 1.0,
    remove_center: bool = False,
) -> Tensor:
    """Add up samples of volumes or clips at moved taps; `deform_aggregate2d` along three axes.

    Example:
        >>> clip, offset, mask = torch.ones(1, 4, 4, 8, 8), torch.zeros(1, 2 * 81, 4, 8, 8), torch.ones(1, 54, 4, 8, 8)
        >>> deform_aggregate3d(clip, offset, mask, 3, padding="same", groups=2).shape
        torch.Size([1, 4, 4, 8, 8])
    """
    settings = groups, offset_scale, remove_center
    return _aggregate("deform_aggregate3d", 3, input, offset, mask, kernel_size, stride, padding, dilation, *settings)


def _aggregate(
    name: str,
    axes: int,
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: Size,
    stride: Size,
    padding: Padding | Sequence[Padding],
    dilation: Size,
    groups: int,
    offset_scale: float,
    remove_center: bool,
) -> Tensor:
    # Offsets keep their precision under autocast: bfloat16 cannot tell places apart beyond 256.
    (input,) = cast(input)
    check_input(name, input, axes)
    check_precision(name, input, offset=offset, mask=mask)
    check_integer(f"{name}: groups", groups, 1)
    if input.shape[-1 - axes] < 1:
        raise ValueError(f"{name}: input must have at least one channel, got {tuple(input.shape)}")
    check_scale(name, offset_scale)
    single = input.ndim == axes + 1
    batch = input.unsqueeze(0) if single else input
    along = windows(axes, kernel_size, stride, padding, dilation)
    low, high = check_fits(name, along, batch.shape[2:])
    outputs = [window.output_size(n) for window, n in zip(along, batch.shape[2:], strict=True)]
    kernel = [window.kernel for window in along]
    # PyTorch 2.11 cannot trace a bool that is taken from a symbolic number.
    taps = math.prod(kernel) - int(check_center(name, kernel, remove_center))
    check_offset(name, input, offset, taps, outputs, groups)
    check_mask(name, input, mask, taps, outputs, groups)
    if single:
        offset, mask = offset.unsqueeze(0), mask.unsqueeze(0)
    strides, dilations = [window.stride for window in along], [window.dilation for window in along]
    scale = float(offset_scale)
    route = take(name, choose(batch))
    if route.name == "kernels":
        result = deform_aggregate(
            batch, offset, mask, kernel, strides, low, high, dilations, groups, scale, remove_center
        )
    else:
        result = reference.deform_aggregate(
            batch, offset, mask, kernel, strides, low, dilations, groups, scale, remove_center
        )
        result = result.contiguous(memory_format=memory_format(batch))
    return result.squeeze(0) if single else result
