"""Transposed unshared convolution in one, two and three dimensions."""

from striate.ops.local_conv_transpose.op import local_conv_transpose1d, local_conv_transpose2d, local_conv_transpose3d

__all__ = ["local_conv_transpose1d", "local_conv_transpose2d", "local_conv_transpose3d"]
