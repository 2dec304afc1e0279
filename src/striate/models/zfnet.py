"""ZFNet: AlexNet with smaller windows and strides in its first layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from striate.geometry import Window
from striate.models.builder import builder
from striate.models.network import Network, Stage, check_at_least
from striate.models.picture_size import check_size, last_sizes
from striate.nn.local_response_norm import LocalResponseNorm

_POOLING = Window(3, 2, ceil_mode=True)
_WINDOWS = (Window(7, 2, 1), _POOLING, Window(5, 2), _POOLING, _POOLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZFNetConfig:
    """What can be chosen in a ZFNet.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the picture in pixels, at least 47 each.
        dropout: probability of dropping a unit of each of the first two linear layers.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> ZFNetConfig(num_classes=10).input_size
        (224, 224)
    """

    in_channels: int = 3
    num_classes: int = 1000
    input_size: tuple[int, int] = (224, 224)
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        last_sizes("zfnet", self.input_size, _WINDOWS)


class ZFNet(Network):
    """ZFNet: five convolutions, the first with windows of 7x7 and stride 2, three poolings and three linear layers.

    Its authors looked at what AlexNet's first layers had learned, found dead filters and aliasing, and halved the
    stride and the window. There are no groups, and response normalisation follows the first two poolings. The paper
    gives its sizes only: poolings that round up and a first padding of 1 are the settings that lead to them. Nor does
    it give constants of the normalisation: they are AlexNet's. Weights begin as PyTorch's layers do, not all at the
    paper's 0.01.

    Sizes for 3x224x224: 96x110x110, 96x55x55 (`pool1`), 256x26x26, 256x13x13 (`pool2`), 384x13x13 (`conv3`, `conv4`),
    256x6x6 (`pool5`), 4096, 4096, 1000. Parameters: 62,357,608. The first linear layer reads all of the last maps, and
    so a network is made for one size of picture.

    Args:
        config: what can be chosen; see `ZFNetConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
        https://arxiv.org/abs/1311.2901, section 3.1 and figure 3.

    Example:
        >>> network = ZFNet(ZFNetConfig(num_classes=5, input_size=(47, 47)))
        >>> network(torch.zeros(1, 3, 47, 47)).shape
        torch.Size([1, 5])
    """

    FIRST: ClassVar[str] = "conv1"
    LAST: ClassVar[tuple[str, ...]] = ("fc8",)

    def __init__(self, config: ZFNetConfig) -> None:
        super().__init__(config)
        height, width = last_sizes("zfnet", config.input_size, _WINDOWS)
        self.conv1 = nn.Conv2d(config.in_channels, 96, 7, stride=2, padding=1)
        self.conv2 = nn.Conv2d(96, 256, 5, stride=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1)
        self.fc6 = nn.Linear(256 * height * width, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, config.num_classes)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.norm = LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0, alpha_mode="sum")
        self.dropout = nn.Dropout(config.dropout)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        def pool1(input: Tensor) -> Tensor:
            picture = check_size("zfnet", input, self.config.input_size)
            maps: Tensor = self.pool(self.relu(self.conv1(picture)))
            return maps

        return (
            ("pool1", pool1),
            ("pool2", lambda maps: self.pool(self.relu(self.conv2(self.norm(maps))))),
            ("conv3", lambda maps: self.relu(self.conv3(self.norm(maps)))),
            ("conv4", lambda maps: self.relu(self.conv4(maps))),
            ("pool5", lambda maps: self.pool(self.relu(self.conv5(maps)))),
        )

    @override
    def head(self, maps: Tensor) -> Tensor:
        fc6 = self.dropout(self.relu(self.fc6(maps.flatten(1))))
        fc7 = self.dropout(self.relu(self.fc7(fc6)))
        scores: Tensor = self.fc8(fc7)
        return scores


zfnet = builder("zfnet", ZFNet, ZFNetConfig)
