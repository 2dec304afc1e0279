"""The one decoder of picture files; whatever is wrong with a file, the error names it."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

# A closed list: Pillow would hand some other formats (EPS) to outside programs.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

ENDINGS = frozenset(".bmp .dib .gif .jfif .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split())
"""Endings, in lower case, of the files that count as pictures."""

# The number above which Pillow suspects a bomb, kept here because programs often switch Pillow's check off.
_MOST_PIXELS = 89_478_485

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_OPENING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a picture file says of itself before it is decoded; `size` is (height, width) after EXIF orientation."""

    channels: int
    peak: int
    size: tuple[int, int]


def decode(file: str | os.PathLike[str] | BinaryIO, *, name: str | None = None) -> Tensor:
    """Return a picture file as a tensor.

    The EXIF orientation is applied. Palette, CMYK and other colour spaces become RGB, 1-bit pictures become grey.
    Transparent pixels are laid over white, as a browser shows them. Grey with 16 bits keeps all of them; colour with
    16 bits keeps the upper 8. Of an animation the first frame is read.

    Args:
        file: A path, or a file open for reading in binary.
        name: What errors call the file; by default its path.

    Returns:
        `(C, H, W)` with 1 or 3 channels: uint8 in 0..255, or int32 in 0..65535 for 16-bit grey.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is no picture, is damaged or truncated, holds floating-point or 32-bit values, or declares
            more than 89,478,485 pixels (a decompression bomb); no memory is taken for its pixels then.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("L", (4, 2), 255).save(file, "PNG")
        >>> decode(file).shape
        torch.Size([1, 2, 4])
    """
    with _opened(file, name) as image:
        image.load()
        turn = _TURNS.get(_orientation(image))
        values = _values(image.transpose(turn) if turn is not None else image)
    return torch.from_numpy(values).reshape(*values.shape[:2], -1).permute(2, 0, 1).contiguous()


def read_header(file: str | os.PathLike[str] | BinaryIO, *, name: str | None = None) -> Header:
    """Return what `decode` would give, without decoding; errors as those of `decode`."""
    with _opened(file, name) as image:
        # The size of a TIFF is turned already; in a PNG, Pillow would look for EXIF behind the pixels and decode them.
        known = image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info)
        turned = not known and _orientation(image) > 4
        return Header(
            channels=1 if _is_grey(image) else 3,
            peak=65535 if image.mode.startswith("I") else 255,
            size=image.size if turned else image.size[::-1],
        )


# The errors of the body are put into words, too.
@contextmanager
def _opened(file: str | os.PathLike[str] | BinaryIO, name: str | None) -> Iterator[Image.Image]:
    with ExitStack() as stack:
        if isinstance(file, str | os.PathLike):
            name = name or os.fspath(file)
            if Path(file).exists() and not Path(file).is_file():
                raise ValueError(f"{name} cannot be read as a picture: it is not a file")
            stream: BinaryIO = stack.enter_context(open(file, "rb"))
        else:
            name = name or str(getattr(file, "name", "the file"))
            stream = file
        try:
            # The filters of warnings belong to the whole process: one thread at a time.
            with _OPENING, warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = stack.enter_context(Image.open(stream, formats=_FORMATS))
            if image.width * image.height > _MOST_PIXELS:
                raise ValueError(f"its {image.width:,} x {image.height:,} pixels are more than {_MOST_PIXELS:,}")
            yield image
        except UnidentifiedImageError as error:
            damaged = f"it is damaged, or not one of {', '.join(_FORMATS)}"
            why = damaged if stream.seek(0, os.SEEK_END) else "it is empty"
            raise ValueError(f"{name} cannot be read as a picture: {why}") from error
        # Damaged files make Pillow raise nearly anything: OSError, SyntaxError, struct.error, EOFError, IndexError.
        except Exception as error:
            raise ValueError(f"{name} cannot be read as a picture: {str(error) or type(error).__name__}") from error


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) where there is none."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    # A damaged EXIF block says nothing against the pixels.
    except Exception:
        return 1
    return orientation if isinstance(orientation, int) else 1


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")


# (H, W) or (H, W, 3).
def _values(image: Image.Image) -> NDArray[np.uint8] | NDArray[np.int32]:
    if image.mode == "F":
        raise ValueError("its values are floating-point; arrays of such values can be given as an .npz")
    if image.mode.startswith("I"):
        wide = np.array(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise ValueError(f"its values {wide.min()} to {wide.max()} do not fit in 0 to 65535")
        return wide.astype(np.int32)
    mode = "L" if _is_grey(image) else "RGB"
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return np.array(image.convert(mode))
