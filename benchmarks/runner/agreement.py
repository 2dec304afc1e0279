"""No timing of what is wrong, of peers too: they must give our output and our gradients."""

from collections.abc import Sequence
from typing import Any

import numpy as np

# Of float32 numbers that are summed in another order, or by way of spectra.
_TOLERANCE = 1e-4


def disagreement(ours: Sequence[Any], theirs: Sequence[Any]) -> str | None:
    """In words how a peer's results differ from ours, None if they agree; axes of size 1 do not count.

    Args:
        ours: the output and the gradients.
        theirs: the same, or the first of them.
    """
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
        name = f"gradient {number}" if number else "output"
        a, b = (np.asarray(numbers).squeeze() for numbers in (mine, other))
        if a.shape != b.shape:
            return f"disagrees: {name} {b.shape}, ours {a.shape}"
        error = float(np.abs(a - b).max() / np.abs(a).max())
        if not error <= _TOLERANCE:
            return f"disagrees: {name} differs by {error:.0e}"
    return None
