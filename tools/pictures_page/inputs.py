"""The pictures that everything is shown on."""

import numpy as np
import torch
from sklearn.datasets import load_digits, load_sample_image
from torch import Tensor


def tower() -> Tensor:
    """The tower of scikit-learn's china.jpg in grey, `(1, 1, 192, 160)`, from 0 (black) to 1 (white), float64."""
    photograph = load_sample_image("china.jpg")[24:408, 48:368]
    grey = photograph.astype(np.float64) @ [0.299, 0.587, 0.114] / 255
    return torch.from_numpy(grey.reshape(192, 2, 160, 2).mean((1, 3))).view(1, 1, 192, 160)


def landscape() -> Tensor:
    """All of china.jpg in grey at half its size, `(1, 1, 213, 320)`, from 0 to 1, float64."""
    photograph = load_sample_image("china.jpg")[:426]
    grey = photograph.astype(np.float64) @ [0.299, 0.587, 0.114] / 255
    return torch.from_numpy(grey.reshape(213, 2, 320, 2).mean((1, 3))).view(1, 1, 213, 320)


def digit(left: int, top: int = 4, size: int = 16) -> Tensor:
    """A handwritten 3 of 8 by 8 pixels on a black ground, `(1, 1, size, size)`, from 0 to 1, float64."""
    bunch = load_digits()
    drawn = bunch.images[np.flatnonzero(bunch.target == 3)[0]] / 16
    ground = torch.zeros(1, 1, size, size, dtype=torch.float64)
    ground[0, 0, top : top + 8, left : left + 8] = torch.from_numpy(drawn)
    return ground
