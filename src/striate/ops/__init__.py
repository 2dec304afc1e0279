"""One folder an operator: the functional interface, each loaded at its first use."""

import importlib
import os
from collections.abc import Callable
from typing import Any

OPERATORS = {
    **{f"adaptive_avg_pool{n}d": "striate.ops.adaptive_pool" for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": "striate.ops.adaptive_pool" for n in (1, 2, 3)},
    **{f"avg_pool{n}d": "striate.ops.avg_pool" for n in (1, 2, 3)},
    **{f"blur_pool{n}d": "striate.ops.blur_pool" for n in (1, 2, 3)},
    **{f"gaussian_pool{n}d": "striate.ops.gaussian_pool" for n in (1, 2, 3)},
    **{f"lp_pool{n}d": "striate.ops.lp_pool" for n in (1, 2, 3)},
    **{f"max_pool{n}d": "striate.ops.max_pool" for n in (1, 2, 3)},
    **{f"max_unpool{n}d": "striate.ops.max_unpool" for n in (1, 2, 3)},
    **{f"spatial_pyramid_pool{n}d": "striate.ops.spatial_pyramid_pool" for n in (1, 2, 3)},
    **{f"conv{n}d": "striate.ops.conv" for n in (1, 2, 3, 4)},
    **{f"conv_transpose{n}d": "striate.ops.conv_transpose" for n in (1, 2, 3)},
    **{f"im2col{n}d": "striate.ops.im2col" for n in (1, 2, 3)},
    **{f"col2im{n}d": "striate.ops.im2col" for n in (1, 2, 3)},
    **{f"deform_conv{n}d": "striate.ops.deform_conv" for n in (1, 2, 3)},
    **{f"deform_aggregate{n}d": "striate.ops.deform_aggregate" for n in (1, 2, 3)},
    **{f"local_conv{n}d": "striate.ops.local_conv" for n in (1, 2, 3)},
    **{f"local_conv_transpose{n}d": "striate.ops.local_conv_transpose" for n in (1, 2, 3)},
    **{f"table_conv{n}d": "striate.ops.table_conv" for n in (1, 2, 3)},
    "abs_rectify": "striate.ops.activation",
    "convolve": "striate.ops.correlate",
    "correlate": "striate.ops.correlate",
    "deform_sampling_points": "striate.ops.deform_conv",
    "divisive_norm": "striate.ops.local_contrast_norm",
    "explain_dispatch": "striate.ops.dispatch",
    "local_contrast_norm": "striate.ops.local_contrast_norm",
    "local_response_norm": "striate.ops.local_response_norm",
    "maxout": "striate.ops.activation",
    "scaled_tanh": "striate.ops.activation",
    "subtractive_norm": "striate.ops.local_contrast_norm",
    "toeplitz": "striate.ops.toeplitz",
}
"""Where each public function lives."""


PROCESS = os.getpid()
"""The process that has imported Striate first; its forked children have another."""


def load_operator(name: str) -> Callable[..., Any]:
    """The public function of this name, which must be among `OPERATORS`."""
    function: Callable[..., Any] = getattr(importlib.import_module(OPERATORS[name]), name)
    return function
