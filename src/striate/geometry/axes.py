"""The windows of an operator with several axes, from arguments as PyTorch takes them."""

from collections.abc import Sequence
from typing import TypeVar, cast

from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.geometry.window import Window

_Number = TypeVar("_Number", int, float)


def windows(
    axes: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> tuple[Window, ...]:
    """The windows of an operator, one an axis.

    Args:
        axes: the number of axes, at least 1.
        kernel_size: taps, one number for all axes or one an axis.
        stride: places between placements, likewise.
        padding: a number or a word for all axes, or a tuple with a number, a pair ``(low, high)`` or a word for each.
        dilation: places between taps, one number for all axes or one an axis.
        ceil_mode: whether a last window may hang over the end.

    Returns:
        One window an axis.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range, or has another length than there are axes.

    Example:
        >>> rows, columns = windows(2, 3, padding=("causal", (1, 2)))
        >>> rows.padding, columns.padding
        ('causal', (1, 2))
    """
    check_integer("axes", axes, 1)
    settings = zip(
        _numbers("kernel_size", axes, kernel_size),
        _numbers("stride", axes, stride),
        _paddings(axes, padding),
        _numbers("dilation", axes, dilation),
        strict=True,
    )
    return tuple(Window(*setting, ceil_mode) for setting in settings)


def three(numbers: Sequence[_Number], filler: _Number) -> tuple[_Number, ...]:
    """Numbers along depth, height and width, the filler for axes that there are not."""
    return (filler,) * (3 - len(numbers)) + tuple(numbers)


def _numbers(name: str, axes: int, value: int | Sequence[int]) -> tuple[int, ...]:
    """One number an axis.

    Raises:
        ValueError: if there are too few or too many.
    """
    numbers = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(numbers) != axes:
        raise ValueError(f"{name} must be one number or one an axis ({axes}), got {value!r} with {len(numbers)}")
    for number in numbers:
        check_integer(name, number, 1)
    return numbers


def _paddings(axes: int, padding: Padding | Sequence[Padding]) -> tuple[Padding, ...]:
    """One padding an axis, from any form.

    Raises:
        TypeError: if it is neither a number, nor a word, nor a tuple.
        ValueError: if there are too few or too many.
    """
    if isinstance(padding, int | str):
        return (padding,) * axes
    if not isinstance(padding, Sequence):
        raise TypeError(f"padding must be a number, a word or a tuple of one entry an axis, got {padding!r}")
    entries = tuple(cast(Padding, tuple(entry) if isinstance(entry, list) else entry) for entry in padding)
    if len(entries) == axes:
        return entries
    hint = ""
    if len(entries) == 2 * axes and all(isinstance(entry, int) for entry in entries):
        hint = f"; for pairs (low, high) write {tuple(zip(entries[::2], entries[1::2], strict=True))!r}"
    raise ValueError(f"padding must have one entry an axis ({axes}), got {padding!r} with {len(entries)}{hint}")
