"""Sums over neighbours along an axis, which local normalisations share."""

import numpy as np
import pytest

from striate.ops._normalization.kernels import add_neighbours


@pytest.mark.parametrize("taps", [1, 3, 4, 5, 9, 13])
@pytest.mark.parametrize(("outer", "length", "inner"), [(1, 40, 1), (3, 7, 5), (2, 1, 9), (4, 2, 1), (1, 12, 33)])
def test_sums_over_neighbours(outer: int, length: int, inner: int, taps: int) -> None:
    dice = np.random.default_rng(taps)
    source, weights = dice.standard_normal((outer, length, inner)), dice.standard_normal(taps)
    for low in {0, taps // 2, taps - 1}:
        found = np.full(source.size, np.nan)
        add_neighbours(source.ravel(), outer, length, inner, weights, low, found)
        padded = np.pad(source, ((0, 0), (low, taps - 1 - low), (0, 0)))
        expected = sum(weight * padded[:, t : t + length] for t, weight in enumerate(weights))
        np.testing.assert_allclose(found.reshape(source.shape), expected, rtol=1e-12, atol=1e-12)
