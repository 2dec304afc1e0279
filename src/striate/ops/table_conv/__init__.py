"""Convolution along the links of a connection table, in one, two and three dimensions."""

from striate.ops.table_conv.op import table_conv1d, table_conv2d, table_conv3d

__all__ = ["table_conv1d", "table_conv2d", "table_conv3d"]
