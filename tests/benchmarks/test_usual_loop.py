"""The peer does the work that it is timed for."""

import random

import numpy as np
import pytest
import torch
from benchmarks.peers.usual_loop import Pictures, RandomAffine, seconds_an_epoch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

_GRADIENT = Image.fromarray(np.tile(np.arange(0, 252, 9, dtype=np.uint8), (28, 1)))


def transform(degrees: float = 0.0, translate: float = 0.0, scale: float = 0.0, shear: float = 0.0) -> RandomAffine:
    return RandomAffine(degrees=degrees, translate=translate, scale=scale, shear=shear, mean=0.5, std=0.25)


def test_without_change_the_picture_is_only_normalised() -> None:
    expected = (torch.from_numpy(np.array(_GRADIENT)).float() / 255 - 0.5) / 0.25
    assert torch.allclose(transform()(_GRADIENT), expected.unsqueeze(0))


@pytest.mark.parametrize("change", [{"degrees": 20}, {"translate": 0.2}, {"scale": 0.3}, {"shear": 20}])
def test_each_change_moves_the_picture_at_random(change: dict[str, float]) -> None:
    random.seed(0)
    changed = transform(**change)
    assert not torch.equal(changed(_GRADIENT), changed(_GRADIENT))


def test_shear_leans_vertical_lines_and_leaves_horizontal_ones() -> None:
    random.seed(0)
    rows = np.repeat(np.arange(0, 252, 9, dtype=np.uint8)[:, None], 28, axis=1)
    changed, unchanged = (change(Image.fromarray(rows))[0, :, 9:19] for change in (transform(shear=20), transform()))
    assert torch.equal(changed, unchanged)


def test_the_centre_stays_where_it_is() -> None:
    dot = np.zeros((29, 29), np.uint8)
    dot[14, 14] = 255
    changed = transform(degrees=30, scale=0.2, shear=20)(Image.fromarray(dot))
    assert int(changed.argmax()) == 14 * 29 + 14


def test_it_learns_what_can_be_learnt() -> None:
    torch.manual_seed(0)
    pictures = torch.randn(64, 1, 4, 4)
    labels = (pictures.mean((1, 2, 3)) > 0).long()
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    loader = DataLoader(TensorDataset(pictures, labels), batch_size=16, shuffle=True)
    assert seconds_an_epoch(network, loader, epochs=30, lr=0.1) > 0
    assert (network(pictures).argmax(1) == labels).float().mean() > 0.9


def test_pictures_are_transformed_when_they_are_asked_for() -> None:
    pictures = Pictures([_GRADIENT], [3], transform(degrees=20))
    assert len(pictures) == 1
    assert pictures[0][1] == 3
    assert not torch.equal(pictures[0][0], pictures[0][0])
