"""All-CNN-C: convolutions with strides where others pool."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from striate.geometry import Window
from striate.models.builder import builder
from striate.models.network import Network, Stage, check_at_least
from striate.models.picture_size import last_sizes

_WINDOWS = (Window(3, 2, 1), Window(3, 2, 1), Window(3))


@dataclass(frozen=True, slots=True, kw_only=True)
class AllCNNConfig:
    """What can be chosen in an All-CNN-C.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the pictures to expect, at least 9 each; others may come.
        input_dropout: probability of dropping a value of the picture.
        dropout: probability of dropping a unit after each of the two convolutions with strides.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> AllCNNConfig(num_classes=100).input_size
        (32, 32)
    """

    in_channels: int = 3
    num_classes: int = 10
    input_size: tuple[int, int] = (32, 32)
    input_dropout: float = 0.2
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        last_sizes("all_cnn_c", self.input_size, _WINDOWS)


def _bank(*channels: int) -> nn.Sequential:
    """Three 3x3 convolutions, the last with a stride of 2 in place of a pooling."""
    layers: list[nn.Module] = []
    for place, (below, filters) in enumerate(zip(channels, channels[1:], strict=False)):
        layers += [nn.Conv2d(below, filters, 3, stride=1 + place // 2, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class AllCNN(Network):
    """All-CNN-C: nine convolutions and nothing else; two of them have strides where other networks pool.

    The last three, the first of which does not pad, take the place of linear layers; the scores are averages over all
    places, and so pictures may have any size. The last layer is not rectified, as it is in the paper's table: a class
    whose scores are all 0 would learn nothing.

    Sizes for 3x32x32: 96x32x32, 96x32x32, 96x16x16 (`bank1`), 192x16x16, 192x16x16, 192x8x8 (`bank2`), 192x6x6,
    192x6x6 (`bank3`), 10x6x6, 10. Parameters: 1,369,738, the paper's "1.4 million".

    Args:
        config: what can be chosen; see `AllCNNConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Springenberg, Dosovitskiy, Brox and Riedmiller, "Striving for simplicity: the all convolutional net", ICLR 2015
        workshop, https://arxiv.org/abs/1412.6806, tables 1 and 2.

    Example:
        >>> network = AllCNN(AllCNNConfig())
        >>> network(torch.zeros(2, 3, 32, 32)).shape, network(torch.zeros(2, 3, 9, 50)).shape
        (torch.Size([2, 10]), torch.Size([2, 10]))
        >>> sum(parameter.numel() for parameter in network.parameters())
        1369738
    """

    FIRST: ClassVar[str] = "bank1.0"
    LAST: ClassVar[tuple[str, ...]] = ("scores",)

    def __init__(self, config: AllCNNConfig) -> None:
        super().__init__(config)
        self.input_dropout, self.dropout = nn.Dropout(config.input_dropout), nn.Dropout(config.dropout)
        self.bank1 = _bank(config.in_channels, 96, 96, 96)
        self.bank2 = _bank(96, 192, 192, 192)
        self.bank3 = nn.Sequential(
            nn.Conv2d(192, 192, 3), nn.ReLU(inplace=True), nn.Conv2d(192, 192, 1), nn.ReLU(inplace=True)
        )
        self.scores = nn.Conv2d(192, config.num_classes, 1)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        return (
            ("bank1", lambda input: self.bank1(self.input_dropout(input))),
            ("bank2", lambda maps: self.bank2(self.dropout(maps))),
            ("bank3", lambda maps: self.bank3(self.dropout(maps))),
        )

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.scores(maps).mean((2, 3))
        return scores


all_cnn_c = builder("all_cnn_c", AllCNN, AllCNNConfig)
