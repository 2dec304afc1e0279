"""Norms of windows."""

from striate.ops.lp_pool.op import lp_pool1d, lp_pool2d, lp_pool3d

__all__ = ["lp_pool1d", "lp_pool2d", "lp_pool3d"]
