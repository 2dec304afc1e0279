"""What pictures weights want: their size, the order of their channels, and what is subtracted and divided by."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Channels = Literal["RGB", "BGR", "L"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

# Longer is no preprocessing: it comes from files of others.
_LONGEST = 10_000
_LARGEST = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a picture becomes the input that weights were trained with.

    The picture is resized, cut out at its middle, brought to `range`, and normalised channel by channel:
    `(value - mean) / std`.

    Args:
        mean: of each channel in `channels`, in units of `range`.
        std: likewise, above 0.
        size: height and width of the input; None for any.
        resize: the shorter side after resizing, or height and width; None to bring the picture to `size` at once.
        channels: their order: "RGB", "BGR", or "L" for grey.
        range: what black and white are before the mean is subtracted: (0, 1), or (0, 255) for bytes as they are.
        interpolation: "nearest", "bilinear", "bicubic" or "lanczos", over all pixels that a smaller one covers.

    Raises:
        ValueError: if a setting is out of its range.

    Example:
        >>> grey = Preprocessing(mean=(0.5,), std=(0.5,), size=(28, 28), channels="L")
        >>> grey(np.full((56, 56), 255, np.uint8)).unique()
        tensor([1.])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None
    resize: int | tuple[int, int] | None = None
    channels: Channels = "RGB"
    range: tuple[float, float] = (0.0, 1.0)
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        for name, words in (("channels", get_args(Channels)), ("interpolation", get_args(Interpolation))):
            if getattr(self, name) not in words:
                raise ValueError(f"{name} must be one of {', '.join(words)}, got {getattr(self, name)!r}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != len(self.channels) or not all(_is_number(value) for value in values):
                raise ValueError(
                    f"{name} must be {len(self.channels)} numbers, one for each of {self.channels}, got {values}"
                )
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, got {self.std}")
        if len(self.range) != 2 or not all(map(_is_number, self.range)) or self.range[0] >= self.range[1]:
            raise ValueError(f"range must be two numbers, the first the less, got {self.range}")
        for name, sides in (("size", self.size), ("resize", self.resize)):
            alone = name == "resize" and _is_side(sides)
            if sides is not None and not alone and not (isinstance(sides, tuple) and _are_sides(sides)):
                raise ValueError(f"{name} must be a height and a width from 1 to {_LARGEST}, got {sides}")
        if self.size is not None and self.resize is not None:
            resized = self.resize if isinstance(self.resize, tuple) else (self.resize, self.resize)
            if resized[0] < self.size[0] or resized[1] < self.size[1]:
                raise ValueError(f"resize must be no less than size, got {self.resize} and {self.size}")

    def __call__(self, picture: Image.Image | np.ndarray[Any, Any] | Tensor) -> Tensor:
        """Make a picture an input.

        Args:
            picture: of PIL, or bytes `(H, W)` or `(H, W, 3)`, red before green before blue.

        Returns:
            `(C, height, width)`, float32.

        Raises:
            TypeError: if the picture is none.
            ValueError: if it has other sizes, or wider numbers than bytes.

        Example:
            >>> Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), size=(2, 2))(Image.new("RGB", (4, 3))).shape
            torch.Size([3, 2, 2])
        """
        image = self._cut(self._resized(_image(picture).convert("L" if self.channels == "L" else "RGB")))
        values: np.ndarray[Any, Any] = np.array(image, dtype=np.float32)
        values = values[..., None] if values.ndim == 2 else values
        if self.channels == "BGR":
            values = values[..., ::-1]
        low, high = self.range
        values = low + values * np.float32((high - low) / 255)
        mean, std = (np.asarray(numbers, dtype=np.float32) for numbers in (self.mean, self.std))
        values = (values - mean) / std
        return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))

    def _resized(self, image: Image.Image) -> Image.Image:
        """The whole picture at another size.

        Raises:
            ValueError: if one side would be very long.
        """
        wished = self.size if self.resize is None else self.resize
        if wished is None:
            return image
        if isinstance(wished, tuple):
            height, width = wished
        else:
            shorter = min(image.size)
            width, height = (int(wished * side / shorter) for side in image.size)
            if max(width, height) > _LARGEST:
                raise ValueError(f"picture of {image.height}x{image.width} is too long to be resized to {wished}")
        method = Image.Resampling[self.interpolation.upper()]
        return image if image.size == (width, height) else image.resize((width, height), method)

    def _cut(self, image: Image.Image) -> Image.Image:
        """The middle of a picture."""
        if self.size is None:
            return image
        height, width = self.size
        # Rounded as torchvision does: a half to the even side.
        top, left = round((image.height - height) / 2), round((image.width - width) / 2)
        return image.crop((left, top, left + width, top + height))

    def for_channels(self, channels: int) -> "Preprocessing | None":
        """The same for a first layer whose filters were summed over three channels and shared out among others.

        Args:
            channels: of the network's input.

        Returns:
            As it is for as many channels; for one, grey pictures with the mean of the means and deviations; otherwise
            None.

        Example:
            >>> Preprocessing(mean=(0.25, 0.5, 0.75), std=(0.5, 0.5, 0.5)).for_channels(1)
            Preprocessing(mean=(0.5,), std=(0.5,), size=None, resize=None, channels='L', range=(0.0, 1.0), ...
        """
        if channels == len(self.channels):
            return self
        if channels != 1:
            return None
        mean, std = (math.fsum(values) / len(values) for values in (self.mean, self.std))
        return dataclasses.replace(self, channels="L", mean=(mean,), std=(std,))

    def to_json(self) -> str:
        """One line, for the metadata of a file under the name `preprocessing`.

        Returns:
            An object with the fields of this class.

        Example:
            >>> import json
            >>> json.loads(Preprocessing(mean=(0.5,), std=(1.0,), channels="L").to_json())["mean"]
            [0.5]
        """
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Preprocessing":
        """What `to_json` wrote.

        Args:
            text: of the metadata of a file.

        Returns:
            The same.

        Raises:
            ValueError: if it is not what was written.

        Example:
            >>> kept = Preprocessing(mean=(0.5,), std=(1.0,), channels="L")
            >>> Preprocessing.from_json(kept.to_json()) == kept
            True
        """
        try:
            found = json.loads(text) if len(text) <= _LONGEST else None
        except (ValueError, RecursionError):
            found = None
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(found, dict) or not {"mean", "std"} <= set(found) <= known:
            raise ValueError(f"preprocessing must be an object with mean, std and others of {sorted(known)}")
        given: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
        try:
            return cls(**given)
        except TypeError as error:
            raise ValueError(f"preprocessing has a value of a wrong type: {error}") from error

    def __str__(self) -> str:
        """In one line."""
        size = "of any size" if self.size is None else "of {}x{}".format(*self.size)
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"{self.channels} {size} from {self.range[0]:g} to {self.range[1]:g}, less {mean}, divided by {std}"


def _image(picture: Any) -> Image.Image:
    """A picture as one of PIL.

    Raises:
        TypeError: if it is none.
        ValueError: if it has other sizes, or wider numbers than bytes, which PIL would cut off at 255.
    """
    if isinstance(picture, Image.Image):
        if picture.mode[:1] in "IF":
            raise ValueError(f"picture must have a byte for each colour, got PIL's mode {picture.mode}: scale it first")
        return picture
    values = picture.detach().cpu().numpy() if isinstance(picture, Tensor) else picture
    if not isinstance(values, np.ndarray) or values.dtype != np.uint8:
        got = f"{type(picture).__name__} of {values.dtype}" if hasattr(values, "dtype") else type(picture).__name__
        raise TypeError(f"picture must be a picture of PIL or bytes (uint8), got {got}")
    grey, colour = values.ndim == 2, values.ndim == 3 and values.shape[2] == 3
    if not (grey or colour) or not values.size:
        raise ValueError(f"picture must be (H, W) or (H, W, 3), got {values.shape}")
    return Image.fromarray(np.ascontiguousarray(values))


def _is_number(value: Any) -> bool:
    """Whether this is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_side(value: Any) -> bool:
    """Whether this is a side of a picture in pixels."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LARGEST


def _are_sides(values: tuple[Any, ...]) -> bool:
    """Whether these are a height and a width."""
    return len(values) == 2 and all(map(_is_side, values))
