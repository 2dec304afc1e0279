"""Convolution in one to four dimensions."""

from striate.ops.conv.four_axes import conv4d
from striate.ops.conv.op import conv1d, conv2d, conv3d

__all__ = ["conv1d", "conv2d", "conv3d", "conv4d"]
