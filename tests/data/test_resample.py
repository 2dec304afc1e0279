import numpy as np
import pytest
import torch
from PIL import Image

from striate.data import resample
from striate.data.resample import conform, recolour


def pictures(*shape: int, high: int = 256) -> torch.Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(0)).to(
        torch.uint8 if high == 256 else torch.int32
    )


def test_values_by_hand():
    picture = torch.tensor([[[0, 10, 20, 30]]], dtype=torch.uint8)
    # The triangle of twice the width weighs 1, 3, 3, 1 over 8, and 3, 3, 1 over 7 at the border.
    assert resample(picture, (1, 2)).tolist() == [[[7, 23]]]
    assert resample(torch.tensor([[[0.0, 1.0]]]), (1, 4)).tolist() == [[[0.0, 0.25, 0.75, 1.0]]]


@pytest.mark.parametrize("size", [(28, 28), (5, 3), (9, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_by_one_gives_the_bits_of_all_at_once(size, channels):
    batch = pictures(300, channels, 8, 9)
    result = resample(batch, size)
    assert result.shape == (300, channels, *size)
    assert torch.equal(result, torch.stack([resample(picture, size) for picture in batch]))


def test_agrees_with_pillow():
    picture = pictures(1, 30, 40)
    image = Image.fromarray(picture[0].numpy()).resize((17, 11), Image.Resampling.BILINEAR)
    difference = resample(picture, (11, 17))[0].int() - torch.from_numpy(np.array(image)).int()
    assert difference.abs().max() <= 1


def test_16_bits_are_kept():
    flat = torch.full((1, 4, 4), 54321, dtype=torch.int32)
    assert resample(flat, (7, 3)).unique().tolist() == [54321]
    assert resample(flat, (7, 3)).dtype == torch.int32


def test_the_same_size_changes_nothing():
    batch = pictures(2, 1, 4, 4)
    assert resample(batch, (4, 4)) is batch


def test_grey_is_that_of_pillow():
    colour = pictures(3, 16, 16)
    image = Image.fromarray(colour.permute(1, 2, 0).numpy()).convert("L")
    assert torch.equal(recolour(colour, 1)[0], torch.from_numpy(np.array(image)))
    assert torch.equal(recolour(recolour(colour, 1), 3)[2], recolour(colour, 1)[0])
    assert recolour(torch.ones(2, 3, 4, 4), 1).equal(torch.ones(2, 1, 4, 4))


def test_8_bits_land_on_the_scale_of_16():
    result = conform(torch.tensor([[[0, 128, 255]]], dtype=torch.uint8), channels=1, peak=65535, size=(1, 3))
    assert result.tolist() == [[[0, 128 * 257, 65535]]]
