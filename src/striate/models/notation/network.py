"""A network that a line of text describes."""

import dataclasses
import re
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn
from typing_extensions import override

from striate.models.builder import builder
from striate.models.network import Network, Stage, check_at_least
from striate.models.notation.building import Child, Plan, input_of, plan, uses_classes, with_classes
from striate.models.notation.parsing import parse
from striate.models.notation.syntax import text_of
from striate.models.notation.words import WORDS

NAME = "notation"
"""The name of every network that is written in the notation: its options hold the text."""

_USUAL = (1, 28, 28)
_TAKES = {1: "series", 2: "pictures", 3: "clips"}
_SIGNS = re.compile(r"[,;()*#|=\n]|\dx\d|^\s*\w+\s*:\s")
# Layers that scores may still pass after the one that makes them.
_AFTER = frozenset({"globalavg", "globalmax", "flatten", "softmax", "logsoftmax", "upsample", "identity", "dropout"})


def is_text(name: str) -> bool:
    """Whether a string is a text of the notation, and no network's name.

    Args:
        name: the string.

    Returns:
        True if it has a sign that no name has, or begins with a word of the notation.

    Example:
        >>> is_text("flatten, linear 10"), is_text("linear 10"), is_text("lenet5")
        (True, True, False)
    """
    return bool(_SIGNS.search(name)) or name.split()[:1] != [] and name.split()[0] in WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class NotationConfig:
    """What can be chosen in a network of the notation.

    Args:
        text: the network.
        in_channels: channels of the input; 0 for what `input` says in the text, or 1.
        num_classes: what `classes` stands for, 10 if 0 is given; in a text without it, the channels that it gives.
        input_size: sizes of the input; () for what `input` says in the text, or (28, 28).

    Raises:
        ValueError: if the text is no network, or gives another number of classes.

    Example:
        >>> NotationConfig(text="input 3x8x8, flatten, linear 5").num_classes
        5
    """

    text: str
    in_channels: int = 0
    num_classes: int = 0
    input_size: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_at_least(0, in_channels=self.in_channels, num_classes=self.num_classes)
        stack = parse(self.text)
        channels, *sizes = input_of(stack) or _USUAL
        if len(self.input_size) > 3 or any(size < 1 for size in self.input_size):
            raise ValueError(f"input_size must be up to three sizes, each at least 1, got {self.input_size}")
        object.__setattr__(self, "in_channels", self.in_channels or channels)
        object.__setattr__(self, "input_size", tuple(self.input_size) or tuple(sizes))
        asked = self.num_classes or (10 if uses_classes(stack) else 0)
        found = self._plan(asked or 1).given[0]
        if asked and found != asked:
            raise ValueError(
                f"the network gives {found} scores, but num_classes is {asked}: write classes for the number of its "
                "last layer"
            )
        object.__setattr__(self, "num_classes", found)

    def _plan(self, classes: int) -> Plan:
        return plan(self.text, (self.in_channels, *self.input_size), classes)

    @property
    def plan(self) -> Plan:
        """The layers before they are made."""
        return self._plan(self.num_classes)


class Written(Network):
    """A network that a line of text describes: a stack of layers, with repeats and branches.

    The layers are the children of `layers`, under the names that the text gives them and the numbers of the others, as
    in `torch.nn.Sequential`. Stages are the layers before the maps become numbers in a row; what follows is the head.
    Its sizes are tried without numbers before anything is made: at most 2,000 layers, 10^9 parameters and 10^9 numbers
    of a sample behind any layer.

    Args:
        config: the text and the sizes of the input; see `NotationConfig`.

    Raises:
        ValueError: if the text is no network.

    Source:
        Of the layers, at each in `striate.nn` and `torch.nn`.

    Example:
        >>> network = Written(NotationConfig(text="conv 8 3x3 same /2, relu, flatten, linear classes"))
        >>> network(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
        >>> list(network.features(torch.zeros(2, 1, 28, 28)))
        ['conv1', 'relu1']
    """

    def __init__(self, config: NotationConfig) -> None:
        super().__init__(config)
        made = config.plan
        self.layers = nn.Sequential(OrderedDict(made.build()))
        first = next((name for name, layer in self.named_modules() if layer._parameters and _weighted(layer)), "")
        last = _last(made.children)
        # What the class of other networks knows, the text of each of these says.
        vars(self).update(FIRST=first, LAST=(f"layers.{last.name}",) if last is not None else ())
        vars(self).update(_kind(len(config.input_size), len(made.given) - 1)._asdict())
        self._names = _stage_names(made.children)
        self._cut = _cut(made)

    @override
    def forward(self, input: Tensor) -> Tensor:
        scores: Tensor = self.layers(input)
        return scores

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        return [(name, partial(self._run, place)) for place, name in enumerate(self._names[: self._cut])]

    def _run(self, place: int, maps: Tensor) -> Tensor:
        found: Tensor = self.layers[place](maps)
        return found

    @override
    def head(self, maps: Tensor) -> Tensor:
        for layer in list(self.layers)[self._cut :]:
            maps = layer(maps)
        return maps

    @override
    def reset_classifier(self, num_classes: int) -> None:
        if not self.LAST:
            raise ValueError("this network has no last linear layer or convolution that stands alone in its text")
        before = self.config
        text = with_classes(before.text, before.num_classes)
        text = before.text if text == text_of(parse(before.text)) else text
        if num_classes >= 1:
            dataclasses.replace(before, text=text, num_classes=num_classes)
            self.config = dataclasses.replace(before, text=text, num_classes=before.num_classes)
        super().reset_classifier(num_classes)


def _weighted(layer: nn.Module) -> bool:
    return hasattr(layer, "in_channels") or hasattr(layer, "in_features")


def _last(children: Sequence[Child]) -> Child | None:
    """The layer that gives the scores."""
    for child in reversed(children):
        if child.word in ("linear", "conv"):
            return child if child.outer and child.recipe.kind.__module__.startswith("torch.nn") else None
        if child.word not in _AFTER:
            return None
    return None


def _stage_names(children: Sequence[Child]) -> list[str]:
    """The text's names, and words with a number for the others."""
    counts: Counter[str] = Counter()
    names = []
    for child in children:
        counts[child.word] += child.name.isdecimal()
        names.append(f"{child.word}{counts[child.word]}" if child.name.isdecimal() else child.name)
    return names


def _cut(made: Plan) -> int:
    """Where the head begins: at the first layer that gives numbers in a row, or else at the last layer."""
    flat = next((place for place, child in enumerate(made.children) if len(child.shape) == 1), len(made.children) - 1)
    return flat or len(made.children) - 1


class _Kind(NamedTuple):
    """What a text reads and gives, as networks' classes say it."""

    TAKES: str
    GIVES: str


def _kind(axes: int, given: int) -> _Kind:
    return _Kind(_TAKES.get(axes, "numbers"), "maps" if given else "classes")


notation = builder(NAME, Written, NotationConfig)


def stated_size(text: str) -> tuple[int, ...]:
    """The sizes of the input that a text states, for which it need not be built; (28, 28) if it states none.

    Args:
        text: of the notation.

    Returns:
        The sizes, without channels.

    Raises:
        NotationError: if the text is none.

    Example:
        >>> stated_size("input 3x32x40, flatten, linear classes")
        (32, 40)
    """
    return (input_of(parse(text)) or _USUAL)[1:]


def builder_for(text: str) -> Any:
    """The function that builds the network of a text, as `builder_of` gives it for a name.

    Args:
        text: of the notation.

    Returns:
        The function. Its `.network` says what the text takes; whether it gives scores of classes or of places, only
        the network itself knows, as it follows from the sizes.

    Raises:
        NotationError: if the text is none.

    Example:
        >>> builder_for("input 1x8, flatten, linear 10").network.TAKES
        'series'
    """
    build: Any = builder(NAME, Written, NotationConfig, text=text)
    build.network = _kind(len(stated_size(text)), 0)
    return build
