"""Copies of what a module holds besides its parameters, buffers and modules."""

import copy
import enum
import functools
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from torch import Tensor, nn

PLAIN = (int, float, str, bool, type(None))
# Whose objects are taken as they are: they may hold files, locks and threads.
_FOREIGN = frozenset({*sys.stdlib_module_names, "numpy", "torch"})


class Copies:
    """Copies of containers, objects and functions, with all that these hold, each made once.

    Args:
        tensor: gives the copy of a tensor, given its name.
        module: gives the copy of a module, likewise.
    """

    def __init__(self, tensor: Callable[[Tensor, str], Tensor], module: Callable[[nn.Module, str], nn.Module]) -> None:
        self._tensor, self._module = tensor, module
        # By the id of what was copied, which is kept, as ids are those of living objects only.
        self._known: dict[int, tuple[object, Any]] = {}

    def known(self, value: object) -> Any:
        """The copy of what was copied before; None if it was not."""
        return self._known.get(id(value), (None, None))[1]

    def remember(self, value: object, copied: Any) -> Any:
        """Note a copy, and return it."""
        self._known[id(value)] = value, copied
        return copied

    def of(self, value: Any, name: str) -> Any:
        """The copy of anything; what holds nothing that changes is its own.

        Args:
            value: what a module holds.
            name: of the module and the attribute, with dots.
        """
        if type(value) in PLAIN:
            return value
        if isinstance(value, Tensor):
            return self._tensor(value, name)
        if isinstance(value, nn.Module):
            return self._module(value, name)
        found = self.known(value)
        if found is not None:
            return found
        rule = _RULES.get(type(value)) or next((r for kind, r in _RULES.items() if isinstance(value, kind)), _object)
        return rule(self, value, name)

    def filled(self, value: Any, copied: Any, name: str) -> Any:
        """A copy with copies of the attributes of what it was copied from."""
        held = getattr(value, "__dict__", None)
        if held:
            vars(copied).update({key: self.of(item, f"{name}.{key}") for key, item in held.items()})
        return copied


def _list(copies: Copies, value: list[Any], name: str) -> Any:
    copied = copies.remember(value, [] if type(value) is list else copy.copy(value))
    list.clear(copied)
    list.extend(copied, (copies.of(item, f"{name}.{place}") for place, item in enumerate(value)))
    return copies.filled(value, copied, name)


def _dict(copies: Copies, value: dict[Any, Any], name: str) -> Any:
    copied = copies.remember(value, copy.copy(value))
    fill = OrderedDict.__setitem__ if isinstance(value, OrderedDict) else dict.__setitem__
    for key, item in value.items():
        fill(copied, key, copies.of(item, f"{name}.{key}"))
    return copies.filled(value, copied, name)


def _deque(copies: Copies, value: deque[Any], name: str) -> Any:
    copied: deque[Any] = copies.remember(value, deque(maxlen=value.maxlen))
    copied.extend(copies.of(item, f"{name}.{place}") for place, item in enumerate(value))
    return copied


def _set(copies: Copies, value: set[Any], name: str) -> Any:
    return copies.remember(value, type(value)(copies.of(item, name) for item in value))


def _tuple(copies: Copies, value: tuple[Any, ...], name: str) -> Any:
    items = [copies.of(item, f"{name}.{place}") for place, item in enumerate(value)]
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def _method(copies: Copies, value: types.MethodType, name: str) -> Any:
    return types.MethodType(value.__func__, copies.of(value.__self__, name))


def _partial(copies: Copies, value: "functools.partial[Any]", name: str) -> Any:
    named = {key: copies.of(item, name) for key, item in value.keywords.items()}
    return functools.partial(copies.of(value.func, name), *(copies.of(item, name) for item in value.args), **named)


def _function(copies: Copies, value: types.FunctionType, name: str) -> Any:
    """A function with copies of what it closes over."""
    uncompiled = getattr(value, "_torchdynamo_orig_callable", None)
    if uncompiled is not None:
        return copies.of(uncompiled, name)
    if _is_foreign(value) or not (value.__closure__ or value.__defaults__ or value.__kwdefaults__):
        return value
    cells = value.__closure__ or ()
    renewed = tuple(copies.known(cell) or copies.remember(cell, types.CellType()) for cell in cells)
    copied = types.FunctionType(value.__code__, value.__globals__, value.__name__, None, renewed)
    copies.remember(value, functools.update_wrapper(copied, value))
    for old, new in zip(cells, renewed, strict=True):
        # An empty cell has no contents.
        for content in _content(old):
            new.cell_contents = copies.of(content, name)
    copied.__defaults__ = copies.of(value.__defaults__, name)
    copied.__kwdefaults__ = copies.of(value.__kwdefaults__, name)
    return copied


def _content(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _object(copies: Copies, value: Any, name: str) -> Any:
    """An object of a class of the user's; others as they are, and what would clean up behind itself."""
    kind = type(value)
    if (
        not getattr(value, "__dict__", None)
        or getattr(kind, "__new__", None) is not object.__new__
        or isinstance(value, enum.Enum)
        or hasattr(kind, "__del__")
        or _is_foreign(kind)
    ):
        return value
    return copies.filled(value, copies.remember(value, object.__new__(kind)), name)


def _namespace(copies: Copies, value: types.SimpleNamespace, name: str) -> Any:
    return copies.filled(value, copies.remember(value, types.SimpleNamespace()), name)


def _is_foreign(value: Any) -> bool:
    return str(value.__module__).partition(".")[0] in _FOREIGN


_Rule: TypeAlias = Callable[[Copies, Any, str], Any]
_RULES: Mapping[type, _Rule] = {
    tuple: _tuple,
    dict: _dict,
    list: _list,
    set: _set,
    frozenset: _set,
    deque: _deque,
    types.FunctionType: _function,
    types.MethodType: _method,
    functools.partial: _partial,
    types.SimpleNamespace: _namespace,
    type: lambda copies, value, name: value,
}
