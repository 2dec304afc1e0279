"""From layers to recipes: every layer is tried without numbers, so that a fault shows its place."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from striate.models.notation.branches import Concat, Residual, Sum
from striate.models.notation.parsing import parse
from striate.models.notation.recipe import Recipe
from striate.models.notation.settings import Fault, keywords_of, settings_of
from striate.models.notation.syntax import (
    Branches,
    Element,
    Group,
    Item,
    Layer,
    NotationError,
    Place,
    Repeat,
    Stack,
    text_of,
)
from striate.models.notation.words import WORDS

MOST_LAYERS, MOST_NUMBERS = 2_000, 10**9
_BRANCHES = {"residual": Residual, "concat": Concat, "sum": Sum}


@dataclass(frozen=True, slots=True)
class Child:
    """A layer of the stack: its module's name, its word, its recipe and what it gives, without samples."""

    name: str
    word: str
    recipe: Recipe
    shape: tuple[int, ...]
    outer: bool
    """Whether it has a place of its own in the text: layers of repeats have not."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A network before it is made: what it reads, its layers, and its numbers that training changes."""

    shape: tuple[int, ...]
    children: tuple[Child, ...]
    parameters: int

    @property
    def given(self) -> tuple[int, ...]:
        """Channels and sizes of what the network gives."""
        return self.children[-1].shape if self.children else self.shape

    def build(self) -> list[tuple[str, nn.Module]]:
        """The layers, with new weights."""
        return [(child.name, child.recipe.build()) for child in self.children]


def input_of(stack: Stack) -> tuple[int, ...] | None:
    """Channels and sizes as the word `input` states them."""
    first = stack[0]
    if isinstance(first, Layer) and first.word == "input" and len(first.items) == 1:
        value = first.items[0].value
        return value if isinstance(value, tuple) else (value,) if isinstance(value, int) else None
    return None


def uses_classes(stack: Sequence[Element]) -> bool:
    """Whether the text says `classes` anywhere."""
    for element in stack:
        match element:
            case Layer(_, items):
                found = any(item.value == "classes" for item in items)
            case Repeat(_, inner) | Group(inner):
                found = uses_classes(inner)
            case Branches(_, stacks):
                found = any(map(uses_classes, stacks))
        if found:
            return True
    return False


@functools.lru_cache(maxsize=64)
def plan(text: str, shape: tuple[int, ...], classes: int) -> Plan:
    """The recipes of a network.

    Args:
        text: of the notation.
        shape: channels and sizes of the input.
        classes: what `classes` stands for.

    Raises:
        NotationError: if a layer cannot be, or is too large; it shows the place.
    """
    stack, planner = parse(text), _Planner(classes)
    try:
        _check_count(stack)
        children, _ = planner.stack(_without_input(stack, shape), shape)
    except Fault as fault:
        raise NotationError(text, fault.place, fault.message) from None
    return Plan(shape, tuple(children), planner.parameters)


def _without_input(stack: Stack, shape: tuple[int, ...]) -> Stack:
    """The layers after `input`: other sizes than the text's may come, but as many.

    Raises:
        Fault: if there are more or fewer.
    """
    first, stated = stack[0], input_of(stack)
    if not (isinstance(first, Layer) and first.word == "input"):
        return stack
    if stated is None or len(stated) > 4 or min(stated) < 1:
        raise Fault(first.place, "input is channels and up to three sizes, as input 3x32x32")
    if len(stated) != len(shape):
        shown = "x".join(map(str, shape))
        raise Fault(stack[0].place, f"input has {len(stated) - 1} axes here, but {shown} comes")
    return stack[1:]


def _count(stack: Stack) -> int:
    """Layers after repeating, counted without repeating."""
    found = 0
    for element in stack:
        match element:
            case Layer():
                found += 1
            case Repeat(count, inner):
                found += count * _count(inner)
            case Branches(_, stacks):
                found += 1 + sum(map(_count, stacks))
            case Group(inner):
                found += 1 + _count(inner)
    return found


def _check_count(stack: Stack) -> None:
    if (found := _count(stack)) > MOST_LAYERS:
        place = max(stack, key=lambda element: _count((element,))).place
        raise Fault(place, f"a network has at most {MOST_LAYERS:,} layers, got {found:,}")


class _Planner:
    """Walks through layers with the sizes that each of them gives."""

    def __init__(self, classes: int) -> None:
        self.classes, self.parameters = classes, 0

    def stack(self, stack: Stack, shape: tuple[int, ...], outer: bool = True) -> tuple[list[Child], tuple[int, ...]]:
        """The layers of a stack, those of repeats one after another."""
        children: list[Child] = []
        self._extend(children, stack, shape, outer)
        return children, children[-1].shape if children else shape

    def _extend(self, children: list[Child], stack: Stack, shape: tuple[int, ...], outer: bool) -> None:
        for element in stack:
            if isinstance(element, Repeat) and element.name is None:
                for _ in range(element.count):
                    self._extend(children, element.stack, shape, False)
                    shape = children[-1].shape
                continue
            name = element.name or str(len(children))
            if any(child.name == name for child in children):
                raise Fault(element.place, f"there are two layers {name}: name the repeat, or only one of them")
            if hasattr(nn.Sequential(), name):
                raise Fault(element.place, f"a layer cannot be named {name}: PyTorch has another use for that name")
            recipe, shape = self._element(element, shape)
            word = element.word if isinstance(element, Layer) else getattr(element, "kind", "group")
            children.append(Child(name, word, recipe, shape, outer))

    def _element(self, element: Element, shape: tuple[int, ...]) -> tuple[Recipe, tuple[int, ...]]:
        match element:
            case Layer():
                return self._layer(element, shape)
            case Repeat(count, inner):
                return self._inner((Repeat(count, inner, place=element.place),), shape)
            case Group(inner):
                return self._inner(inner, shape)
            case Branches():
                return self._branches(element, shape)

    def _inner(self, stack: Stack, shape: tuple[int, ...]) -> tuple[Recipe, tuple[int, ...]]:
        children, after = self.stack(stack, shape, outer=False)
        return Recipe(nn.Sequential, children=tuple((child.name, child.recipe) for child in children)), after

    def _branches(self, element: Branches, shape: tuple[int, ...]) -> tuple[Recipe, tuple[int, ...]]:
        kind, place = element.kind, element.place
        if kind == "residual" and len(element.stacks) > 2:
            raise Fault(place, f"residual has a body and at most one shortcut, got {len(element.stacks)} branches")
        made = [self._inner(stack, shape) for stack in element.stacks]
        names = ("body", "shortcut") if kind == "residual" else tuple(map(str, range(len(made))))
        children = tuple(zip(names, (recipe for recipe, _ in made), strict=False))
        shapes = [after for _, after in made] + ([shape] if kind == "residual" and len(made) == 1 else [])
        first = shapes[0]
        for other in shapes[1:]:
            if other[1:] != first[1:] or (kind != "concat" and other != first):
                shown = " and ".join("x".join(map(str, after)) for after in (first, other))
                hint = ": give a shortcut, as residual(... | conv N 1x1)" if kind == "residual" else ""
                raise Fault(place, f"the branches of {kind} must give the same sizes, got {shown}{hint}")
        after = (sum(each[0] for each in shapes), *first[1:]) if kind == "concat" else first
        _check_numbers(after, place)
        return Recipe(_BRANCHES[kind], children=children, sizes=shape[1:]), after

    def _layer(self, layer: Layer, shape: tuple[int, ...]) -> tuple[Recipe, tuple[int, ...]]:
        if layer.word == "input":
            raise Fault(layer.place, "input stands before all other layers")
        word = WORDS[layer.word]
        try:
            recipe = word.make(settings_of(layer, word, shape, self.classes))
            with torch.device("meta"), torch.no_grad():
                module = recipe.build().eval()
                after = tuple(module(torch.empty(1, *shape)).shape[1:])
        except (ValueError, TypeError, RuntimeError, OverflowError, MemoryError) as error:
            read = "x".join(map(str, shape))
            raise Fault(layer.place, f"{layer.word} cannot read {read}: {_first_line(error)}") from error
        _check_numbers(after, layer.place)
        self.parameters += sum(parameter.numel() for parameter in module.parameters())
        if self.parameters > MOST_NUMBERS:
            fault = f"a network has at most {MOST_NUMBERS:,} parameters, got {self.parameters:,} up to this layer"
            raise Fault(layer.place, fault)
        return recipe, after


def _check_numbers(shape: tuple[int, ...], place: Place) -> None:
    if math.prod(shape) > MOST_NUMBERS:
        raise Fault(place, f"a layer gives at most {MOST_NUMBERS:,} numbers a sample, got {math.prod(shape):,}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:300]


def with_classes(text: str, classes: int) -> str:
    """The text with `classes` for the number of its last layer with weights, and nowhere else.

    Args:
        text: of the notation.
        classes: what `classes` stands for in it.
    """
    stack = list(_numbered(parse(text), classes))
    for place in range(len(stack) - 1, -1, -1):
        element = stack[place]
        if isinstance(element, Layer) and element.word in ("linear", "conv"):
            items = list(element.items)
            items[_first_number(element)] = Item("classes")
            stack[place] = dataclasses.replace(element, items=tuple(items))
            break
    return text_of(tuple(stack))


def _numbered(stack: Stack, classes: int) -> Stack:
    """The stack with a number in the place of `classes`."""
    made: list[Element] = []
    for element in stack:
        match element:
            case Layer(_, items):
                items = tuple(Item(classes) if item.value == "classes" else item for item in items)
                made.append(dataclasses.replace(element, items=items))
            case Repeat(_, inner) | Group(inner):
                made.append(dataclasses.replace(element, stack=_numbered(inner, classes)))
            case Branches(_, stacks):
                made.append(dataclasses.replace(element, stacks=tuple(_numbered(each, classes) for each in stacks)))
    return tuple(made)


def _first_number(layer: Layer) -> int:
    """The place of the first number that stands behind no setting's word."""
    keywords, place = keywords_of(WORDS[layer.word]), 0
    while not isinstance(value := layer.items[place].value, int):
        place += 2 if value in keywords else 1
    return place
