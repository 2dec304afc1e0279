"""Anti-aliased strides."""

from striate.ops.blur_pool.op import blur_pool1d, blur_pool2d, blur_pool3d

__all__ = ["blur_pool1d", "blur_pool2d", "blur_pool3d"]
