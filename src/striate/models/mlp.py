"""A multi-layer perceptron, to compare with."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from torch import Tensor, nn
from typing_extensions import override

from striate.models.builder import builder
from striate.models.input_size import check_input_size
from striate.models.network import Network, Stage, check_at_least
from striate.models.picture_size import check_size

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


@dataclass(frozen=True, slots=True, kw_only=True)
class MLPConfig:
    """What can be chosen in a multi-layer perceptron.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the picture in pixels, at least 1 each.
        hidden: units of each hidden layer, at least one layer.
        activation: the non-linearity of the hidden layers.
        dropout: probability of dropping a hidden unit.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> MLPConfig(hidden=(100, 50)).hidden
        (100, 50)
    """

    in_channels: int = 1
    num_classes: int = 10
    input_size: tuple[int, int] = (28, 28)
    hidden: tuple[int, ...] = (512, 512)
    activation: Literal["relu", "tanh", "sigmoid"] = "relu"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        check_input_size(self.input_size, 2)
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden must have at least one layer, of at least 1 unit each, got {self.hidden}")
        if self.activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(_ACTIVATIONS)}, got {self.activation!r}")


class MLP(Network):
    """A multi-layer perceptron of any depth: every unit reads every number below.

    It knows nothing of neighbours: shuffle the pixels of all pictures alike, and it learns as well. What a convolution
    saves by sharing is what to compare: a network is made for one size of picture, and its first layer alone has
    `channels * height * width * units` weights.

    Sizes for 1x28x28: 512 (`hidden1`), 512 (`hidden2`), 10. Parameters: 669,706 (401,920 + 262,656 + 5,130).

    Args:
        config: what can be chosen; see `MLPConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature 323, 1986;
        rectified as in Glorot, Bordes and Bengio, "Deep sparse rectifier neural networks", AISTATS 2011.

    Example:
        >>> network = MLP(MLPConfig(hidden=(100, 50, 20)))
        >>> network(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
        >>> {name: units.shape[1] for name, units in network.features(torch.zeros(2, 1, 28, 28)).items()}
        {'hidden1': 100, 'hidden2': 50, 'hidden3': 20}
    """

    FIRST: ClassVar[str] = "hidden.0"
    LAST: ClassVar[tuple[str, ...]] = ("output",)

    def __init__(self, config: MLPConfig) -> None:
        super().__init__(config)
        units = (config.in_channels * math.prod(config.input_size), *config.hidden)
        self.hidden = nn.ModuleList(nn.Linear(*sizes) for sizes in zip(units, config.hidden, strict=False))
        self.output = nn.Linear(units[-1], config.num_classes)
        self.activation = _ACTIVATIONS[config.activation]()
        self.dropout = nn.Dropout(config.dropout)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        return [(f"hidden{place + 1}", partial(self._layer, place)) for place in range(len(self.hidden))]

    def _layer(self, place: int, below: Tensor) -> Tensor:
        """The units of a hidden layer."""
        if place == 0:
            below = check_size("mlp", below, self.config.input_size)
        units: Tensor = self.dropout(self.activation(self.hidden[place](below.flatten(1))))
        return units

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.output(maps)
        return scores


mlp = builder("mlp", MLP, MLPConfig)
