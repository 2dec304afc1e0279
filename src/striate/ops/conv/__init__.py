"""Convolution in one, two and three dimensions."""

from striate.ops.conv.op import conv1d, conv2d, conv3d

__all__ = ["conv1d", "conv2d", "conv3d"]
