"""Pictures as integer tensors brought to one size, one depth and one number of channels."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Pictures that are turned into float32 at once; bounds the memory, changes no result.
_CHUNK = 256


def resample(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures resampled to `size` by antialiased bilinear interpolation.

    Arrays, digits and files all pass through here, one at a time or many at once with the same bits, so that a picture
    gives the same values wherever it is stored. The proportions are not kept: the whole picture fills `size`.

    Args:
        pictures: `(..., C, H, W)`, uint8, int32 or float32.
        size: `(height, width)` in pixels.

    Returns:
        `(..., C, height, width)` in the dtype of `pictures`; integers are rounded to the nearest.

    Source:
        `torch.nn.functional.interpolate(mode="bilinear", antialias=True)`, whose filter is Pillow's `BILINEAR`.

    Example:
        >>> import torch
        >>> resample(torch.tensor([[[0, 100]]], dtype=torch.uint8), (1, 4)).tolist()
        [[[0, 25, 75, 100]]]
    """
    if pictures.shape[-2:] == size:
        return pictures
    flat = pictures.reshape(-1, *pictures.shape[-3:])
    result = pictures.new_empty((*flat.shape[:2], *size))
    for start in range(0, len(flat), _CHUNK):
        source = flat[start : start + _CHUNK]
        values = F.interpolate(
            source.to(torch.float32), size=size, mode="bilinear", align_corners=False, antialias=True
        )
        result[start : start + _CHUNK] = values if pictures.is_floating_point() else values.round_()
    return result.reshape(*pictures.shape[:-2], *size)


def recolour(pictures: Tensor, channels: int) -> Tensor:
    """Return `(..., C, H, W)` pictures with 1 or 3 channels; grey is ITU-R 601 luma, rounded as Pillow rounds it."""
    if pictures.shape[-3] == channels:
        return pictures
    if channels == 3:
        return pictures.expand(*pictures.shape[:-3], 3, *pictures.shape[-2:])
    red, green, blue = (pictures if pictures.is_floating_point() else pictures.to(torch.int64)).unbind(-3)
    luma = red * 19595 + green * 38470 + blue * 7471
    luma = luma / 65536 if pictures.is_floating_point() else (luma + 32768) >> 16
    return luma.to(pictures.dtype).unsqueeze(-3)


def conform(pictures: Tensor, *, channels: int, peak: float, size: tuple[int, int]) -> Tensor:
    """Return pictures as a network was trained on them: its channels, its scale, its size.

    Args:
        pictures: `(..., C, H, W)`, uint8 in 0..255 or int32 in 0..65535, with 1 or 3 channels.
        channels: 1 (grey, by ITU-R 601 luma) or 3.
        peak: The value of full white wished for: 8-bit pictures become 16-bit ones where it is 65535.
        size: `(height, width)` in pixels.

    Returns:
        `(..., channels, height, width)`.

    Example:
        >>> conform(torch.zeros(3, 8, 8, dtype=torch.uint8), channels=1, peak=255, size=(28, 28)).shape
        torch.Size([1, 28, 28])
    """
    if peak == 65535 and pictures.dtype == torch.uint8:
        pictures = pictures.to(torch.int32) * 257
    return resample(recolour(pictures, channels), size)
