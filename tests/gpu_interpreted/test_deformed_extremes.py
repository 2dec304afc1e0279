"""The CPU's tests of extremes, by the GPU's rooms."""

import math
from collections.abc import Iterator

import pytest

from ops import test_deform_extremes as extremes
from ops.test_deform_extremes import (  # noqa: F401
    test_a_factor_that_is_not_finite_is_not_hidden,
    test_a_pixel_without_bound_at_the_border,
    test_gradients_beyond_32_bits,
    test_places_beyond_32_bits,
    test_scales_beyond_32_bits,
)

from .rooms import take_gpu_rooms


@pytest.fixture(autouse=True)
def _gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    take_gpu_rooms(monkeypatch)
    yield


# The interpreter computes with NumPy, which tells of every NaN.
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("kind", ["depthwise", "dense", "aggregate"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["input", "mask", "offset"])
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_not_finite_shows_as_in_the_definition(kind: str, value: float, where: str, whole: bool) -> None:
    extremes.test_what_is_not_finite_shows_as_in_the_definition(kind, 1, value, where, whole)
