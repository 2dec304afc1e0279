"""Unshared convolution in one, two and three dimensions."""

from striate.ops.local_conv.op import local_conv1d, local_conv2d, local_conv3d

__all__ = ["local_conv1d", "local_conv2d", "local_conv3d"]
