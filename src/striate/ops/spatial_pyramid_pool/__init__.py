"""Any input size to a vector of a fixed length."""

from striate.ops.spatial_pyramid_pool.op import spatial_pyramid_pool1d, spatial_pyramid_pool2d, spatial_pyramid_pool3d

__all__ = ["spatial_pyramid_pool1d", "spatial_pyramid_pool2d", "spatial_pyramid_pool3d"]
