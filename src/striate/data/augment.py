"""Small random affine changes of pictures, each a pure function of seed, epoch and sample."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.data.order import uniforms


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """One random affine map a picture, the whole batch at once.

    Args:
        rotation: The most a picture turns, in degrees either way.
        translation: The most it moves along each axis, as a fraction of its size.
        scale: The most it grows or shrinks, as a fraction.
        shear: The most its vertical lines lean, in degrees either way.
        flip: Whether half of the pictures are mirrored left to right.

    Raises:
        ValueError: If a number is negative, `scale` is 1 or more, or `shear` is 90 or more.

    Example:
        >>> import torch
        >>> augment = Augmentation(rotation=15.0)
        >>> augment(torch.rand(2, 1, 28, 28), torch.tensor([5, 8]), seed=0, epoch=0).shape
        torch.Size([2, 1, 28, 28])
    """

    rotation: float = 10.0
    translation: float = 0.08
    scale: float = 0.1
    shear: float = 5.0
    flip: bool = False

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: If one is out of range.
        """
        for name, top in (("rotation", math.inf), ("translation", math.inf), ("scale", 1.0), ("shear", 90.0)):
            if not 0 <= getattr(self, name) < top:
                raise ValueError(f"{name} must be at least 0 and below {top}, got {getattr(self, name)}")

    def __call__(self, pictures: Tensor, samples: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return changed pictures; a sample changes in the same way in whatever batch it is.

        Between pixels the values are interpolated (bilinear); outside the picture those of its border go on.

        Args:
            pictures: `(B, C, H, W)`, float.
            samples: The index of each picture, `(B,)`, int64.
            seed: Any integer.
            epoch: Any integer.

        Returns:
            `(B, C, H, W)`.

        Raises:
            TypeError: If the pictures are integers.
            ValueError: If the shapes do not match.
        """
        if not pictures.is_floating_point():
            raise TypeError(f"pictures must be floating-point (normalised), got {pictures.dtype}")
        if pictures.ndim != 4 or samples.shape != pictures.shape[:1]:
            raise ValueError(
                f"pictures must be (B, C, H, W) and samples (B,), got {tuple(pictures.shape)} and "
                f"{tuple(samples.shape)}"
            )
        height, width = pictures.shape[2:]
        maps = self._maps(samples, height / width, seed=seed, epoch=epoch).to(pictures)
        # Not affine_grid: its matrix product may round otherwise in a batch of another size.
        x = (torch.arange(width).to(pictures) * 2 + 1) / width - 1
        y = ((torch.arange(height).to(pictures) * 2 + 1) / height - 1).unsqueeze(1)
        across, down, shift = maps[..., None, None].unbind(2)
        grid = (across * x + down * y + shift).permute(0, 2, 3, 1)
        return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _maps(self, samples: Tensor, aspect: float, *, seed: int, epoch: int) -> Tensor:
        """Return the affine maps from new to old places, in `grid_sample`'s units, `(B, 2, 3)`, float64."""
        draws = uniforms(samples.cpu(), 6, seed=seed, epoch=epoch)
        rotation, right, down, scale, shear = (draws[:, :5] * 2 - 1).unbind(1)
        angle = rotation * math.radians(self.rotation)
        factor = 1 + scale * self.scale
        lean = torch.tan(shear * math.radians(self.shear))
        mirror = torch.where(draws[:, 5] < 0.5, -1.0, 1.0) if self.flip else 1.0
        cos, sin = torch.cos(angle) / factor, torch.sin(angle) / factor
        # In pixels: mirror · shear · rotation / scale; an axis of the grid is 2 units, whatever its pixels.
        rows = (
            (mirror * (cos + lean * sin), mirror * (lean * cos - sin) * aspect, 2 * self.translation * right),
            (sin / aspect, cos, 2 * self.translation * down),
        )
        return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
