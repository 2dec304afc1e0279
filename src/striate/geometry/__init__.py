"""The arithmetic of windows: exact integers and fractions, and no tensors.

An operator is a window placed over a grid. Sizes, padding, the inputs that no window reads and receptive fields are all
worked out here and nowhere else.
"""

from striate.geometry.adaptive import adaptive_windows
from striate.geometry.axes import windows
from striate.geometry.receptive_field import ReceptiveField, Transposed, receptive_field
from striate.geometry.suggestions import Fix
from striate.geometry.window import Window

__all__ = [
    "Fix",
    "ReceptiveField",
    "Transposed",
    "Window",
    "adaptive_windows",
    "receptive_field",
    "windows",
]
