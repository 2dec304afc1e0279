"""Deformable convolution in one, two and three dimensions, and the points that it samples."""

from striate.ops.deform_conv.op import deform_conv1d, deform_conv2d, deform_conv3d
from striate.ops.deform_conv.points import SamplingPoints, deform_sampling_points

__all__ = ["SamplingPoints", "deform_conv1d", "deform_conv2d", "deform_conv3d", "deform_sampling_points"]
