"""Files of weights: what lies in them is known, and checked, before any tensor takes memory."""

from striate.models.files.opening import open_weights
from striate.models.files.weight_file import Entry, WeightFile

__all__ = ["Entry", "WeightFile", "open_weights"]
