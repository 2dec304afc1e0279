"""Deformable aggregation in one, two and three dimensions."""

from striate.ops.deform_aggregate.op import deform_aggregate1d, deform_aggregate2d, deform_aggregate3d

__all__ = ["deform_aggregate1d", "deform_aggregate2d", "deform_aggregate3d"]
