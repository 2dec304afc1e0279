"""What every network has: stages to look at, and a classifier to replace."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor, nn

Stage = Callable[[Tensor], Tensor]


class Config(Protocol):
    """What the config of every network has."""

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        ...

    @property
    def num_classes(self) -> int:
        """Classes to tell apart."""
        ...

    @property
    def input_size(self) -> tuple[int, ...]:
        """Sizes of the input: height and width of pictures; frames, height and width of clips; length of series."""
        ...


class Outputs(NamedTuple):
    """What a network with auxiliary heads gives in training; otherwise it gives the scores alone.

    Args:
        scores: of the classes, `(N, num_classes)`, or `(N, num_classes, *sizes)` for each place.
        auxiliary: the scores of the auxiliary heads, likewise.
        weight: of each auxiliary loss beside the loss of the scores.

    Example:
        >>> Outputs(torch.zeros(1, 10), (torch.zeros(1, 10),), 0.3).weight
        0.3
    """

    scores: Tensor
    auxiliary: tuple[Tensor, ...]
    weight: float


class Network(nn.Module, ABC):
    """A network whose stages follow one another.

    Args:
        config: what can be chosen; kept as `.config`.

    Source:
        Each network names its paper.

    Example:
        >>> from striate.models import create
        >>> network = create("lenet5", num_classes=3)
        >>> {name: tuple(maps.shape[1:]) for name, maps in network.features(torch.zeros(1, 1, 28, 28)).items()}
        {'s2': (6, 14, 14), 's4': (16, 5, 5), 'c5': (120, 1, 1)}
    """

    TAKES: ClassVar[str] = "pictures"
    """What the input is: "pictures" `(N, C, H, W)`, "clips" `(N, C, T, H, W)` or "series" `(N, C, L)`."""

    GIVES: ClassVar[str] = "classes"
    """What the scores are of: "classes" of the whole input, or "maps", classes of every place."""

    FIRST: ClassVar[str]
    """The name of the layer that reads the input."""

    LAST: ClassVar[tuple[str, ...]]
    """The names of the layers that give scores; those of auxiliary heads, which there may be, come after the first."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config: Any = config

    @abstractmethod
    def stages(self) -> Sequence[tuple[str, Stage]]:
        """The stages in their order.

        Returns:
            A name and a function from maps to maps for each; the first reads the input.
        """

    @abstractmethod
    def head(self, maps: Tensor) -> Tensor:
        """Scores from the maps of the last stage.

        Args:
            maps: of the last stage.

        Returns:
            Scores before the softmax, `(N, num_classes)`, or `(N, num_classes, *sizes)` for each place.
        """

    def forward(self, input: Tensor) -> Tensor | Outputs:
        """Scores of the classes.

        Args:
            input: `(N, in_channels, *sizes)`.

        Returns:
            Scores before the softmax, `(N, num_classes)`, or `(N, num_classes, *sizes)` for each place; `Outputs` in
            training, where there are auxiliary heads.
        """
        for _, stage in self.stages():
            input = stage(input)
        return self.head(input)

    def features(self, input: Tensor) -> dict[str, Tensor]:
        """The feature maps of every stage.

        Args:
            input: `(N, in_channels, *sizes)`.

        Returns:
            Maps by the name of the stage, in the order of the stages.
        """
        found = {}
        for name, stage in self.stages():
            found[name] = input = stage(input)
        return found

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the layers that give scores by new ones for another number of classes; all others stay.

        Args:
            num_classes: classes to tell apart, at least 1.

        Raises:
            ValueError: if there is no class.
        """
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}")
        config = dataclasses.replace(self.config, num_classes=num_classes)
        places = [(*name.rpartition(".")[::2], self.get_submodule(name)) for name in self.LAST if self._has(name)]
        layers = [_with_outputs(layer, num_classes) for _, _, layer in places]
        for (parent, child, _), layer in zip(places, layers, strict=True):
            setattr(self.get_submodule(parent), child, layer)
        self.config = config

    def _has(self, name: str) -> bool:
        """Whether there is a module of this name: an auxiliary head may be left out."""
        module: Any = self
        for part in name.split("."):
            module = getattr(module, part, None)
        return module is not None


def _with_outputs(layer: nn.Module, outputs: int) -> nn.Module:
    """A new layer like this one, but for the number of its outputs.

    Raises:
        TypeError: if it is neither linear nor a convolution.
    """
    biased, like = layer.bias is not None, {"device": layer.weight.device, "dtype": layer.weight.dtype}
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, outputs, bias=biased, **like)
    if isinstance(layer, nn.Conv2d | nn.Conv3d):
        settings: Any = (layer.stride, layer.padding, layer.dilation, layer.groups, biased)
        return type(layer)(layer.in_channels, outputs, layer.kernel_size, *settings, **like)  # type: ignore[arg-type]
    raise TypeError(f"a classifier is a linear layer or a convolution, got {type(layer).__name__}")


def check_at_least(least: int, **values: int) -> None:
    """See that options are large enough.

    Raises:
        ValueError: if one is not.
    """
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
