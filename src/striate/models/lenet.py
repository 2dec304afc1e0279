"""LeNet-5 with its original connection table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from typing_extensions import override

from striate import tables
from striate.geometry import Window
from striate.models.builder import builder
from striate.models.network import Network, Stage, check_at_least
from striate.nn.table_conv import TableConv2d

_ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
_POOLINGS = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeNet5Config:
    """What can be chosen in a LeNet-5.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the picture in pixels, at least 12 each.
        activation: the non-linearity; "tanh" is the paper's.
        pooling: the 2x2 reduction after each bank of filters; "average" is nearest to the paper's.
        dropout: probability of dropping a unit before each of the last two linear layers.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> LeNet5Config(num_classes=26).num_classes
        26
    """

    in_channels: int = 1
    num_classes: int = 10
    input_size: tuple[int, int] = (28, 28)
    activation: Literal["tanh", "relu"] = "tanh"
    pooling: Literal["average", "max"] = "average"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        for name, words in (("activation", _ACTIVATIONS), ("pooling", _POOLINGS)):
            if getattr(self, name) not in words:
                raise ValueError(f"{name} must be one of {', '.join(words)}, got {getattr(self, name)!r}")


def _last_size(size: int) -> int:
    """Places of the last pooling's maps along one axis.

    Raises:
        ValueError: if nothing is left of the picture on the way.
    """
    if size < 12:
        raise ValueError(f"lenet5 needs pictures of at least 12x12 pixels, got a side of {size}")
    for window in (Window(5, padding=2), Window(2, 2), Window(5), Window(2, 2)):
        size = window.output_size(size)
    return size


class LeNet5(Network):
    """LeNet-5: three banks of 5x5 filters, two poolings and two linear layers.

    The first bank pads by 2, so that a 28x28 picture is seen as the paper's 32x32. The third layer follows the paper's
    connection table: each of its 16 maps reads 3, 4 or 6 of the 6 maps below, 60 links in all. As in most later
    versions, poolings have no coefficients of their own and the output layer is linear, not Gaussian.

    Sizes for 1x28x28: 6x28x28, 6x14x14, 16x10x10, 16x5x5, 120x1x1, 84, 10. Parameters: 60,806 (156 + 1,516 + 48,120
    + 10,164 + 850). The last bank covers its whole input, whatever the size of the picture.

    Args:
        config: what can be chosen; see `LeNet5Config`.

    Raises:
        ValueError: if the picture is too small for the network or an option is out of its range.

    Source:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of
        the IEEE 86(11), 1998, section II.B and table I.

    Example:
        >>> network = LeNet5(LeNet5Config())
        >>> network(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
        >>> sum(parameter.numel() for parameter in network.parameters())
        60806
    """

    FIRST: ClassVar[str] = "c1"
    LAST: ClassVar[tuple[str, ...]] = ("output",)

    def __init__(self, config: LeNet5Config) -> None:
        super().__init__(config)
        height, width = (_last_size(size) for size in config.input_size)
        self.c1 = nn.Conv2d(config.in_channels, 6, 5, padding=2)
        self.c3 = TableConv2d(tables.lenet5_c3(), 16, 5)
        self.c5 = nn.Conv2d(16, 120, (height, width))
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, config.num_classes)
        self.activation = _ACTIVATIONS[config.activation]()
        self.pooling = _POOLINGS[config.pooling](2)
        self.dropout = nn.Dropout(config.dropout)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        return (
            ("s2", lambda input: self.pooling(self.activation(self.c1(input)))),
            ("s4", lambda maps: self.pooling(self.activation(self.c3(maps)))),
            ("c5", lambda maps: self.activation(self.c5(maps))),
        )

    @override
    def head(self, maps: Tensor) -> Tensor:
        f6 = self.activation(self.f6(self.dropout(maps.flatten(1))))
        scores: Tensor = self.output(self.dropout(f6))
        return scores

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        # Earlier runs hold no table: it was no part of the state.
        if f"{prefix}c3.weight" in state_dict:
            state_dict.setdefault(f"{prefix}c3.table", self.c3.table)
        super()._load_from_state_dict(state_dict, prefix, *others)


lenet5 = builder("lenet5", LeNet5, LeNet5Config)
