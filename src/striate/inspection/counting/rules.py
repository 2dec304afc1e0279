"""Costs, and the rules by which operators and modules are counted, those of users among them."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from torch import nn

from striate.inspection.tracing.trace import Call, Operation

Counted = int | Mapping[str, int] | None
OperationRule = Callable[[Operation], Counted]
CallRule = Callable[[Call], Counted]
_Rule = TypeVar("_Rule", bound=Callable[..., Counted])
_OPERATOR = re.compile(r"(\w+)(?:\.|::)(\w+(?:\(\))?)")

_of_operators: dict[str, OperationRule] = {}
_of_modules: dict[type[nn.Module], CallRule] = {}


@dataclass(frozen=True, slots=True)
class Line:
    """A part of what something costs.

    Args:
        what: its name, as "sampling".
        macs: its multiply-accumulates.
    """

    what: str
    macs: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What an operation or a call of a module costs.

    Args:
        macs: multiply-accumulates.
        flops: twice as many, always.
        lines: the parts that it consists of; empty for one part without a name.

    Example:
        >>> Cost(9, 18).lines
        ()
    """

    macs: int
    flops: int
    lines: tuple[Line, ...] = ()


class Registration:
    """A rule of a user's, until it is removed; `with` removes it at the end of the block."""

    def __init__(self, target: type[nn.Module] | str, rule: object) -> None:
        self._target, self._rule = target, rule

    def remove(self) -> None:
        """Forget the rule; a second time does nothing."""
        if _held(self._target) is self._rule:
            _forget(self._target)

    def __enter__(self) -> Self:
        """Nothing to do: the rule holds already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        """Forget the rule."""
        self.remove()


@overload
def register_rule(target: type[nn.Module] | str) -> Callable[[_Rule], _Rule]: ...
@overload
def register_rule(target: type[nn.Module] | str, rule: Callable[..., Counted]) -> Registration: ...
def register_rule(
    target: type[nn.Module] | str, rule: Callable[..., Counted] | None = None
) -> Registration | Callable[[_Rule], _Rule]:
    """Say how `striate.inspect` counts an operator, or the calls of a module.

    The rule of a module stands for all that happens in its calls. It holds for subclasses that keep its `forward`. A
    rule of yours goes before one of Striate's; `count_like` knows neither.

    Args:
        target: a class of modules, or the name of an operator: "aten.cumsum", or "mylib.blur" for
            `torch.ops.mylib.blur`; "mylib::blur" is the same.
        rule: for an operator it is given the operation, with `args` and `kwargs`, which hold values with a `shape` in
            place of tensors, and `outputs`; for a module it is given the call, with `module`, `inputs` and `outputs`.
            It returns the multiply-accumulates, or a dictionary of them with a name for each part, or None if it cannot
            say. None here makes `register_rule` a decorator.

    Returns:
        What removes the rule, with `remove()` or at the end of a `with` block; as a decorator, the rule itself.

    Raises:
        TypeError: if the target is neither a class of modules nor a name, or the rule cannot be called.
        ValueError: if the name is no operator's, or the target has a rule of yours already.

    Example:
        >>> import math
        >>> from torch import nn
        >>> class Mix(nn.Linear):
        ...     def forward(self, input):
        ...         return super().forward(input).relu()
        >>> with register_rule(Mix, lambda call: call.inputs[0].shape[0] * call.module.weight.numel()):
        ...     pass
        >>> @register_rule("mylib.blur")
        ... def blur(operation):
        ...     return 9 * math.prod(operation.outputs[0].shape)
        >>> forget_rule("mylib.blur")
    """
    key = _key(target)
    if rule is None:

        def decorate(function: _Rule) -> _Rule:
            _remember(key, function)
            return function

        return decorate
    _remember(key, rule)
    return Registration(key, rule)


def forget_rule(target: type[nn.Module] | str) -> None:
    """Remove a rule that `register_rule` was given.

    Args:
        target: what it was given for.

    Raises:
        TypeError: if the target is neither a class of modules nor a name.
        ValueError: if there is none.

    Example:
        >>> registered = register_rule("mylib.blur", lambda operation: 0)
        >>> forget_rule("mylib.blur")
    """
    key = _key(target)
    if _held(key) is None:
        raise ValueError(f"{_named(key)} has no rule of yours")
    _forget(key)


def rule_of_operator(name: str) -> OperationRule | None:
    """The user's rule of an operator."""
    return _of_operators.get(name)


def rule_of_module(kind: type[nn.Module], ours: Mapping[type[nn.Module], CallRule]) -> CallRule | None:
    """The rule of a class of modules, the user's first, or that of the class whose `forward` it keeps."""
    for base in kind.__mro__:
        if not issubclass(base, nn.Module) or base is nn.Module or base.forward is not kind.forward:
            return None
        rule = _of_modules.get(base) or ours.get(base)
        if rule is not None:
            return rule
    return None


def cost_of(counted: Counted, where: str) -> Cost | None:
    """A cost from what a rule has returned; None if it could not say.

    Raises:
        TypeError: if it returned something else than numbers.
        ValueError: if one is below 0.
    """
    if counted is None:
        return None
    lines = tuple(_lines(counted, where)) if isinstance(counted, Mapping) else ()
    macs = sum(line.macs for line in lines) if lines or isinstance(counted, Mapping) else _macs(counted, where)
    return Cost(macs, 2 * macs, lines)


def _lines(counted: Mapping[str, int], where: str) -> Iterator[Line]:
    for what, macs in counted.items():
        if not isinstance(what, str):
            raise TypeError(f"the rule of {where} must name its parts with words, got {what!r}")
        yield Line(what, _macs(macs, where))


def _macs(counted: Any, where: str) -> int:
    if isinstance(counted, bool) or not isinstance(counted, int):
        raise TypeError(f"the rule of {where} must return an integer, a dictionary of them or None, got {counted!r}")
    if counted < 0:
        raise ValueError(f"the rule of {where} must return at least 0, got {counted}")
    return counted


def _key(target: object) -> type[nn.Module] | str:
    if isinstance(target, type) and issubclass(target, nn.Module) and target is not nn.Module:
        return target
    if not isinstance(target, str):
        raise TypeError(f"target must be a class of modules or the name of an operator, got {target!r}")
    match = _OPERATOR.fullmatch(target.removesuffix(".default"))
    if match is None:
        raise ValueError(f"target must be the name of an operator, as 'aten.cumsum' or 'mylib::blur', got {target!r}")
    return ".".join(match.groups())


def _named(target: type[nn.Module] | str) -> str:
    return target if isinstance(target, str) else target.__name__


def _remember(key: type[nn.Module] | str, rule: object) -> None:
    if not callable(rule):
        raise TypeError(f"rule must be a function, got {rule!r}")
    if _held(key) is not None:
        raise ValueError(f"{_named(key)} has a rule of yours already: remove it first")
    if isinstance(key, str):
        _of_operators[key] = rule
    else:
        _of_modules[key] = rule


def _held(key: type[nn.Module] | str) -> Callable[..., Counted] | None:
    return _of_operators.get(key) if isinstance(key, str) else _of_modules.get(key)


def _forget(key: type[nn.Module] | str) -> None:
    if isinstance(key, str):
        _of_operators.pop(key, None)
    else:
        _of_modules.pop(key, None)
