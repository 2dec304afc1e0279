import collections
import functools
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from striate.inspection.tracing.shadow import Shadow


class Pair(NamedTuple):
    left: Tensor
    right: int


class Words(dict[str, Any]):
    """A dictionary of the user's, with an attribute."""

    def __init__(self) -> None:
        super().__init__(a=[1])
        self.seen = 0


class Store:
    """An object of the user's."""

    def __init__(self) -> None:
        self.weight, self.calls = torch.ones(3), 0


class Closes:
    """An object that cleans up behind itself."""

    def __init__(self) -> None:
        self.opened = ["file"]

    def __del__(self) -> None:
        self.opened.clear()


class Slotted(nn.Module):
    __slots__ = ("scale",)

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.ones(2)


def copied(held: Any, **others: Any) -> Any:
    """What a module holds, as its copy has it."""
    module = nn.Linear(2, 2)
    module.held = held
    for name, value in others.items():
        setattr(module, name, value)
    return Shadow(module, FakeTensorMode(), lambda *_: None, lambda *_: None).model


def counter() -> Callable[[], int]:
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return count

    return step


def test_containers_keep_their_class_and_what_is_theirs() -> None:
    words = Words()
    counts: Any = collections.defaultdict(list, a=[1])
    found = copied([words, counts, collections.Counter("ab"), Pair(torch.ones(2), 1), frozenset({1})]).held
    assert [type(item) for item in found] == [Words, collections.defaultdict, collections.Counter, Pair, frozenset]
    found[0]["a"].append(2)
    found[0].seen = 1
    found[1]["b"].append(1)
    assert words == {"a": [1]} and words.seen == 0 and dict(counts) == {"a": [1]}
    assert isinstance(found[3].left, FakeTensor) and found[3].right == 1


def test_what_two_hold_is_one_and_cycles_end() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    model = copied(cycle, other=cycle)
    assert model.held is model.other is model.held[0] is not cycle


def test_objects_and_namespaces() -> None:
    store, space = Store(), types.SimpleNamespace(n=0)
    model = copied(store, space=space)
    model.held.calls, model.space.n = 1, 1
    assert store.calls == 0 and space.n == 0
    assert type(model.held) is Store and isinstance(model.held.weight, FakeTensor)


def test_objects_that_clean_up_stay_as_they_are() -> None:
    closes, generator = Closes(), torch.Generator()
    model = copied(closes, generator=generator)
    assert model.held is closes and model.generator is generator


def test_functions_close_over_copies() -> None:
    layer, step = nn.Linear(2, 2), counter()
    model = copied(lambda x: layer(x), step=step, part=functools.partial(torch.add, other=layer.weight))
    inside = model.held.__closure__[0].cell_contents
    assert isinstance(inside, nn.Linear) and inside is not layer
    assert model.part.keywords["other"] is inside.weight
    assert [model.step(), model.step(), step()] == [1, 2, 1]


def test_functions_that_close_over_themselves_or_nothing_yet() -> None:
    def again(n: int) -> int:
        return 0 if n == 0 else 1 + again(n - 1)

    def late() -> int:
        return later  # noqa: F821

    assert copied(again).held(3) == 3
    assert copied(late).held.__closure__ is not None
    if again(0):
        later = 1


def test_slots() -> None:
    model = Slotted()
    found: Any = Shadow(model, FakeTensorMode(), lambda *_: None, lambda *_: None).model
    assert isinstance(found.scale, FakeTensor) and not isinstance(model.scale, FakeTensor)


@pytest.mark.parametrize("own", [nn.Linear.forward, nn.functional.relu, Store, torch.float32, "word", None])
def test_what_holds_nothing_is_its_own_copy(own: object) -> None:
    assert copied(own).held is own
