"""Numbers put back where a maximum has taken them from, in one, two and three dimensions."""

from striate.ops.max_unpool.op import max_unpool1d, max_unpool2d, max_unpool3d

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]
