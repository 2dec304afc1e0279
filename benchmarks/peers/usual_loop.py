"""The training loop of most tutorials: a DataLoader, a transform for each sample, `loss.item()` added up."""

import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset


class RandomAffine:
    """What RandomAffine, ToTensor and Normalize of torchvision do, without torchvision's checks and dispatch.

    Args:
        degrees: the most a picture turns either way, and
        shear: leans either way.
        translate: the most it moves along each axis, as a fraction of its size.
        scale: the most it grows or shrinks, as a fraction.
        mean: of the pixels, subtracted.
        std: of the pixels, divided by.
    """

    def __init__(
        self, *, degrees: float, translate: float, scale: float, shear: float, mean: float, std: float
    ) -> None:
        self.degrees, self.translate, self.scale, self.shear = degrees, translate, scale, shear
        self.mean, self.std = mean, std

    def __call__(self, picture: Image.Image) -> Tensor:
        """Return `(1, H, W)`, float32."""
        width, height = picture.size
        angle = math.radians(random.uniform(-self.degrees, self.degrees))
        shear = math.radians(random.uniform(-self.shear, self.shear))
        size = random.uniform(1 - self.scale, 1 + self.scale)
        right = round(random.uniform(-self.translate, self.translate) * width)
        down = round(random.uniform(-self.translate, self.translate) * height)
        # The inverse of rotation, shear and scale, around the centre.
        cos, sin, lean = math.cos(angle) / size, math.sin(angle) / size, math.tan(shear)
        a, b, c, d = cos - lean * sin, lean * cos + sin, -sin, cos
        x, y = width / 2, height / 2
        rows = (a, b, x - a * (x + right) - b * (y + down), c, d, y - c * (x + right) - d * (y + down))
        moved = picture.transform(picture.size, Image.Transform.AFFINE, rows, resample=Image.Resampling.BILINEAR)
        values = torch.from_numpy(np.array(moved)).unsqueeze(0).to(torch.float32).div_(255)
        return values.sub_(self.mean).div_(self.std)


class Pictures(Dataset[tuple[Tensor, int]]):
    """PIL pictures in memory, each transformed when it is asked for."""

    def __init__(
        self, pictures: Sequence[Image.Image], labels: Sequence[int], transform: Callable[[Image.Image], Tensor]
    ) -> None:
        self.pictures, self.labels, self.transform = pictures, labels, transform

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


def seconds_an_epoch(network: nn.Module, loader: DataLoader[Any], *, epochs: int, lr: float) -> float:
    """Train, and return the mean seconds of an epoch after the first, which starts the workers."""
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    network.train()
    ends = []
    for _ in range(epochs):
        loss_sum, correct = 0.0, 0
        for pictures, labels in loader:
            optimizer.zero_grad(set_to_none=True)
            scores = network(pictures)
            loss = F.cross_entropy(scores, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss_sum += loss.item() * len(labels)
            correct += int((scores.argmax(1) == labels).sum())
        ends.append(time.perf_counter())
    return (ends[-1] - ends[0]) / (epochs - 1)
