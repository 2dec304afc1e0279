"""The Gaussian window, and how much of it lies inside the maps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["jarrett2009", "torch7"]
Border: TypeAlias = Literal["renormalize", "zeros"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done to maps.

    Args:
        kernel: taps by axis, odd.
        sigma: standard deviations by axis.
        subtract: whether the local mean is taken away.
        divide: whether the local deviation is divided by.
        outside: whether the weight inside divides the deviation as it is, as Torch7 has it, not its square.
        renormalize: whether what lies outside the maps has no weight, so that the rest weighs 1.
        floor: the least deviation; None for the mean of a sample's.
    """

    kernel: Sequence[int]
    sigma: Sequence[float]
    subtract: bool
    divide: bool
    outside: bool
    renormalize: bool
    floor: float | None

    def weights(self, axis: int) -> list[float]:
        """The window along one axis; they sum to 1."""
        reach, sigma = self.kernel[axis] // 2, self.sigma[axis]
        heights = [math.exp(-((place / sigma) ** 2) / 2) for place in range(-reach, reach + 1)]
        total = math.fsum(heights)
        return [height / total for height in heights]
