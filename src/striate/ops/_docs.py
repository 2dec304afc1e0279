"""Docstrings written once for the one-, two- and three-dimensional form of an operator."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


def documented_like(other: Callable[..., Any]) -> Callable[[_Function], _Function]:
    """Complete a docstring that has a summary and an example with the sections between them of another function's."""
    text = inspect.getdoc(other) or ""
    sections = text[text.find("Args:") : text.find("Example:")]

    def complete(function: _Function) -> _Function:
        summary, _, example = (inspect.getdoc(function) or "").partition("Example:\n")
        function.__doc__ = f"{summary}{sections}Example:\n{example}"
        return function

    return complete
