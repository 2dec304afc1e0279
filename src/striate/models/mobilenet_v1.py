"""MobileNet: depthwise separable convolutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from striate.models.builder import builder
from striate.models.conv_norm import conv_norm, depthwise_norm, draw_weights
from striate.models.input_size import check_input_size
from striate.models.network import Network, Stage, check_at_least

# Filters of the 1x1 convolution and stride of the depthwise one of each block. In the paper's table the last strides,
# too, but not by the sizes there.
_FILTERS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV1Config:
    """What can be chosen in a MobileNet.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the pictures to expect; others may come. The paper's resolution multiplier is
            this choice: 224, 192, 160 or 128.
        width_mult: the paper's width multiplier, above 0: every layer has this part of its filters.
        dropout: probability of dropping a unit before the linear layer.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> MobileNetV1Config(width_mult=0.5, input_size=(160, 160)).width_mult
        0.5
    """

    in_channels: int = 3
    num_classes: int = 1000
    input_size: tuple[int, int] = (224, 224)
    width_mult: float = 1.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        check_input_size(self.input_size, 2)
        if not self.width_mult > 0:
            raise ValueError(f"width_mult must be above 0, got {self.width_mult}")


class MobileNetV1(Network):
    """MobileNet: a convolution and thirteen blocks, each a 3x3 depthwise and a 1x1 convolution.

    The depthwise one looks around in each channel, the 1x1 one mixes the channels: an eighth to a ninth of the
    multiplications of an ordinary 3x3 convolution. Each is followed by batch normalisation and rectification.

    Sizes for 3x224x224: 32x112x112 (`conv1`), 64x112x112 (`block1`), 128x56x56 (`block2`, `block3`), 256x28x28
    (`block4`, `block5`), 512x14x14 (`block6` to `block11`), 1024x7x7 (`block12`, `block13`), 1024, 1000. Parameters:
    4,231,976; 2,585,560 at a width of 0.75, 1,331,592 at 0.5, 470,072 at 0.25. Pictures may have any size.

    Args:
        config: what can be chosen; see `MobileNetV1Config`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017,
        https://arxiv.org/abs/1704.04861, table 1.

    Example:
        >>> network = MobileNetV1(MobileNetV1Config())
        >>> sum(parameter.numel() for parameter in network.parameters())
        4231976
        >>> network.eval()(torch.zeros(1, 3, 40, 32)).shape
        torch.Size([1, 1000])
    """

    FIRST: ClassVar[str] = "conv1.0"
    LAST: ClassVar[tuple[str, ...]] = ("classifier",)

    def __init__(self, config: MobileNetV1Config) -> None:
        super().__init__(config)
        below, *widths = (max(1, round(filters * config.width_mult)) for filters in (32, *_FILTERS))
        self.conv1 = conv_norm(config.in_channels, below, stride=2)
        self.blocks = nn.Sequential()
        for above, stride in zip(widths, _STRIDES, strict=True):
            self.blocks.append(nn.Sequential(depthwise_norm(below, stride), conv_norm(below, above, 1)))
            below = above
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(below, config.num_classes)
        draw_weights(self, "fan_in")

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        blocks = [(f"block{place}", partial(self._block, place)) for place in range(1, len(self.blocks) + 1)]
        return [("conv1", self.conv1), *blocks]

    def _block(self, place: int, maps: Tensor) -> Tensor:
        """The maps of a block, counted from 1."""
        found: Tensor = self.blocks[place - 1](maps)
        return found

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.dropout(maps.mean((2, 3))))
        return scores


mobilenet_v1 = builder("mobilenet_v1", MobileNetV1, MobileNetV1Config)
