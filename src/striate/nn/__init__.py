"""Modules: they hold parameters and call the operators."""

from striate.nn.activation import AbsRectify, Maxout, ScaledTanh
from striate.nn.adaptive_pool import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
)
from striate.nn.avg_pool import AvgPool1d, AvgPool2d, AvgPool3d
from striate.nn.blur_pool import BlurPool1d, BlurPool2d, BlurPool3d, MaxBlurPool1d, MaxBlurPool2d, MaxBlurPool3d
from striate.nn.collapse import collapse
from striate.nn.conv import Conv1d, Conv2d, Conv3d, DepthwiseConv1d, DepthwiseConv2d, DepthwiseConv3d
from striate.nn.conv_tanh_gain import ConvTanhGain1d, ConvTanhGain2d, ConvTanhGain3d
from striate.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from striate.nn.dcn import DCNv3, DCNv4
from striate.nn.deform_conv import DeformConv1d, DeformConv2d, DeformConv3d
from striate.nn.factorize import Factorized, factorize
from striate.nn.from_torch import from_torch
from striate.nn.gaussian_pool import GaussianPool1d, GaussianPool2d, GaussianPool3d
from striate.nn.jarrett_stage import JarrettStage
from striate.nn.local_contrast_norm import DivisiveNorm, LocalContrastNorm, SubtractiveNorm
from striate.nn.local_conv import LocalConv1d, LocalConv2d, LocalConv3d
from striate.nn.local_conv_transpose import LocalConvTranspose1d, LocalConvTranspose2d, LocalConvTranspose3d
from striate.nn.local_response_norm import LocalResponseNorm
from striate.nn.local_weights import from_flax_local, from_keras_local, from_torch7_local
from striate.nn.lp_pool import LPPool1d, LPPool2d, LPPool3d
from striate.nn.max_pool import MaxPool1d, MaxPool2d, MaxPool3d
from striate.nn.max_unpool import MaxUnpool1d, MaxUnpool2d, MaxUnpool3d
from striate.nn.mmcv import from_mmcv
from striate.nn.separable import (
    DepthwiseSeparableConv1d,
    DepthwiseSeparableConv2d,
    DepthwiseSeparableConv3d,
    SpatiallySeparableConv2d,
)
from striate.nn.spatial_pyramid_pool import SpatialPyramidPool1d, SpatialPyramidPool2d, SpatialPyramidPool3d
from striate.nn.sync_batch_norm import SyncBatchNorm
from striate.nn.table_conv import TableConv1d, TableConv2d, TableConv3d

__all__ = [
    "AbsRectify",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BlurPool1d",
    "BlurPool2d",
    "BlurPool3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTanhGain1d",
    "ConvTanhGain2d",
    "ConvTanhGain3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "DCNv3",
    "DCNv4",
    "DeformConv1d",
    "DeformConv2d",
    "DeformConv3d",
    "DepthwiseConv1d",
    "DepthwiseConv2d",
    "DepthwiseConv3d",
    "DepthwiseSeparableConv1d",
    "DepthwiseSeparableConv2d",
    "DepthwiseSeparableConv3d",
    "DivisiveNorm",
    "Factorized",
    "GaussianPool1d",
    "GaussianPool2d",
    "GaussianPool3d",
    "JarrettStage",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "LocalContrastNorm",
    "LocalConv1d",
    "LocalConv2d",
    "LocalConv3d",
    "LocalConvTranspose1d",
    "LocalConvTranspose2d",
    "LocalConvTranspose3d",
    "LocalResponseNorm",
    "MaxBlurPool1d",
    "MaxBlurPool2d",
    "MaxBlurPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "Maxout",
    "ScaledTanh",
    "SpatialPyramidPool1d",
    "SpatialPyramidPool2d",
    "SpatialPyramidPool3d",
    "SpatiallySeparableConv2d",
    "SubtractiveNorm",
    "SyncBatchNorm",
    "TableConv1d",
    "TableConv2d",
    "TableConv3d",
    "collapse",
    "factorize",
    "from_flax_local",
    "from_keras_local",
    "from_mmcv",
    "from_torch",
    "from_torch7_local",
]
