"""Every public name says what it takes, gives and raises, and where it comes from; every example runs."""

import doctest
import enum
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import striate
from striate.ops import OPERATORS
from surface import public_methods, public_names

# Where a public function is a method of explaining, and must name its source as operators and networks do.
SOURCED = ("striate.explain.",)


def modules() -> list[str]:
    found = pkgutil.walk_packages(striate.__path__, "striate.")
    return [module.name for module in found]


def documented() -> dict[str, object]:
    """Public classes and functions, and the public methods of the classes."""
    found: dict[str, object] = {}
    for name, value in public_names():
        if inspect.isclass(value) or inspect.isfunction(value):
            found[name] = value
        if inspect.isclass(value):
            found |= {f"{name}.{method}": member for method, member in public_methods(value)}
    return found


def parameters(value: object) -> list[str]:
    if isinstance(value, property):
        return []
    taken = inspect.signature(value).parameters.values()  # type: ignore[arg-type]
    return [parameter.name for parameter in taken if parameter.name not in ("self", "cls")]


def lacking(name: str, value: object) -> Iterator[str]:
    """What the docstring of a public name should have and has not."""
    # Of a method that overrides another, what that one says.
    text = inspect.getdoc(value) or ""
    if not text:
        yield "a docstring"
        return
    for parameter in parameters(value):
        if not re.search(rf"^ {{4}}\*{{0,2}}{parameter}\b.*:", text, re.MULTILINE):
            yield f"{parameter} under Args"
    if inspect.isfunction(value) and inspect.signature(value).return_annotation not in (None, inspect.Signature.empty):
        if "Returns:" not in text:
            yield "Returns"
    is_operator = name.removeprefix("striate.") in set(OPERATORS) - {"explain_dispatch"}
    top_level = name.count(".") == 2 or name.removeprefix("striate.") in OPERATORS
    is_network = inspect.isclass(value) and issubclass(value, nn.Module) and name.startswith("striate.models")
    if top_level and (is_network or is_operator or name.startswith(SOURCED)) and "Source:" not in text:
        yield "Source"
    if top_level and not (inspect.isclass(value) and issubclass(value, enum.Enum)) and ">>>" not in text:
        yield "an example"


@pytest.mark.parametrize(("name", "value"), documented().items(), ids=documented())
def test_public_name_is_documented(name: str, value: object) -> None:
    assert list(lacking(name, value)) == []


@pytest.mark.parametrize("name", modules())
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=flags, extraglobs={"torch": torch})
    assert failed == 0
    assert list(tmp_path.iterdir()) == []


def undocumented(size: int) -> int:
    """Sum."""
    return size


def half_documented(size: int) -> int:
    """Sum.

    Args:
        size: anything.

    Example:
        >>> half_documented(1)
        1
    """
    return size


@pytest.mark.parametrize(
    ("value", "expected"),
    [(undocumented, ["size under Args", "Returns", "Source", "an example"]), (half_documented, ["Returns", "Source"])],
)
def test_the_test_finds_what_is_lacking(value: Callable[[int], int], expected: list[str]) -> None:
    assert list(lacking("striate.explain.name", value)) == expected
