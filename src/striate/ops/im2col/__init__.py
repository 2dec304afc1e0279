"""Windows as columns of a matrix, and back."""

from striate.ops.im2col.op import col2im1d, col2im2d, col2im3d, im2col1d, im2col2d, im2col3d

__all__ = ["col2im1d", "col2im2d", "col2im3d", "im2col1d", "im2col2d", "im2col3d"]
