"""Many planes, each under the same kernels, as one convolution."""

from collections.abc import Sequence

import torch
from torch import Tensor

from striate.ops.conv import conv1d, conv2d, conv3d


def correlate_planes(
    planes: Tensor,
    kernels: Tensor,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Lay every kernel over every plane.

    Args:
        planes: `(planes, *sizes)`, floating-point.
        kernels: `(kernels, *kernel)`, of the same dtype.
        stride: one number an axis, as all that follow.
        low: zeros before the plane.
        high: zeros behind it.
        dilation: places from one tap to the next.

    Returns:
        `(planes, kernels, *output sizes)`.
    """
    axes, count = kernels.ndim - 1, planes.shape[0]
    conv = (conv1d, conv2d, conv3d)[axes - 1]
    padding = tuple(zip(low, high, strict=True))
    weight = kernels.unsqueeze(1)
    # Planes run several times faster as channels than as a batch, but a compiled graph would fix their number.
    if torch.compiler.is_compiling() or count == 0:
        return conv(planes.unsqueeze(1), weight, None, stride, padding, dilation)
    weight = weight.repeat(count, *[1] * (axes + 1))
    result = conv(planes.unsqueeze(0), weight, None, stride, padding, dilation, count)
    return result.reshape(count, kernels.shape[0], *result.shape[2:])
