"""The matrix of a layer by the definition of a matrix: its columns are the images of the unit vectors."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from striate.ops.conv.reference import conv


def toeplitz(
    weight: Tensor,
    sizes: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """matrix[:, j] = conv(the input that is 1 at j and 0 elsewhere, weight)."""
    channels = weight.shape[1] * groups
    units = torch.eye(channels * math.prod(sizes), dtype=weight.dtype, device=weight.device)
    return conv(units.view(-1, channels, *sizes), weight, None, stride, low, high, dilation, groups).flatten(1).T
