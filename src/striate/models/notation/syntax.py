"""What a text says: layers, repeats and branches; and the text of that again."""

from dataclasses import dataclass, field
from typing import TypeAlias

Place: TypeAlias = tuple[int, int]
"""Where something begins and ends in the text."""

NOWHERE: Place = (0, 0)


class NotationError(ValueError):
    """A text that is no network: the fault, the line, and a caret under the word.

    Args:
        text: the text.
        place: where the fault begins and ends.
        fault: what is wrong, and what would be right.

    Example:
        >>> print(NotationError("conv 6 5x5, covn 16 5x5", (12, 16), "there is no word covn: did you mean conv?"))
        there is no word covn: did you mean conv?
        line 1: conv 6 5x5, covn 16 5x5
                            ^^^^
    """

    def __init__(self, text: str, place: Place, fault: str) -> None:
        self.text, self.place, self.fault = text, place, fault
        super().__init__(f"{fault}\n{_shown(text, place)}")

    def __reduce__(self) -> tuple[type["NotationError"], tuple[str, Place, str]]:
        return type(self), (self.text, self.place, self.fault)


def _shown(text: str, place: Place, width: int = 100) -> str:
    """The line of a place, or what is near it of a long one, and carets below."""
    begin = min(place[0], len(text))
    first = text.rfind("\n", 0, begin) + 1
    last = text.find("\n", begin)
    line = text[first : len(text) if last < 0 else last]
    column = begin - first
    left = max(0, column - width // 2) if len(line) > width else 0
    shown = "".join(letter if letter.isprintable() else " " for letter in line[left : left + width])
    number = f"line {text.count(chr(10), 0, begin) + 1}: "
    carets = "^" * max(1, min(place[1] - place[0], len(shown) - (column - left)))
    return f"{number}{shown}\n{' ' * (len(number) + column - left)}{carets}"


@dataclass(frozen=True, slots=True)
class Stride:
    """`/2` or `/2x1`."""

    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pads:
    """`1:2` or `0:1x1:2`: places low and high, for all axes or one an axis."""

    sides: tuple[tuple[int, int], ...]


Value: TypeAlias = int | float | str | tuple[int, ...] | Stride | Pads


@dataclass(frozen=True, slots=True)
class Item:
    """What stands behind the word of a layer."""

    value: Value
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Layer:
    """A word and its settings."""

    word: str
    items: tuple[Item, ...] = ()
    name: str | None = None
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Repeat:
    """`3*(...)`: a stack again and again, with weights of its own each time."""

    count: int
    stack: tuple["Element", ...]
    name: str | None = None
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Branches:
    """`residual(...)`, `concat(... | ...)` or `sum(... | ...)`."""

    kind: str
    stacks: tuple[tuple["Element", ...], ...]
    name: str | None = None
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Group:
    """`(...)`: a stack as one layer."""

    stack: tuple["Element", ...]
    name: str | None = None
    place: Place = field(default=NOWHERE, compare=False)


Element: TypeAlias = Layer | Repeat | Branches | Group
Stack: TypeAlias = tuple[Element, ...]


def text_of(stack: Stack) -> str:
    """The canonical text: one line, names for numbers put in, no comments; `parse` gives the stack again.

    Args:
        stack: as `parse` gives it.

    Returns:
        The text.

    Example:
        >>> text_of((Layer("conv", (Item(6), Item((5, 5)), Item("same"))), Layer("relu")))
        'conv 6 5x5 same, relu'
    """
    return ", ".join(map(_element, stack))


def _element(element: Element) -> str:
    name = "" if element.name is None else f"{element.name}: "
    match element:
        case Layer(word, items):
            return name + " ".join((word, *(_value(item.value) for item in items)))
        case Repeat(count, stack):
            return f"{name}{count}*({text_of(stack)})"
        case Branches(kind, stacks):
            return f"{name}{kind}({' | '.join(map(text_of, stacks))})"
        case Group(stack):
            return f"{name}({text_of(stack)})"


def _value(value: Value) -> str:
    match value:
        case Stride(steps):
            return "/" + "x".join(map(str, steps))
        case Pads(sides):
            return "x".join(f"{low}:{high}" for low, high in sides)
        case tuple():
            return "x".join(map(str, value))
        case _:
            return str(value)
