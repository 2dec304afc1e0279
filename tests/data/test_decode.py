import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate.data import decode
from striate.data.decode import read_header


def encoded(image: Image.Image, kind: str, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(bytes(100))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def test_grey_and_colour_keep_their_values():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    colour = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    assert decode(encoded(Image.fromarray(grey), "PNG")).tolist() == [grey.tolist()]
    assert torch.equal(decode(encoded(Image.fromarray(colour), "PNG")), torch.from_numpy(colour).permute(2, 0, 1))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_grey_of_16_bits_keeps_them(kind):
    values = np.array([[0, 1, 255, 256], [257, 40000, 65534, 65535]], np.uint16)
    picture = decode(encoded(Image.fromarray(values), kind))
    assert picture.dtype == torch.int32
    assert picture.tolist() == [values.tolist()]


def test_big_endian_tiff_keeps_16_bits():
    values = np.array([[1, 40000]], np.uint16)
    strip = values.astype(">u2").tobytes()
    tags = [(256, 2), (257, 1), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, len(strip))]
    directory = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    file = b"MM\0*" + struct.pack(">I", 12) + strip + struct.pack(">H", len(tags)) + directory + b"\0\0\0\0"
    assert decode(io.BytesIO(file)).tolist() == [values.tolist()]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    image = Image.fromarray(np.array([[10, 20, 30], [40, 50, 60]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = torch.tensor([[[10, 20, 30], [40, 50, 60]]], dtype=torch.uint8)
    expected = {
        1: upright,
        2: upright.flip(2),
        3: upright.flip(1, 2),
        4: upright.flip(1),
        5: upright.mT,
        6: upright.mT.flip(2),
        7: upright.mT.flip(1, 2),
        8: upright.mT.flip(1),
    }[orientation]
    for kind in ("PNG", "TIFF"):
        file = encoded(image, kind, exif=exif)
        assert torch.equal(decode(file), expected)
        assert read_header(file).size == tuple(expected.shape[1:])
    photo = encoded(image, "JPEG", exif=exif)
    assert decode(photo).shape == expected.shape
    assert read_header(photo).size == tuple(expected.shape[1:])


def test_a_damaged_exif_block_is_no_obstacle():
    file = encoded(Image.new("L", (3, 2), 7), "JPEG", exif=b"Exif\0\0nonsense that is no TIFF")
    assert decode(file).shape == (1, 2, 3)


def test_palette_transparency_and_other_colour_spaces():
    red = Image.new("RGB", (2, 2), (255, 0, 0))
    assert decode(encoded(red.convert("P"), "PNG"))[:, 0, 0].tolist() == [255, 0, 0]
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    file = encoded(palette, "PNG", transparency=b"\x00\xff")
    assert decode(file)[:, 0].T.tolist() == [[255, 255, 255], [0, 0, 255]]
    assert decode(encoded(Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "TIFF"))[:, 0, 0].tolist() == [255, 0, 0]
    bits = Image.fromarray(np.array([[True, False]]))
    assert decode(encoded(bits, "PNG")).tolist() == [[[255, 0]]]


def test_transparent_pixels_are_laid_over_white():
    assert decode(encoded(Image.new("LA", (1, 1), (0, 0)), "PNG")).tolist() == [[[255]]]
    assert decode(encoded(Image.new("LA", (1, 1), (9, 255)), "PNG")).tolist() == [[[9]]]
    assert decode(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 51)), "PNG")).flatten().tolist() == [204] * 3


def test_the_first_frame_of_an_animation_is_read():
    frames = [Image.new("L", (2, 2), level) for level in (30, 200)]
    file = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(file).unique().tolist() == [30]


@pytest.mark.parametrize(
    ("mode", "channels", "peak"), [("1", 1, 255), ("LA", 1, 255), ("P", 3, 255), ("RGBA", 3, 255), ("I;16", 1, 65535)]
)
def test_the_header_agrees_with_the_picture(mode, channels, peak):
    file = encoded(Image.new(mode, (5, 3)), "PNG")
    header = read_header(file)
    assert (header.channels, header.peak, header.size) == (channels, peak, (3, 5))
    picture = decode(file)
    assert picture.shape == (channels, 3, 5)
    assert picture.dtype == (torch.uint8 if peak == 255 else torch.int32)


def test_a_truncated_jpeg_is_named(tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "cut.jpg"
    whole = encoded(Image.fromarray(noise), "JPEG").getvalue()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.jpg cannot be read as a picture: .*truncated"):
        decode(path)


def test_a_text_named_png_is_named(tmp_path: Path):
    path = tmp_path / "text.png"
    path.write_text("not a picture, whatever its name says")
    with pytest.raises(
        ValueError, match=r"text\.png cannot be read as a picture: it is damaged, or not one of BMP, GIF"
    ):
        decode(path)


def test_an_empty_file_is_named(tmp_path: Path):
    (tmp_path / "nothing.png").touch()
    with pytest.raises(ValueError, match=r"nothing\.png cannot be read as a picture: it is empty"):
        decode(tmp_path / "nothing.png")


@pytest.mark.parametrize("size", [9_500, 60_000])
@pytest.mark.parametrize("limit", [Image.MAX_IMAGE_PIXELS, None])
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, monkeypatch, limit, size):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    (tmp_path / "bomb.png").write_bytes(png_header(size, size))
    for read in (decode, read_header):
        with pytest.raises(
            ValueError, match=rf"bomb\.png cannot be read as a picture: .*({size**2} pixels|{size:,} x {size:,})"
        ):
            read(tmp_path / "bomb.png")


def test_a_large_picture_below_the_limit_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(io.BytesIO(png_header(9_000, 9_000))).size == (9_000, 9_000)


def test_folders_and_pipes_are_no_pictures(tmp_path: Path):
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("folder.png", "pipe.png"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read as a picture: it is not a file"):
            decode(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        decode(tmp_path / "gone.png")


def test_values_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"sea cannot be read as a picture: its values are floating"):
        decode(encoded(Image.new("F", (2, 2)), "TIFF"), name="sea")
    with pytest.raises(ValueError, match="its values 70000 to 70000 do not fit in 0 to 65535"):
        decode(encoded(Image.new("I", (2, 2), 70000), "TIFF"))


def test_formats_that_start_other_programs_are_not_opened():
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(ValueError, match="drawing cannot be read as a picture: it is damaged, or not one of"):
        decode(io.BytesIO(script), name="drawing")
