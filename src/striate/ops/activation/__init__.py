"""Activations: the absolute value, the largest of a group of channels, the tangent with a gain."""

from striate.ops.activation.op import abs_rectify, maxout, scaled_tanh

__all__ = ["abs_rectify", "maxout", "scaled_tanh"]
