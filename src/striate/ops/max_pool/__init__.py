"""Maxima of windows in one, two and three dimensions."""

from striate.ops.max_pool.op import max_pool1d, max_pool2d, max_pool3d

__all__ = ["max_pool1d", "max_pool2d", "max_pool3d"]
