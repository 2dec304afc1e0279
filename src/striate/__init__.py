"""Striate: the convolution library for PyTorch."""

import importlib
from typing import TYPE_CHECKING, Any

from striate import ops

if TYPE_CHECKING:
    from striate import data, export, filters, geometry, inspection, models, nn, tables, training
    from striate.inspection import inspect
    from striate.ops.activation import abs_rectify, maxout, scaled_tanh
    from striate.ops.adaptive_pool import (
        adaptive_avg_pool1d,
        adaptive_avg_pool2d,
        adaptive_avg_pool3d,
        adaptive_max_pool1d,
        adaptive_max_pool2d,
        adaptive_max_pool3d,
    )
    from striate.ops.avg_pool import avg_pool1d, avg_pool2d, avg_pool3d
    from striate.ops.blur_pool import blur_pool1d, blur_pool2d, blur_pool3d
    from striate.ops.conv import conv1d, conv2d, conv3d, conv4d
    from striate.ops.conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
    from striate.ops.correlate import convolve, correlate
    from striate.ops.deform_aggregate import deform_aggregate1d, deform_aggregate2d, deform_aggregate3d
    from striate.ops.deform_conv import deform_conv1d, deform_conv2d, deform_conv3d, deform_sampling_points
    from striate.ops.dispatch import explain_dispatch
    from striate.ops.gaussian_pool import gaussian_pool1d, gaussian_pool2d, gaussian_pool3d
    from striate.ops.im2col import col2im1d, col2im2d, col2im3d, im2col1d, im2col2d, im2col3d
    from striate.ops.local_contrast_norm import divisive_norm, local_contrast_norm, subtractive_norm
    from striate.ops.local_conv import local_conv1d, local_conv2d, local_conv3d
    from striate.ops.local_conv_transpose import (
        local_conv_transpose1d,
        local_conv_transpose2d,
        local_conv_transpose3d,
    )
    from striate.ops.local_response_norm import local_response_norm
    from striate.ops.lp_pool import lp_pool1d, lp_pool2d, lp_pool3d
    from striate.ops.max_pool import max_pool1d, max_pool2d, max_pool3d
    from striate.ops.max_unpool import max_unpool1d, max_unpool2d, max_unpool3d
    from striate.ops.spatial_pyramid_pool import spatial_pyramid_pool1d, spatial_pyramid_pool2d, spatial_pyramid_pool3d
    from striate.ops.table_conv import table_conv1d, table_conv2d, table_conv3d
    from striate.ops.toeplitz import toeplitz

__version__ = "0.1.0"

__all__ = [
    "abs_rectify",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "blur_pool1d",
    "blur_pool2d",
    "blur_pool3d",
    "col2im1d",
    "col2im2d",
    "col2im3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv4d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolve",
    "correlate",
    "data",
    "deform_aggregate1d",
    "deform_aggregate2d",
    "deform_aggregate3d",
    "deform_conv1d",
    "deform_conv2d",
    "deform_conv3d",
    "deform_sampling_points",
    "divisive_norm",
    "explain_dispatch",
    "export",
    "filters",
    "gaussian_pool1d",
    "gaussian_pool2d",
    "gaussian_pool3d",
    "geometry",
    "im2col1d",
    "im2col2d",
    "im2col3d",
    "inspect",
    "inspection",
    "local_contrast_norm",
    "local_conv1d",
    "local_conv2d",
    "local_conv3d",
    "local_conv_transpose1d",
    "local_conv_transpose2d",
    "local_conv_transpose3d",
    "local_response_norm",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "maxout",
    "models",
    "nn",
    "scaled_tanh",
    "spatial_pyramid_pool1d",
    "spatial_pyramid_pool2d",
    "spatial_pyramid_pool3d",
    "subtractive_norm",
    "table_conv1d",
    "table_conv2d",
    "table_conv3d",
    "tables",
    "toeplitz",
    "training",
]


def __getattr__(name: str) -> Any:
    if name in ops.OPERATORS:
        return ops.load_operator(name)
    if name == "inspect":
        return importlib.import_module("striate.inspection").inspect
    if name in __all__:
        return importlib.import_module(f"striate.{name}")
    raise AttributeError(f"module 'striate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
