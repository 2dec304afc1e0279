"""One folder an operator: the functional interface, each loaded at its first use."""

import importlib
from collections.abc import Callable
from typing import Any

OPERATORS = {
    **{f"conv{n}d": "striate.ops.conv" for n in (1, 2, 3, 4)},
    **{f"conv_transpose{n}d": "striate.ops.conv_transpose" for n in (1, 2, 3)},
    **{f"im2col{n}d": "striate.ops.im2col" for n in (1, 2, 3)},
    **{f"col2im{n}d": "striate.ops.im2col" for n in (1, 2, 3)},
    **{f"deform_conv{n}d": "striate.ops.deform_conv" for n in (1, 2, 3)},
    **{f"deform_aggregate{n}d": "striate.ops.deform_aggregate" for n in (1, 2, 3)},
    **{f"local_conv{n}d": "striate.ops.local_conv" for n in (1, 2, 3)},
    **{f"local_conv_transpose{n}d": "striate.ops.local_conv_transpose" for n in (1, 2, 3)},
    **{f"table_conv{n}d": "striate.ops.table_conv" for n in (1, 2, 3)},
    "convolve": "striate.ops.correlate",
    "correlate": "striate.ops.correlate",
    "deform_sampling_points": "striate.ops.deform_conv",
    "explain_dispatch": "striate.ops.dispatch",
    "toeplitz": "striate.ops.toeplitz",
}
"""Where each public function lives."""


def load_operator(name: str) -> Callable[..., Any]:
    """The public function of this name, which must be among `OPERATORS`."""
    function: Callable[..., Any] = getattr(importlib.import_module(OPERATORS[name]), name)
    return function
