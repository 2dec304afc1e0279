import math

import pytest
import torch
import torch.nn.functional as F

from striate.data import Augmentation

STILL = {"rotation": 0.0, "translation": 0.0, "scale": 0.0, "shear": 0.0}


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(37, 1, 28, 28), (16, 3, 21, 13)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_sample_changes_in_the_same_way_in_every_batch(shape, layout):
    batch = pictures(*shape).contiguous(memory_format=layout)
    samples = torch.arange(len(batch)) * 7 + 3
    augment = Augmentation(flip=True)
    whole = augment(batch, samples, seed=2, epoch=5)
    for cut in (1, 5):
        parts = [augment(b, s, seed=2, epoch=5) for b, s in zip(batch.split(cut), samples.split(cut), strict=True)]
        assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(whole, augment(batch, samples, seed=2, epoch=6))
    assert not torch.equal(whole, augment(batch, samples, seed=3, epoch=5))


def test_without_change_the_picture_stays():
    batch = pictures(4, 2, 9, 7)
    torch.testing.assert_close(Augmentation(**STILL)(batch, torch.arange(4), seed=0, epoch=0), batch)


def test_half_of_the_pictures_are_mirrored():
    batch = pictures(1, 1, 6, 5).expand(200, -1, -1, -1)
    result = Augmentation(**STILL, flip=True)(batch, torch.arange(200), seed=0, epoch=0)
    mirrored = torch.isclose(result, batch.flip(3), atol=1e-5).all(dim=(1, 2, 3))
    kept = torch.isclose(result, batch, atol=1e-5).all(dim=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 70 < mirrored.sum() < 130


@pytest.mark.parametrize("size", [(20, 20), (12, 30)])
def test_the_maps_keep_to_their_ranges(size):
    height, width = size
    augment = Augmentation(rotation=15.0, translation=0.1, scale=0.2, shear=8.0)
    maps = augment._maps(torch.arange(2000), height / width, seed=0, epoch=0)
    # Back to pixels: an axis of the grid is two units long.
    across = torch.tensor([[1.0, height / width], [width / height, 1.0]])
    linear = maps[:, :, :2] / across
    right, down = maps[:, :, 2].unbind(1)
    angle = torch.atan2(linear[:, 1, 0], linear[:, 1, 1]).rad2deg()
    factor = 1 / linear[:, 1].norm(dim=1)
    lean = (linear[:, 0] * linear[:, 1]).sum(1) * factor**2
    for found, low, high in (
        (angle, -15, 15),
        (factor, 0.8, 1.2),
        (torch.atan(lean).rad2deg(), -8, 8),
        (right, -0.2, 0.2),
        (down, -0.2, 0.2),
    ):
        middle, half = (low + high) / 2, (high - low) / 2
        assert (found - middle).abs().max() <= half + 1e-6
        assert found.max() > middle + 0.99 * half and found.min() < middle - 0.99 * half
        assert abs(found.mean() - middle) < 0.05 * half
    torch.testing.assert_close(torch.linalg.det(linear), factor**-2)


def test_a_turn_keeps_the_proportions_of_an_oblong_picture():
    batch = pictures(1, 1, 8, 16)
    augment = Augmentation(**(STILL | {"rotation": 90.0}))
    maps = augment._maps(torch.tensor([0]), 0.5, seed=0, epoch=0)
    angle = math.atan2(maps[0, 1, 0] * 0.5, maps[0, 1, 1])
    turned = torch.tensor([[math.cos(angle), -math.sin(angle) / 2, 0], [math.sin(angle) * 2, math.cos(angle), 0]])
    grid = F.affine_grid(turned[None], [1, 1, 8, 16], align_corners=False)
    expected = F.grid_sample(batch, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(augment(batch, torch.tensor([0]), seed=0, epoch=0), expected)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"rotation": -1.0}, "rotation must be at least 0 and below inf, got -1.0"),
        ({"scale": 1.0}, "scale must be at least 0 and below 1.0, got 1.0"),
        ({"shear": 90.0}, "shear must be at least 0 and below 90.0, got 90.0"),
        ({"translation": math.nan}, "translation must be at least 0 and below inf, got nan"),
    ],
)
def test_options_out_of_range(option, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**option)


def test_pictures_that_do_not_fit():
    augment = Augmentation()
    with pytest.raises(TypeError, match=r"pictures must be floating-point \(normalised\), got torch.uint8"):
        augment(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.arange(2), seed=0, epoch=0)
    with pytest.raises(ValueError, match=r"samples \(B,\), got \(2, 1, 4, 4\) and \(3,\)"):
        augment(torch.zeros(2, 1, 4, 4), torch.arange(3), seed=0, epoch=0)
