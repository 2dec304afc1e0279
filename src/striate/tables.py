"""Connection tables for `table_conv{n}d` and `nn.TableConv{n}d`: which maps of a layer read which maps below."""

from striate.ops.table_conv.tables import draw, full, lenet5_c3, one_to_one, random

__all__ = ["draw", "full", "lenet5_c3", "one_to_one", "random"]
