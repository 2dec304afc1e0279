from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from striate.training.report.pictures import encode_png, encode_sample, filter_sheet, heat_map


@pytest.mark.parametrize("shape", [(1, 1, 1), (64, 3, 3), (8, 8, 1)])
def test_small_samples_keep_every_pixel(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    media, content = encode_sample(picture)
    assert media == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(content))).reshape(shape), picture)


@pytest.mark.parametrize(
    ("shape", "size"), [((500, 1000, 3), (224, 112)), ((65, 65, 1), (65, 65)), ((2, 4000, 1), (224, 1))]
)
def test_large_samples_are_reduced(shape, size):
    media, content = encode_sample(np.full(shape, 90, np.uint8))
    image = Image.open(BytesIO(content))
    assert (media, image.size) == ("image/jpeg", size)
    assert np.abs(np.asarray(image).astype(int) - 90).max() <= 2


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 2)])
def test_other_pictures_are_refused(shape):
    with pytest.raises(ValueError, match=r"must be \(H, W, C\) with C 1 or 3"):
        encode_sample(np.zeros(shape, np.uint8))


def test_grey_filters_have_one_scale_about_zero():
    filters = np.zeros((3, 1, 2, 2), np.float32)
    filters[0, 0, 0, 0], filters[1, 0, 0, 1], filters[2, 0, 1, 1] = -0.5, 0.5, 0.25
    pixels, legend = filter_sheet(filters)
    assert legend.endswith("blue is −0.5, white 0, red +0.5.")
    zoom, gap = 24, 6
    assert pixels.shape == (48, 3 * 48 + 2 * gap, 4)
    tiles = [pixels[:, start : start + 48] for start in (0, 54, 108)]
    assert tiles[0][0, 0].tolist() == [33, 102, 172, 255]
    assert (tiles[0][:zoom, :zoom] == tiles[0][0, 0]).all()
    assert tiles[1][0, zoom].tolist() == [178, 24, 43, 255]
    assert tiles[1][0, zoom - 1].tolist() == [247, 247, 247, 255]
    assert tiles[2][-1, -1].tolist() == np.rint([(247 + 178) / 2, (247 + 24) / 2, (247 + 43) / 2, 255]).tolist()
    assert (pixels[:, 48:54, 3] == 0).all()


def test_filters_on_three_channels_are_colours():
    filters = np.zeros((1, 3, 1, 1), np.float32)
    filters[0, :, 0, 0] = -2.0, 0.0, 2.0
    pixels, legend = filter_sheet(filters)
    assert pixels[0, 0].tolist() == [0, 128, 255, 255]
    assert "black is −2, mid-grey 0, full colour +2" in legend


@pytest.mark.parametrize(
    ("shape", "size", "words"),
    [
        ((6, 1, 5, 5), (60, 6 * 60 + 30), "6 filters of 5 × 5, in their order."),
        ((200, 1, 3, 3), (8 * 63 + 7 * 6, 12 * 63 + 11 * 6), "the first 96 are shown"),
        ((4, 2, 1, 7), (4 * 9 + 18, 2 * 63 + 6), "one row a filter, one column a channel."),
        ((40, 20, 64, 64), (32 * 70 - 6, 16 * 70 - 6), "32 are shown; one row a filter, one column a channel (the"),
    ],
)  # fmt: skip
def test_sheets_have_limits_and_say_so(shape, size, words):
    pixels, legend = filter_sheet(np.ones(shape, np.float32))
    assert pixels.shape[:2] == size and words in legend


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_filters_without_a_scale(value):
    pixels, legend = filter_sheet(np.full((2, 1, 3, 3), value, np.float32))
    assert pixels[0, 0].tolist() == [247, 247, 247, 255]
    assert ("not finite" in legend) is not np.isfinite(value)


def test_a_heat_map_is_transparent_where_it_is_zero():
    pixels = heat_map(np.array([[1.0, 0.0], [0.125, 0.875]]))
    assert pixels[..., 3].tolist() == [[255, 0], [128, round(255 * 0.875 ** (1 / 3))]]
    assert (pixels[0, 0, :3] == pixels[1, 1, :3]).all() and (pixels[0, 1, :3] == pixels[1, 0, :3]).all()
    assert (pixels[0, 0, :3] != pixels[0, 1, :3]).any()
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(encode_png(pixels)))), pixels)
