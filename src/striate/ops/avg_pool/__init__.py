"""Averages of windows in one, two and three dimensions."""

from striate.ops.avg_pool.op import avg_pool1d, avg_pool2d, avg_pool3d

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d"]
