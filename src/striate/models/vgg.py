"""VGG with 11, 13, 16 and 19 layers, with and without batch normalisation: torchvision's."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from typing_extensions import override

from striate.geometry import Window
from striate.models.builder import builder
from striate.models.network import check_at_least
from striate.models.picture_size import last_sizes
from striate.models.stack import Stack, StackNetwork

# Convolutions of each of the five banks, which have 64, 128, 256, 512 and 512 filters.
_BANKS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_FILTERS = (64, 128, 256, 512, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class VGGConfig:
    """What can be chosen in a VGG.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the pictures to expect, at least 32 each; others may come.
        depth: layers with weights: 11, 13, 16 or 19.
        batch_norm: whether every convolution is normalised over the batch.
        dropout: probability of dropping a unit after each of the first two linear layers.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> VGGConfig(depth=19).input_size
        (224, 224)
    """

    in_channels: int = 3
    num_classes: int = 1000
    input_size: tuple[int, int] = (224, 224)
    depth: Literal[11, 13, 16, 19] = 16
    batch_norm: bool = False
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        if self.depth not in _BANKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, _BANKS))}, got {self.depth!r}")
        last_sizes(f"vgg{self.depth}", self.input_size, (Window(2, 2),) * 5)


def _stack(config: VGGConfig) -> Stack:
    """The convolutions and poolings; a pooling ends each bank."""
    layers: list[nn.Module] = []
    ends, channels = {}, config.in_channels
    for bank, (convolutions, filters) in enumerate(zip(_BANKS[config.depth], _FILTERS, strict=True), 1):
        for _ in range(convolutions):
            layers.append(nn.Conv2d(channels, filters, 3, padding=1))
            if config.batch_norm:
                layers.append(nn.BatchNorm2d(filters))
            layers.append(nn.ReLU(inplace=True))
            channels = filters
        layers.append(nn.MaxPool2d(2, 2))
        ends[f"pool{bank}"] = len(layers)
    return Stack(layers, ends)


class VGG(StackNetwork):
    """VGG: five banks of 3x3 convolutions, a 2x2 pooling after each, and three linear layers.

    Two 3x3 convolutions see 5x5 pixels, three 7x7: with fewer weights than one large window, and more rectifications.
    The maps are averaged to 7x7 whatever the size of the picture.

    Sizes for 3x224x224: 64x112x112 (`pool1`), 128x56x56 (`pool2`), 256x28x28 (`pool3`), 512x14x14 (`pool4`), 512x7x7
    (`pool5`), 4096, 4096, 1000. Parameters, without and with batch normalisation, which the paper has not:

    ==========  ===========  ===========
    layers      without      with
    ==========  ===========  ===========
    11 (A)      132,863,336  132,868,840
    13 (B)      133,047,848  133,053,736
    16 (D)      138,357,544  138,365,992
    19 (E)      143,667,240  143,678,248
    ==========  ===========  ===========

    Names and weights are torchvision's, and so is the first draw of the weights.

    Args:
        config: what can be chosen; see `VGGConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
        https://arxiv.org/abs/1409.1556, table 1; torchvision's `models/vgg.py`.

    Example:
        >>> with torch.device("meta"):
        ...     network = VGG(VGGConfig(depth=16))
        >>> sum(parameter.numel() for parameter in network.parameters())
        138357544
        >>> network.features(torch.zeros(1, 3, 224, 224, device="meta"))["pool5"].shape
        torch.Size([1, 512, 7, 7])
    """

    FIRST: ClassVar[str] = "features.0"
    LAST: ClassVar[tuple[str, ...]] = ("classifier.6",)

    def __init__(self, config: VGGConfig) -> None:
        super().__init__(config, _stack(config))
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Dropout(config.dropout),
            nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(config.dropout),
            nn.Linear(4096, config.num_classes),
        )  # fmt: skip
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, 0.01)
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                nn.init.zeros_(layer.bias)

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.avgpool(maps).flatten(1))
        return scores


vgg11 = builder("vgg11", VGG, VGGConfig, depth=11, batch_norm=False)
vgg13 = builder("vgg13", VGG, VGGConfig, depth=13, batch_norm=False)
vgg16 = builder("vgg16", VGG, VGGConfig, depth=16, batch_norm=False)
vgg19 = builder("vgg19", VGG, VGGConfig, depth=19, batch_norm=False)
vgg11_bn = builder("vgg11_bn", VGG, VGGConfig, depth=11, batch_norm=True)
vgg13_bn = builder("vgg13_bn", VGG, VGGConfig, depth=13, batch_norm=True)
vgg16_bn = builder("vgg16_bn", VGG, VGGConfig, depth=16, batch_norm=True)
vgg19_bn = builder("vgg19_bn", VGG, VGGConfig, depth=19, batch_norm=True)
