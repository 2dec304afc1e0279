"""The words and forms that padding may take, and the places each of them adds or crops."""

from difflib import get_close_matches
from typing import Literal, TypeAlias, get_args

from striate.geometry.checks import check_integer

PaddingWord: TypeAlias = Literal["valid", "same", "same_upper", "same_lower", "half", "full", "causal"]
Padding: TypeAlias = int | tuple[int, int] | PaddingWord

WORDS: tuple[PaddingWord, ...] = get_args(PaddingWord)
ROUNDING_UP: frozenset[Padding] = frozenset({"same", "same_upper", "same_lower", "causal"})
"""The words whose output is ``ceil(n / stride)``, whatever the kernel."""


def check_padding(padding: object) -> None:
    """Refuse what is no padding of one axis.

    Args:
        padding: an integer, a pair ``(low, high)`` or a word.

    Raises:
        TypeError: if it is none of the three.
        ValueError: if a number is negative, or the word is unknown.
    """
    if isinstance(padding, str):
        if padding not in WORDS:
            near = " or ".join(repr(word) for word in get_close_matches(padding, WORDS))
            raise ValueError(
                f"padding must be an integer, a pair (low, high) or one of {', '.join(WORDS)}, got {padding!r}"
                + (f"; did you mean {near}?" if near else "")
            )
    elif isinstance(padding, tuple):
        if len(padding) != 2:
            raise ValueError(f"padding of one axis must be a pair (low, high), got {padding} of length {len(padding)}")
        check_integer("padding (low)", padding[0], 0)
        check_integer("padding (high)", padding[1], 0)
    elif isinstance(padding, int):
        check_integer("padding", padding, 0)
    else:
        raise TypeError(f"padding must be an integer, a pair (low, high) or a word, got {padding!r}")


def padded_places(padding: Padding, extent: int, stride: int, n: int | None) -> tuple[int, int]:
    """The places added below and above an input.

    Args:
        padding: checked padding of one axis.
        extent: places from the first to the last tap.
        stride: places from one placement to the next.
        n: the input size; only ``same_upper`` and ``same_lower`` with a stride above 1 ask for it.

    Returns:
        The places added low and high.

    Raises:
        ValueError: if the padding depends on the input size and that is None.
    """
    match padding:
        case int():
            return padding, padding
        case (low, high):
            return low, high
        case "valid":
            return 0, 0
        case "half":
            return extent // 2, extent // 2
        case "full":
            return extent - 1, extent - 1
        case "causal":
            return extent - 1, 0
    total = extent - 1
    if padding != "same" and stride > 1:
        if n is None:
            raise ValueError(f"padding {padding!r} with stride {stride} depends on the input size: give it")
        total = max(extent - stride + -n % stride, 0)
    less, more = total // 2, total - total // 2
    return (more, less) if padding == "same_lower" else (less, more)


def cropped_places(padding: Padding, extent: int, stride: int) -> tuple[int, int]:
    """The places a transposed layer takes away from its output; a negative number adds zeros.

    Args:
        padding: checked padding of one axis.
        extent: places from the first to the last tap.
        stride: places from one placement to the next.

    Returns:
        The places cropped low and high.

    Raises:
        ValueError: if the word has no meaning for a transposed layer.
    """
    surplus = extent - stride
    match padding:
        case "same":
            low = max(surplus, 0) // 2
            return low, surplus - low
        case "causal":
            return 0, surplus
        case "same_upper" | "same_lower" | "half" | "full":
            raise ValueError(
                f"padding of a transposed layer must be numbers, 'valid', 'same' or 'causal', got {padding!r}"
            )
    return padded_places(padding, extent, stride, None)
