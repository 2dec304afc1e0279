"""From text to layers, with a place for every fault."""

import difflib
import functools
import math
from importlib import resources
from typing import Any

from striate.models.notation.syntax import (
    Branches,
    Element,
    Group,
    Item,
    Layer,
    NotationError,
    Pads,
    Place,
    Repeat,
    Stack,
    Stride,
)
from striate.models.notation.words import OPTIONS, WORDS

LONGEST, DEEPEST, LARGEST = 20_000, 40, 10**6
_BRANCHES = ("residual", "concat", "sum")
_RESERVED = frozenset((*WORDS, *OPTIONS, *_BRANCHES, "classes"))
# What a reader calls the tokens, in the order in which they are listed.
_TOKENS = {
    "NAME": "a word",
    "INT": "a number",
    "FLOAT": "a number",
    "SIZE": "a size as 3x3",
    "STRIDE": "a stride as /2",
    "PADS": "pads as 1:2",
    "LPAR": "'('",
    "COMMA": "','",
    "RPAR": "')'",
    "VBAR": "'|'",
    "SEMICOLON": "';'",
    "COLON": "':'",
    "EQUAL": "'='",
    "PLUS": "'+'",
    "MINUS": "'-'",
    "STAR": "'*'",
    "OVER": "'//'",
    "$END": "the end",
}


def parse(text: str) -> Stack:
    """Read a text of the notation.

    Args:
        text: at most 20,000 characters, nested at most 40 deep.

    Returns:
        The layers, with numbers in the place of variables.

    Raises:
        NotationError: if the text is none; it shows the place, and what would be legal there.

    Example:
        >>> parse("w = 32; conv 2*w 3x3, relu")[0].items[0].value
        64
    """
    _check_size(text)
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    try:
        tree = _parser().parse(text)
    except UnexpectedToken as error:
        at_end = error.token.type == "$END"
        begin = len(text.rstrip()) if at_end else error.token.start_pos or 0
        what = "the text ends" if at_end else f"{_short(str(error.token))!r} cannot stand"
        place = (begin, begin + (1 if at_end else len(error.token)))
        raise NotationError(text, place, f"{what} here: expected {_legal(error.accepts or error.expected)}") from None
    except UnexpectedCharacters as error:
        begin = error.pos_in_stream or 0
        place = (begin, begin + 1)
        # What lark lists in `allowed` lacks the words of branches, and has what other texts could go on with.
        parser: Any = error.interactive_parser
        fault = f"{text[begin]!r} cannot stand here: expected {_legal(parser.accepts())}"
        raise NotationError(text, place, fault) from None
    return _Reader(text).read(tree)


@functools.cache
def _parser() -> Any:
    """The parser: lark takes a moment to load, and most programs name a network by its name."""
    import lark

    grammar = resources.files(__package__).joinpath("stack.lark").read_text("utf-8")
    return lark.Lark(grammar, parser="lalr", propagate_positions=True)


def _check_size(text: str) -> None:
    """Refuse what a parser would need long for, or much of its stack.

    Raises:
        NotationError: if there is too much of it.
    """
    if len(text) > LONGEST:
        raise NotationError(text[:LONGEST], (0, 1), f"a text has at most {LONGEST:,} characters, got {len(text):,}")
    depth, commented = 0, False
    for place, letter in enumerate(text):
        commented = letter != "\n" and (commented or letter == "#")
        if not commented:
            depth += (letter == "(") - (letter == ")")
        if depth > DEEPEST:
            raise NotationError(text, (place, place + 1), f"parentheses may be nested {DEEPEST} deep")


def _legal(tokens: Any) -> str:
    """Tokens as a reader calls them."""
    known = dict.fromkeys(shown for token, shown in _TOKENS.items() if token in tokens)
    if {"RESIDUAL", "CONCAT", "SUM"} & set(tokens):
        known = {"a layer": None, **{k: None for k in known if k not in ("a word", "a number")}}
    *most, last = known or {"nothing": None}
    return f"{', '.join(most)} or {last}" if most else last


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


def near(word: str, known: Any) -> str:
    """A hint at words that are written alike; empty if there is none."""
    found = difflib.get_close_matches(word[:40].lower(), sorted(known), n=3)
    return f": did you mean {' or '.join(found)}?" if found else ""


class _Reader:
    """Layers from lark's tree, and the variables so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.variables: dict[str, int] = {}

    def read(self, tree: Any) -> Stack:
        *assignments, stack = tree.children
        for assignment in assignments:
            name, value = assignment.children
            if name in _RESERVED:
                self.fail(name, f"{name} is a word of the notation: give the variable another name")
            self.variables[str(name)] = self.number(value)
        return self.stack(stack)

    def stack(self, tree: Any) -> Stack:
        return tuple(self.element(part, None) for part in tree.children)

    def element(self, tree: Any, name: str | None) -> Element:
        place = _place(tree)
        if tree.data == "named":
            label, part = tree.children
            return self.element(part, str(label))
        if tree.data == "repeat":
            count, stack = tree.children
            return Repeat(self.positive(count), self.stack(stack), name, _place(count))
        if tree.data == "branches":
            kind, *stacks = tree.children
            return Branches(str(kind), tuple(map(self.stack, stacks)), name, _place(kind))
        if tree.data == "group":
            return Group(self.stack(tree.children[0]), name, place)
        word, *items = tree.children
        if word not in WORDS:
            self.fail(word, f"there is no word {_short(word)}{near(word, (*WORDS, *_BRANCHES)) or _all_words()}")
        return Layer(str(word), tuple(map(self.item, items)), name, _place(word))

    def item(self, tree: Any) -> Item:
        place = _place(tree)
        (found,) = tree.children
        match tree.data:
            case "real":
                if not math.isfinite(float(found)):
                    self.fail(found, f"{_short(found)} is too large")
                return Item(float(found), place)
            case "size":
                return Item(self.sizes(found, str(found)), place)
            case "stride":
                return Item(Stride(self.sizes(found, found[1:])), place)
            case "pads":
                sides = tuple(self.sizes(found, side, ":") for side in found.split("x"))
                return Item(Pads(tuple((low, high) for low, high in sides)), place)
        name = _only_name(found)
        if name is not None and name not in self.variables:
            return Item(str(name), place)
        return Item(self.number(found), place)

    def sizes(self, token: Any, text: str, by: str = "x") -> tuple[int, ...]:
        return tuple(self.whole(token, side) for side in text.split(by))

    def whole(self, token: Any, digits: str) -> int:
        digits = digits.lstrip("0") or "0"
        if len(digits) > 7 or int(digits) > LARGEST:
            self.fail(token, f"numbers are at most {LARGEST:,}, got {_short(digits)}")
        return int(digits)

    def positive(self, token: Any) -> int:
        count = self.number(token)
        if count < 1:
            self.fail(token, f"a stack is repeated at least once, got {count}")
        return count

    def number(self, tree: Any) -> int:
        """The value of a sum, a product or a number."""
        if not hasattr(tree, "data"):
            return self.atom(tree)
        first, *rest = tree.children
        value = self.number(first)
        for sign, operand in zip(rest[::2], rest[1::2], strict=True):
            other = self.number(operand)
            if sign == "//" and other == 0:
                self.fail(sign, "nothing can be divided by 0")
            value = {"+": value.__add__, "-": value.__sub__, "*": value.__mul__, "//": value.__floordiv__}[sign](other)
            if abs(value) > LARGEST:
                self.fail(tree, f"numbers are at most {LARGEST:,}, got {value:,}")
        return value

    def atom(self, token: Any) -> int:
        if token.type == "INT":
            return self.whole(token, str(token))
        if token not in self.variables:
            if token in _RESERVED:
                known = "known only when the network is built: it stands alone" if token == "classes" else "a word"
                self.fail(token, f"{token} is {known}, not a number")
            hint = near(token, self.variables) or f": write {_short(token)} = 32; before the layers"
            self.fail(token, f"there is no variable {_short(token)}{hint}")
        return self.variables[str(token)]

    def fail(self, tree: Any, fault: str) -> None:
        raise NotationError(self.text, _place(tree), fault)


def _only_name(tree: Any) -> Any:
    """The name that is all of an expression; None if there is more to it."""
    while hasattr(tree, "data"):
        if len(tree.children) != 1:
            return None
        (tree,) = tree.children
    return tree if tree.type == "NAME" else None


def _place(tree: Any) -> Place:
    if hasattr(tree, "data"):
        return (tree.meta.start_pos, tree.meta.end_pos)
    return (tree.start_pos, tree.end_pos)


def _all_words() -> str:
    return f": expected one of {', '.join(sorted((*WORDS, *_BRANCHES)))}"
