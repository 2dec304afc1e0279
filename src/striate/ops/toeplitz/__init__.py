"""A convolution layer as a matrix."""

from striate.ops.toeplitz.op import toeplitz

__all__ = ["toeplitz"]
