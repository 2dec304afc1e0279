"""Correlation and convolution as in textbooks: one plane, one kernel."""

from striate.ops.correlate.op import convolve, correlate

__all__ = ["convolve", "correlate"]
