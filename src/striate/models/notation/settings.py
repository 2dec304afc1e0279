"""What stands behind a word, read as that word's settings."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, get_args

from striate.geometry import Window
from striate.geometry import windows as windows_along
from striate.geometry.padding import PaddingWord
from striate.models.notation.recipe import Recipe
from striate.models.notation.syntax import Item, Layer, Pads, Place, Stride

PADDING_WORDS: tuple[str, ...] = get_args(PaddingWord)
MODES = ("reflect", "replicate", "circular", "learned")
TAPS = 1_000_000
_KINDS = {
    "count": "a whole number from 1",
    "whole": "a whole number from 0",
    "real": "a number",
    "size": "a number or a size as 3x3",
    "pads": "a number, a size as 1x2 or pads as 1:2",
    "table": "lenet5_c3, all, one_to_one or random",
}


class Fault(Exception):
    """What is wrong at a place of the text."""

    def __init__(self, place: Place, message: str) -> None:
        self.place, self.message = place, message
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a word takes, and what it makes.

    Args:
        make: the recipe from the settings.
        takes: what stands behind the word in this order, as `name:kind`; `?` after it may be left out, `*` is many.
        keywords: settings that a word of their own begins, with their kinds.
        flags: words that stand alone.
        windowed: whether it takes a stride, padding words, `pad` and `dilation`.
    """

    make: Callable[["Given"], Recipe]
    takes: tuple[str, ...] = ()
    keywords: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    windowed: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """All words that may stand behind this one."""
        window = (*PADDING_WORDS, "pad", "dilation") if self.windowed else ()
        return (*self.keywords, *self.flags, *window)

    def usage(self, word: str) -> str:
        """What may stand behind it, in a line."""
        shown = [f"[{_named(part)}]" if part[-1] in "?*" else _named(part) for part in self.takes]
        stride = ["[/stride]"] if self.windowed else []
        options = [*self.keywords, *(("pad", "dilation") if self.windowed else ())]
        words = [*self.flags, *(PADDING_WORDS if self.windowed else ())]
        rest = [f"[{name} ...]" for name in options] + ([f"[{' | '.join(words)}]"] if words else [])
        return " ".join([word, *shown, *stride, *rest])


def _named(part: str) -> str:
    return part.partition(":")[0].upper()


@dataclass(slots=True)
class Given:
    """The settings of a layer, and what it reads.

    Args:
        word: of the layer.
        place: of the word.
        shape: channels and sizes of the input.
        classes: what `classes` stands for.
    """

    word: str
    place: Place
    shape: tuple[int, ...]
    classes: int
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    padding_words: list[str] = field(default_factory=list)

    @property
    def channels(self) -> int:
        """Of the input; numbers, where it is flat."""
        return self.shape[0]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the input, without channels."""
        return self.shape[1:]

    @property
    def axes(self) -> int:
        """Of the input: 1, 2 or 3, and 0 where it is flat."""
        return len(self.shape) - 1

    def fail(self, message: str, name: str = "") -> NoReturn:
        """Refuse a setting, or the whole layer.

        Raises:
            Fault: always.
        """
        raise Fault(self.places.get(name, self.place), message)

    def maps(self) -> int:
        """The axes of the input, which must be maps.

        Raises:
            Fault: if it is flat.
        """
        if self.axes == 0:
            self.fail(f"{self.word} reads maps, but {self.channels:,} numbers in a row come: they are flat")
        return self.axes

    def recipe(self, kind: Any, *args: Any, **settings: Any) -> Recipe:
        """A layer that reads the input."""
        return Recipe(kind, args, tuple(settings.items()), sizes=self.sizes)

    def along(self, name: str, default: Any = None) -> Any:
        """A size, as one number where it is one for all axes."""
        value = self.values.get(name, default)
        if isinstance(value, tuple):
            if len(value) != self.axes:
                self.fail(f"{self.word} reads {self.axes} axes, got {len(value)} sizes for {name}", name)
            return value[0] if len(set(value)) == 1 else value
        return value

    @property
    def padding(self) -> Any:
        """As layers take it: a number, a word, or one an axis."""
        if self.padding_words:
            if len(self.padding_words) not in (1, self.axes):
                self.fail(f"one padding word, or one for each of {self.axes} axes, got {len(self.padding_words)}")
            return self.padding_words[0] if len(self.padding_words) == 1 else tuple(self.padding_words)
        value = self.values.get("pad", 0)
        if isinstance(value, Pads):
            sides = value.sides * self.axes if len(value.sides) == 1 else value.sides
            if len(sides) != self.axes:
                self.fail(f"{self.word} reads {self.axes} axes, got {len(sides)} pairs of pads", "pad")
            return sides
        return self.along("pad", 0)

    def windows(self, kernel: str = "kernel", stride: Any = 1) -> tuple[Window, ...]:
        """The windows of the layer, one an axis."""
        return windows_along(
            self.axes, self.along(kernel), self.along("stride", stride), self.padding, self.along("dilation", 1)
        )

    def even_pads(self, kernel: str = "kernel", stride: Any = 1) -> Any:
        """Padding as PyTorch takes it, if it has as much on both sides whatever the size of the input; else None."""
        pads = []
        for window in self.windows(kernel, stride):
            if window.padding in ("same_upper", "same_lower") and window.stride > 1:
                return None
            low, high = window.pads()
            if low != high:
                return None
            pads.append(low)
        return pads[0] if len(set(pads)) == 1 else tuple(pads)


def settings_of(layer: Layer, word: Word, shape: tuple[int, ...], classes: int) -> Given:
    """The settings of a layer, each checked for its kind.

    Raises:
        Fault: if one is unknown, given twice, lacking or of another kind.
    """
    given = Given(layer.word, layer.place, shape, classes)
    waiting, items, keywords = list(word.takes), list(layer.items), keywords_of(word)
    while items:
        item = items.pop(0)
        if isinstance(item.value, Stride):
            if not word.windowed:
                raise Fault(item.place, f"{layer.word} has no stride: {word.usage(layer.word)}")
            steps = item.value.steps
            _put(given, "stride", steps[0] if len(steps) == 1 else steps, item)
        elif isinstance(item.value, str) and item.value in keywords:
            kind = keywords[item.value]
            if not items:
                raise Fault(item.place, f"{item.value} wants {_KINDS[kind]} behind it")
            _put(given, item.value, _checked(items.pop(0), kind, given, item.value), item)
        elif item.value in word.flags:
            given.flags.append(str(item.value))
        elif word.windowed and item.value in PADDING_WORDS:
            given.padding_words.append(str(item.value))
        elif waiting and _could_be(item, waiting[0]):
            name, _, kind = waiting[0].rstrip("?*").partition(":")
            value = _checked(item, kind, given, name)
            if waiting[0].endswith("*"):
                given.values.setdefault(name, []).append(value)
            else:
                _put(given, waiting.pop(0).partition(":")[0], value, item)
        else:
            _refuse(item, layer.word, word)
    for part in waiting:
        if part[-1] not in "?*":
            name, _, kind = part.partition(":")
            raise Fault(layer.place, f"{layer.word} wants {_KINDS[kind]} for {name.upper()}: {word.usage(layer.word)}")
    if given.padding_words and "pad" in given.values:
        given.fail("a padding word and pad cannot go together", "pad")
    return given


def keywords_of(word: Word) -> dict[str, str]:
    """The settings that a word of their own begins, with their kinds."""
    return {**word.keywords, **({"pad": "pads", "dilation": "size"} if word.windowed else {})}


def _could_be(item: Item, part: str) -> bool:
    kind = part.rstrip("?*").partition(":")[2]
    return not isinstance(item.value, str) or item.value == "classes" or kind == "table"


def _put(given: Given, name: str, value: Any, item: Item) -> None:
    if name in given.values:
        raise Fault(item.place, f"{given.word} has its {name} already")
    given.values[name], given.places[name] = value, item.place


def _refuse(item: Item, name: str, word: Word) -> NoReturn:
    usage = word.usage(name)
    if not isinstance(item.value, str):
        raise Fault(item.place, f"{name} takes no further number: {usage}")
    close = difflib.get_close_matches(item.value[:40], word.options)
    hint = f"did you mean {' or '.join(close)}? {usage}" if close else usage
    raise Fault(item.place, f"{item.value[:40]} is no setting of {name}, and no variable: {hint}")


def _checked(item: Item, kind: str, given: Given, name: str) -> Any:
    """The value of an item, if it is of the kind.

    Raises:
        Fault: if it is not.
    """
    value = given.classes if item.value == "classes" else item.value
    whole = isinstance(value, int) and not isinstance(value, bool)
    fits = {
        "count": whole and value >= 1,  # type: ignore[operator]
        "whole": whole,
        "real": isinstance(value, int | float),
        "size": (whole and value >= 1) or (isinstance(value, tuple) and min(value) >= 1),  # type: ignore[operator]
        "pads": whole or isinstance(value, tuple | Pads),
        "table": isinstance(value, str),
    }[kind]
    if not fits or (whole and value < 0):  # type: ignore[operator]
        shown = value if isinstance(value, int | float | str) else "another form"
        raise Fault(item.place, f"{name} of {given.word} is {_KINDS[kind]}, got {shown}")
    if kind == "size" and name != "scale":
        taps = math.prod(value) if isinstance(value, tuple) else value**given.axes  # type: ignore[operator]
        if taps > TAPS:
            raise Fault(item.place, f"a window has at most {TAPS:,} places, got {taps:,}")
    return value
