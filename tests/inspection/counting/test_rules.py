"""Rules of users: how they are given, what they may return, and where they hold."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from striate.inspection.counting.counts import count
from striate.inspection.counting.rules import Cost, Line, forget_rule, register_rule
from striate.inspection.tracing.trace import trace


@torch.library.custom_op("striate_rules::blur", mutates_args=())
def blur(input: Tensor, taps: int) -> Tensor:
    """An operator that nobody knows."""
    return input.clone()


@blur.register_fake
def _(input: Tensor, taps: int) -> Tensor:
    return torch.empty_like(input)


class Blur(nn.Module):
    """A layer of it behind a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Blur the mapped input."""
        blurred: Tensor = blur(self.map(input), 3)
        return blurred


class Renamed(Blur):
    """The same `forward`."""


class Other(Blur):
    """Another `forward`."""

    def forward(self, input: Tensor) -> Tensor:
        """Map only."""
        mapped: Tensor = self.map(input)
        return mapped


@pytest.fixture(params=["striate_rules.blur", "striate_rules::blur", "striate_rules::blur.default"])
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """The operator, as one may write it."""
    yield request.param


def counted(network: nn.Module) -> Any:
    return count(trace(network, [torch.ones(2, 4)]))


def test_rule_of_an_operator(name: str) -> None:
    assert counted(Blur()).missing == ("striate_rules.blur",)
    with register_rule(name, lambda operation: operation.args[1] * operation.outputs[0].shape[0]):
        found = counted(Blur())
        assert (found.macs, found.missing) == (32 + 6, ())
    assert counted(Blur()).missing == ("striate_rules.blur",)


def test_rule_of_a_module_stands_for_all_in_it() -> None:
    with register_rule(Blur, lambda call: {"map": call.module.map.weight.numel(), "blur": call.inputs[0].shape[0]}):
        found = counted(nn.Sequential(Blur(), nn.Linear(4, 1)))
        assert found.calls == {1: Cost(18, 36, (Line("map", 16), Line("blur", 2)))}
        assert (found.macs, found.missing) == (18 + 8, ())
        assert counted(Renamed()).macs == 18
        assert counted(Other()).macs == 32
    assert counted(Renamed()).missing == ("striate_rules.blur",)


def test_rule_of_a_module_in_another_with_a_rule_does_not_count() -> None:
    with register_rule(Blur, lambda call: 7), register_rule(nn.Linear, lambda call: 1000):
        assert counted(Blur()).macs == 7
        assert counted(Other()).macs == 1000


def test_rule_goes_before_ours() -> None:
    with register_rule("aten.mm", lambda operation: 1), register_rule(nn.LSTM, lambda call: 2):
        assert counted(Other()).macs == 1
        assert count(trace(nn.LSTM(3, 4), [torch.ones(5, 2, 3)])).macs == 2


def test_rule_that_cannot_say() -> None:
    with register_rule("striate_rules.blur", lambda operation: None):
        assert counted(Blur()).missing == ("striate_rules.blur",)
    with register_rule(Blur, lambda call: None):
        assert counted(Blur()).missing == ("striate_rules.blur",)


def test_decorator() -> None:
    @register_rule("striate_rules.blur")
    def rule(operation: Any) -> int:
        return 5

    assert rule(None) == 5
    assert counted(Blur()).macs == 32 + 5
    forget_rule("striate_rules::blur")
    assert counted(Blur()).macs == 32


def test_removing_twice_and_after_another() -> None:
    first = register_rule(Blur, lambda call: 1)
    first.remove()
    second = register_rule(Blur, lambda call: 2)
    first.remove()
    assert counted(Blur()).macs == 2
    second.remove()
    with pytest.raises(ValueError, match="Blur has no rule of yours"):
        forget_rule(Blur)


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (3, TypeError, "target must be a class of modules or the name of an operator, got 3"),
        (nn.Module, TypeError, "target must be a class of modules"),
        (nn.Linear(1, 1), TypeError, "target must be a class of modules"),
        (int, TypeError, "target must be a class of modules"),
        ("blur", ValueError, "target must be the name of an operator, as 'aten.cumsum' or 'mylib::blur', got 'blur'"),
        ("a b.c", ValueError, "target must be the name of an operator"),
    ],
)
def test_targets_that_are_none(target: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        register_rule(target, lambda operation: 0)
    with pytest.raises(error, match=message):
        forget_rule(target)


def test_rules_that_are_none() -> None:
    with pytest.raises(TypeError, match="rule must be a function, got 3"):
        register_rule(Blur, 3)  # type: ignore[call-overload]
    with (
        register_rule(Blur, lambda call: 1),
        pytest.raises(ValueError, match="Blur has a rule of yours already: remove it first"),
    ):
        register_rule(Blur, lambda call: 2)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (
            1.5,
            TypeError,
            "the rule of striate_rules.blur must return an integer, a dictionary of them or None, got 1.5",
        ),
        (True, TypeError, "must return an integer"),
        ({"taps": "3"}, TypeError, "must return an integer"),
        ({3: 3}, TypeError, "the rule of striate_rules.blur must name its parts with words, got 3"),
        (-1, ValueError, "the rule of striate_rules.blur must return at least 0, got -1"),
    ],
)
def test_results_that_are_no_count(result: Any, error: type[Exception], message: str) -> None:
    with register_rule("striate_rules.blur", lambda operation: result), pytest.raises(error, match=message):
        counted(Blur())
