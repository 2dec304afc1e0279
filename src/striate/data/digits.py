"""The handwritten digits that scikit-learn bundles."""

from pathlib import Path

import numpy as np
import torch

from striate.data.source import Source


def read_digits() -> Source:
    """Return the 1,797 handwritten digits, their 17 levels spread over 0..255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    levels = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    notes = []
    if Path("digits").exists():
        notes.append("digits are the built-in pictures; for what is called digits in this folder, write ./digits.")
    return Source(
        names=tuple(f"digits[{index}]" for index in range(len(levels))),
        targets=tuple(str(target) for target in bunch.target),
        order=tuple("0123456789"),
        pictures=torch.from_numpy(levels).unsqueeze(1),
        notes=tuple(notes),
    )
