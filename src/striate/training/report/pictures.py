"""Pictures made of pixels: samples, first-layer filters, heat maps; and their encoding."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LOSSLESS_SIDE, _LARGEST_SIDE = 64, 224
_FILTER_LIMIT, _CHANNEL_LIMIT = 96, 16
_NEGATIVE, _ZERO, _POSITIVE = np.array([[33, 102, 172], [247, 247, 247], [178, 24, 43]], dtype=np.float64)
_RIGHT, _WRONG = (64, 128, 230), (224, 105, 40)


def encode_sample(picture: NDArray[np.uint8]) -> tuple[str, bytes]:
    """Encode the picture of a sample: small ones as they are, large ones reduced.

    Args:
        picture: `(H, W, C)` with C 1 or 3.

    Returns:
        The media type and the bytes: PNG up to 64 pixels a side, else JPEG of at most 224 pixels a side.

    Raises:
        ValueError: If the picture has another shape.

    Example:
        >>> encode_sample(np.zeros((8, 8, 1), np.uint8))[0]
        'image/png'
    """
    if picture.ndim != 3 or picture.shape[2] not in (1, 3):
        raise ValueError(f"a picture must be (H, W, C) with C 1 or 3, got {picture.shape}")
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    if max(image.size) <= _LOSSLESS_SIDE:
        return "image/png", _saved(image, "PNG")
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.LANCZOS)
    return "image/jpeg", _saved(image, "JPEG")


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels as PNG.

    Args:
        pixels: `(H, W, 4)`: red, green, blue, opacity.

    Returns:
        The bytes of the file.

    Example:
        >>> encode_png(np.zeros((2, 2, 4), np.uint8))[1:4]
        b'PNG'
    """
    return _saved(Image.fromarray(pixels), "PNG")


def filter_sheet(filters: NDArray[np.float32]) -> tuple[NDArray[np.uint8], str]:
    """Lay out the filters of a first layer as one picture.

    All share one scale, symmetric about zero, and each weight is a square of equal pixels. Filters on three channels
    are colours; on any other number, each channel is a picture from blue (negative) by white to red (positive).

    Args:
        filters: Weight `(out, in, kernel height, kernel width)`.

    Returns:
        Pixels `(H, W, 4)`, transparent between the filters, and sentences that say what is shown at what scale.

    Example:
        >>> pixels, legend = filter_sheet(np.ones((6, 1, 5, 5), np.float32))
        >>> legend
        '6 filters of 5 × 5, in their order. One scale for all, symmetric about zero: blue is −1, white 0, red +1.'
    """
    out, channels, height, width = filters.shape
    weights = np.nan_to_num(filters.astype(np.float64), nan=0, posinf=0, neginf=0)
    scale = float(np.abs(weights).max(initial=0)) or 1.0
    weights /= scale
    shown = f"{out:,} filters of {height} × {width}" + (f" on {channels:,} channels" if channels > 1 else "")
    if channels == 3:
        tiles = (weights[:_FILTER_LIMIT].transpose(0, 2, 3, 1) + 1) / 2 * 255
        columns, count = _columns(len(tiles)), len(tiles)
        key = f"the channels are red, green and blue, black is −{scale:.3g}, mid-grey 0, full colour +{scale:.3g}."
    else:
        rows = weights[: _FILTER_LIMIT if channels == 1 else _FILTER_LIMIT // 3, :_CHANNEL_LIMIT]
        count, columns = len(rows), _columns(len(rows)) if channels == 1 else rows.shape[1]
        tile = rows.reshape(-1, height, width, 1)
        tiles = _ZERO + np.maximum(tile, 0) * (_POSITIVE - _ZERO) + np.maximum(-tile, 0) * (_NEGATIVE - _ZERO)
        key = f"blue is −{scale:.3g}, white 0, red +{scale:.3g}."
    legend = f"{shown}, in their order"
    if count < out:
        legend += f"; the first {count} are shown"
    if channels not in (1, 3):
        legend += "; one row a filter, one column a channel"
        legend += f" (the first {_CHANNEL_LIMIT})" if channels > _CHANNEL_LIMIT else ""
    legend += f". One scale for all, symmetric about zero: {key}"
    if not np.isfinite(filters).all():
        legend += " Weights that are not finite are shown as 0."
    return _sheet(np.rint(tiles).astype(np.uint8), columns), legend


def heat_map(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colour a confusion matrix, one pixel an entry: blue on the diagonal, orange off it, transparent where it is zero.

    Opacity is the cube root of the share, so that rare entries can be seen.

    Args:
        shares: `(classes, classes)`, each from 0 to 1.

    Returns:
        Pixels `(classes, classes, 4)`.

    Example:
        >>> heat_map(np.array([[1.0, 0.0], [0.125, 0.875]]))[1, 0].tolist()
        [224, 105, 40, 128]
    """
    pixels = np.empty((*shares.shape, 4), dtype=np.uint8)
    pixels[..., :3] = np.where(np.eye(len(shares), dtype=bool)[..., None], _RIGHT, _WRONG)
    pixels[..., 3] = np.rint(255 * np.cbrt(shares))
    return pixels


def _columns(tiles: int) -> int:
    return min(tiles, 8 if tiles <= 64 else 12)


def _sheet(tiles: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Put tiles `(n, height, width, 3)` in rows, enlarged without smoothing."""
    zoom = min(max(64 // max(tiles.shape[1:3]), 1), 24)
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    height, width, gap = tiles.shape[1], tiles.shape[2], 6
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), dtype=np.uint8)
    for position, tile in enumerate(tiles):
        y, x = position // columns * (height + gap), position % columns * (width + gap)
        sheet[y : y + height, x : x + width, :3] = tile
        sheet[y : y + height, x : x + width, 3] = 255
    return sheet


def _saved(image: Image.Image, form: str) -> bytes:
    buffer = BytesIO()
    image.save(buffer, form, quality=90)
    return buffer.getvalue()
