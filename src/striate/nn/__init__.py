"""Modules: they hold parameters and call the operators."""

from striate.nn.collapse import collapse
from striate.nn.conv import Conv1d, Conv2d, Conv3d, DepthwiseConv1d, DepthwiseConv2d, DepthwiseConv3d
from striate.nn.conv_tanh_gain import ConvTanhGain1d, ConvTanhGain2d, ConvTanhGain3d
from striate.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from striate.nn.dcn import DCNv3, DCNv4
from striate.nn.deform_conv import DeformConv1d, DeformConv2d, DeformConv3d
from striate.nn.factorize import Factorized, factorize
from striate.nn.from_torch import from_torch
from striate.nn.local_conv import LocalConv1d, LocalConv2d, LocalConv3d
from striate.nn.local_conv_transpose import LocalConvTranspose1d, LocalConvTranspose2d, LocalConvTranspose3d
from striate.nn.local_weights import from_flax_local, from_keras_local, from_torch7_local
from striate.nn.mmcv import from_mmcv
from striate.nn.separable import (
    DepthwiseSeparableConv1d,
    DepthwiseSeparableConv2d,
    DepthwiseSeparableConv3d,
    SpatiallySeparableConv2d,
)
from striate.nn.table_conv import TableConv1d, TableConv2d, TableConv3d

__all__ = [
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
    "Factorized",
    "LocalConv1d",
    "LocalConv2d",
    "LocalConv3d",
    "LocalConvTranspose1d",
    "LocalConvTranspose2d",
    "LocalConvTranspose3d",
    "SpatiallySeparableConv2d",
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
