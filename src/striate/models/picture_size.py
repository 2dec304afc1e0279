"""How large a picture must be for a network's windows, and what is left of it after them."""

from collections.abc import Sequence
from itertools import count

from torch import Tensor

from striate.geometry import Window
from striate.models.input_size import check_input_size


def last_sizes(name: str, sizes: Sequence[int], windows: Sequence[Window]) -> tuple[int, ...]:
    """The sizes that are left after these windows, the same along every axis.

    Raises:
        ValueError: if they are not a height and a width, or nothing is left; the error names the smallest picture.
    """
    check_input_size(tuple(sizes), 2)
    left = tuple(_left(size, windows) for size in sizes)
    if 0 in left:
        least = next(size for size in count(1) if _left(size, windows))
        raise ValueError(f"{name} needs pictures of at least {least}x{least} pixels, got a side of {min(sizes)}")
    return left


def _left(size: int, windows: Sequence[Window]) -> int:
    """The places that are left along one axis; 0 if a window does not fit."""
    for window in windows:
        if not window.fits(size):
            return 0
        size = window.output_size(size)
    return size


def check_size(name: str, input: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The input, if it has the sizes that a network's linear layers are made for.

    Raises:
        ValueError: if it has others.
    """
    if tuple(input.shape[2:]) != sizes:
        made_for, got = "x".join(map(str, sizes)), tuple(input.shape)
        raise ValueError(f"this {name} is made for pictures of {made_for} pixels (input_size), got {got}")
    return input
