"""AlexNet: torchvision's, and the paper's with its two groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from striate.geometry import Window
from striate.models.builder import builder
from striate.models.network import Network, Stage, check_at_least
from striate.models.picture_size import check_size, last_sizes
from striate.models.stack import Stack, StackNetwork
from striate.nn.local_response_norm import LocalResponseNorm

_ALEXNET_WINDOWS = (Window(11, 4, 2), Window(3, 2), Window(3, 2), Window(3, 2))
_ALEXNET_2012_WINDOWS = (Window(11, 4), Window(3, 2), Window(3, 2), Window(3, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlexNetConfig:
    """What can be chosen in torchvision's AlexNet.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the pictures to expect, at least 63 each; others may come.
        dropout: probability of dropping a unit before each of the first two linear layers.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> AlexNetConfig(num_classes=10).input_size
        (224, 224)
    """

    in_channels: int = 3
    num_classes: int = 1000
    input_size: tuple[int, int] = (224, 224)
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        last_sizes("alexnet", self.input_size, _ALEXNET_WINDOWS)


class AlexNet(StackNetwork):
    """AlexNet on one machine, as torchvision has it: five convolutions, three poolings, three linear layers.

    Beside the paper of 2012 it has no groups, no response normalisation and fewer filters, as its author had two years
    later (64, 192, 384, 256 and 256 instead of 96, 256, 384, 384 and 256). The maps are averaged to 6x6 whatever the
    size of the picture.

    Sizes for 3x224x224: 64x27x27 (`pool1`), 192x13x13 (`pool2`), 384x13x13 (`conv3`), 256x13x13 (`conv4`), 256x6x6
    (`pool5`), 4096, 4096, 1000. Parameters: 61,100,840. Names and weights are torchvision's.

    Args:
        config: what can be chosen; see `AlexNetConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014,
        https://arxiv.org/abs/1404.5997; torchvision's `models/alexnet.py`.

    Example:
        >>> network = AlexNet(AlexNetConfig(num_classes=5, input_size=(63, 63))).eval()
        >>> network(torch.zeros(1, 3, 63, 63)).shape
        torch.Size([1, 5])
        >>> network.features(torch.zeros(1, 3, 127, 127))["pool5"].shape
        torch.Size([1, 256, 3, 3])
    """

    FIRST: ClassVar[str] = "features.0"
    LAST: ClassVar[tuple[str, ...]] = ("classifier.6",)

    def __init__(self, config: AlexNetConfig) -> None:
        layers = (
            nn.Conv2d(config.in_channels, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        super().__init__(config, Stack(layers, {"pool1": 3, "pool2": 6, "conv3": 8, "conv4": 10, "pool5": 13}))
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(inplace=True),
            nn.Dropout(config.dropout), nn.Linear(4096, 4096), nn.ReLU(inplace=True),
            nn.Linear(4096, config.num_classes),
        )  # fmt: skip

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.avgpool(maps).flatten(1))
        return scores


alexnet = builder("alexnet", AlexNet, AlexNetConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlexNet2012Config:
    """What can be chosen in the AlexNet of 2012.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the picture in pixels, at least 67 each.
        groups: into how many branches, which do not see one another, the second, fourth and fifth convolutions are
            divided: 2 in the paper, 1 for one branch; a divisor of 32.
        dropout: probability of dropping a unit of each of the first two linear layers.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> AlexNet2012Config(groups=1).input_size
        (227, 227)
    """

    in_channels: int = 3
    num_classes: int = 1000
    input_size: tuple[int, int] = (227, 227)
    groups: int = 2
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes, groups=self.groups)
        if 32 % self.groups:
            raise ValueError(f"groups must divide 32, got {self.groups}")
        last_sizes("alexnet_2012", self.input_size, _ALEXNET_2012_WINDOWS)


def _normalization() -> LocalResponseNorm:
    """The paper's response normalisation."""
    return LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0, alpha_mode="sum")


class AlexNet2012(Network):
    """AlexNet as the paper has it: 96 filters of 11x11, two groups, response normalisation, overlapping pooling.

    The two groups are the halves that lay on two graphics cards: the second, fourth and fifth convolutions read their
    own half of the maps, the third reads all. Response normalisation follows the first two rectifications, and pooling
    follows it. The pictures are of 227 pixels: with the 224 that the paper states, the first maps could not be 55x55.
    Weights begin as PyTorch's layers do; in the paper they are normal with a deviation of 0.01.

    Sizes for 3x227x227: 96x55x55, 96x27x27 (`pool1`), 256x13x13 (`pool2`), 384x13x13 (`conv3`, `conv4`), 256x6x6
    (`pool5`), 4096, 4096, 1000. Parameters: 60,965,224 with two groups, 62,378,344 with one branch. The first linear
    layer reads all of the last maps, and so a network is made for one size of picture.

    Args:
        config: what can be chosen; see `AlexNet2012Config`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NeurIPS
        2012, section 3.

    Example:
        >>> network = AlexNet2012(AlexNet2012Config(num_classes=5, input_size=(67, 67)))
        >>> network(torch.zeros(1, 3, 67, 67)).shape
        torch.Size([1, 5])
        >>> network.conv2.weight.shape
        torch.Size([256, 48, 5, 5])
    """

    FIRST: ClassVar[str] = "conv1"
    LAST: ClassVar[tuple[str, ...]] = ("fc8",)

    def __init__(self, config: AlexNet2012Config) -> None:
        super().__init__(config)
        height, width = last_sizes("alexnet_2012", config.input_size, _ALEXNET_2012_WINDOWS)
        self.conv1 = nn.Conv2d(config.in_channels, 96, 11, stride=4)
        self.norm1 = _normalization()
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=config.groups)
        self.norm2 = _normalization()
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=config.groups)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=config.groups)
        self.fc6 = nn.Linear(256 * height * width, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, config.num_classes)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2)
        self.dropout = nn.Dropout(config.dropout)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        def pool1(input: Tensor) -> Tensor:
            picture = check_size("alexnet_2012", input, self.config.input_size)
            maps: Tensor = self.pool(self.norm1(self.relu(self.conv1(picture))))
            return maps

        return (
            ("pool1", pool1),
            ("pool2", lambda maps: self.pool(self.norm2(self.relu(self.conv2(maps))))),
            ("conv3", lambda maps: self.relu(self.conv3(maps))),
            ("conv4", lambda maps: self.relu(self.conv4(maps))),
            ("pool5", lambda maps: self.pool(self.relu(self.conv5(maps)))),
        )

    @override
    def head(self, maps: Tensor) -> Tensor:
        fc6 = self.dropout(self.relu(self.fc6(maps.flatten(1))))
        fc7 = self.dropout(self.relu(self.fc7(fc6)))
        scores: Tensor = self.fc8(fc7)
        return scores


alexnet_2012 = builder("alexnet_2012", AlexNet2012, AlexNet2012Config)
