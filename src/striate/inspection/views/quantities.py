"""Numbers and sizes as people read them: 1.85 G, 60.95 MB, 64×112×112."""

import re
from collections.abc import Sequence
from fractions import Fraction

from striate.inspection.report import Total

_STEPS = ((10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
_SHORT = ((", stride ", " s"), (", padding ", " p"), (", dilation ", " d"), (", groups ", " g"))


def short(value: int | None, unit: str = "", digits: int = 3) -> str:
    """A number in three digits and a unit of a thousand: "138 M", "15.5 G", "60.95 MB".

    Args:
        value: the number; None for one that is not known.
        unit: what is counted, behind the prefix.
        digits: how many are shown, of numbers of a thousand and more.

    Returns:
        A text of at most seven characters without the unit; "?" for None.

    Example:
        >>> short(1849688064), short(60_950_432, "B", 4), short(156), short(999_600)
        ('1.85 G', '60.95 MB', '156', '1.00 M')
    """
    if value is None:
        return "?"
    for size, prefix in _STEPS:
        # What rounds up to a thousand goes to the next unit.
        if value >= size * (1 - 0.5 * 10**-digits) and value >= 1000:
            scaled = value / size
            whole = len(str(int(scaled)))
            text = f"{scaled:.{max(digits - whole, 0)}f}"
            if len(text.partition(".")[0]) > whole and digits > whole:
                text = f"{scaled:.{digits - whole - 1}f}"
            return f"{text} {prefix}{unit}"
    return f"{value} {unit}".rstrip()


def product(sides: Sequence[int | Fraction]) -> str:
    """Sizes along axes: "64×112×112"; one number if all of a field are equal, see `square`.

    Args:
        sides: one an axis.

    Returns:
        The sizes with a cross between them.

    Example:
        >>> product((64, 112, 112)), product((Fraction(1, 2), 3))
        ('64×112×112', '1/2×3')
    """
    return "×".join(map(str, sides))


def sample(size: Sequence[int] | None) -> str:
    """The size of one sample, without the batch.

    Args:
        size: with the batch; None where there is no tensor.

    Returns:
        The sizes with a cross between them; "–" for None, "scalar" where nothing but a batch is left.

    Example:
        >>> sample((8, 64, 112, 112)), sample(None), sample((8,))
        ('64×112×112', '–', 'scalar')
    """
    if size is None:
        return "–"
    return product(size[1:]) or "scalar"


def square(sides: Sequence[int | Fraction] | None) -> str:
    """A field or a jump: one number where it is the same along all axes.

    Args:
        sides: one an axis; None where units are not ordered along the axes of the input.

    Returns:
        "212", "3×7×7", or "–" for None.

    Example:
        >>> square((212, 212)), square((3, 7, 7)), square(None)
        ('212', '3×7×7', '–')
    """
    if not sides:
        return "–"
    return str(sides[0]) if len(set(sides)) == 1 else product(sides)


def step(jump: Sequence[int | Fraction] | None) -> str:
    """A jump; units that all see the same have none.

    Args:
        jump: one an axis; None where units are not ordered along the axes of the input.

    Returns:
        "4", "1/2", "2×4", or "–".

    Example:
        >>> step((Fraction(1, 2), Fraction(1, 2))), step((0, 0))
        ('1/2', '–')
    """
    return square(jump) if jump and any(jump) else "–"


def brief(window: str) -> str:
    """A window in letters: "7×7 s2 p3" for "7×7, stride 2, padding 3".

    Args:
        window: in words.

    Returns:
        s for stride, p for padding, d for dilation, g for groups.

    Example:
        >>> brief("7×7, stride 2, padding 3")
        '7×7 s2 p3'
    """
    for long, letter in _SHORT:
        window = window.replace(long, letter)
    return window


def shortened(text: str, width: int) -> str:
    """A text of at most a given width, its middle left out.

    Args:
        text: any.
        width: characters.

    Returns:
        The text, or its ends around "…".

    Example:
        >>> shortened("layer3.12.downsample.0", 14)
        'layer3.…mple.0'
    """
    if len(text) <= width:
        return text
    if width < 2:
        return "…"[:width]
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def visible(text: str) -> str:
    r"""A text in one line, without characters that steer a terminal or turn the direction of writing.

    Args:
        text: any, as the name of a module.

    Returns:
        The text with such characters as escapes.

    Example:
        >>> visible("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def stated(total: Total, unit: str = "") -> str:
    """A total with its state: "15.5 G", "at least 1.20 G", "not known".

    Args:
        total: of a network.
        unit: what is counted.

    Returns:
        The number in short, and what it is if it is not complete.

    Example:
        >>> stated(Total(value=1200, state="lower bound", missing=("aten.foo",)))
        'at least 1.20 k'
    """
    if total.value is None or total.state == "unavailable":
        return "not known"
    number = short(total.value, unit, 4 if unit == "B" else 3)
    return f"at least {number}" if total.state == "lower bound" else number


def reason(total: Total) -> str:
    """Why a total is not complete.

    Args:
        total: of a network.

    Returns:
        "could not count ..."; empty if it is complete.

    Example:
        >>> reason(Total(value=None, state="unavailable", missing=("aten.foo",)))
        'could not count aten.foo'
    """
    if total.state == "complete":
        return ""
    return f"could not count {', '.join(map(visible, total.missing))}" if total.missing else "the run ended before it"


def plain_words(text: str) -> list[str]:
    """The words of an operator's name in small letters: ["conv", "transpose", "2d"] for "ConvTranspose2d".

    Args:
        text: the name of a class or an operation.

    Returns:
        Its words.

    Example:
        >>> plain_words("ConvTranspose2d"), plain_words("max_pool2d")
        (['conv', 'transpose', '2d'], ['max', 'pool', '2d'])
    """
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+d?", text)]
