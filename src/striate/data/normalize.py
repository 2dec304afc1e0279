"""Pictures to numbers around zero, by the mean and the standard deviation of the training part."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from striate.data.batches import batches
from striate.data.dataset import Dataset
from striate.data.source import Part

_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """Subtract the mean of each channel and divide by its standard deviation.

    `dataclasses.asdict` gives plain numbers and `Normalization(**numbers)` takes them back, lists from JSON too.

    Args:
        mean: Of each channel, in units of full white.
        std: Of each channel, in units of full white; 1.0 for a channel that is constant.
        peak: The value of full white.

    Raises:
        ValueError: If the lengths differ, or a deviation or the peak is not positive.

    Example:
        >>> import torch
        >>> normalize = Normalization(mean=(0.5,), std=(0.25,), peak=255.0)
        >>> normalize(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).tolist()
        [[[[-2.0, 2.0]]]]
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    peak: float

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If they cannot be those of a normalization.
        """
        object.__setattr__(self, "mean", tuple(self.mean))
        object.__setattr__(self, "std", tuple(self.std))
        if len(self.mean) != len(self.std) or not all(number > 0 for number in (self.peak, *self.std)):
            raise ValueError(f"expected a mean and a positive std for each channel and a positive peak, got {self}")

    @classmethod
    def of(cls, dataset: Dataset, part: Part = "train", *, workers: int = 0) -> Self:
        """Measure a part of a data set.

        Sums of integers are exact; floats are added in float64 in a fixed order. So the result depends neither on the
        number of workers nor on that of threads.

        Args:
            dataset: The data.
            part: The part to measure.
            workers: Processes that decode pictures.

        Returns:
            The normalization; a constant channel has the deviation 1.

        Raises:
            ValueError: If the part is empty, or a file is damaged.
        """
        pixels = 0
        totals: list[list[int | float]] = [[0, 0] for _ in range(dataset.channels)]
        first = None
        for batch in batches(dataset, part, batch_size=_BATCH, workers=workers):
            values = batch.pictures.numpy()
            values = values.astype(np.float64 if batch.pictures.is_floating_point() else np.int64)
            # Around one of the values, so that nothing cancels and a constant channel has a sum of exactly 0.
            first = values[:1, :, :1, :1].copy() if first is None else first
            values -= first
            pixels += values[:, 0].size
            for total, channel in zip(totals, values.swapaxes(0, 1), strict=True):
                total[0] += channel.sum().item()
                total[1] += (channel * channel).sum().item()
        if first is None:
            raise ValueError(f"the part {part} is empty: there is nothing to measure")
        mean = [(start + total / pixels) / dataset.peak for start, (total, _) in zip(first.flat, totals, strict=True)]
        spread = [math.sqrt(max(0, pixels * square - total * total)) for total, square in totals]
        std = [value / pixels / dataset.peak or 1.0 for value in spread]
        return cls(mean=tuple(map(float, mean)), std=tuple(std), peak=dataset.peak)

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return normalised pictures.

        Args:
            pictures: `(B, C, H, W)` as `Dataset.read` gives them, on any device.

        Returns:
            `(B, C, H, W)`, float32, in PyTorch's channels-last memory format.

        Raises:
            ValueError: If the number of channels is not that of `mean`.
        """
        if pictures.ndim != 4 or pictures.shape[1] != len(self.mean):
            raise ValueError(f"pictures must be (B, {len(self.mean)}, H, W), got {tuple(pictures.shape)}")
        shape = (1, -1, 1, 1)
        mean = torch.tensor(self.mean, dtype=torch.float64).mul_(self.peak).view(shape)
        std = torch.tensor(self.std, dtype=torch.float64).mul_(self.peak).view(shape)
        values = pictures.to(torch.float32, memory_format=torch.channels_last)
        return (values - mean.to(values)).div_(std.to(values))
