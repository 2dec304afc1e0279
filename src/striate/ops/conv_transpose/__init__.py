"""Transposed convolution in one, two and three dimensions."""

from striate.ops.conv_transpose.op import conv_transpose1d, conv_transpose2d, conv_transpose3d

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]
