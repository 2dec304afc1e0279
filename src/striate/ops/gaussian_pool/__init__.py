"""Averages weighted by the distance from the centre of the window."""

from striate.ops.gaussian_pool.op import gaussian_pool1d, gaussian_pool2d, gaussian_pool3d

__all__ = ["gaussian_pool1d", "gaussian_pool2d", "gaussian_pool3d"]
