"""Local response normalisation."""

from striate.ops.local_response_norm.op import local_response_norm

__all__ = ["local_response_norm"]
