"""Local contrast normalisation, and its two halves."""

from striate.ops.local_contrast_norm.op import divisive_norm, local_contrast_norm, subtractive_norm

__all__ = ["divisive_norm", "local_contrast_norm", "subtractive_norm"]
