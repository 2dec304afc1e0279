"""MobileNetV2: inverted residuals and linear bottlenecks; torchvision's."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from striate.models.builder import builder
from striate.models.conv_norm import conv_norm, depthwise_norm, draw_weights
from striate.models.input_size import check_input_size
from striate.models.network import check_at_least
from striate.models.stack import Stack, StackNetwork

# Expansion, channels, blocks and the stride of the first block.
_BOTTLENECKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV2Config:
    """What can be chosen in a MobileNetV2.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the pictures to expect; others may come.
        width_mult: every layer has this part of its filters, rounded to a multiple of 8; above 0. The last has no fewer
            than 1280.
        dropout: probability of dropping a unit before the linear layer.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> MobileNetV2Config(width_mult=1.4).width_mult
        1.4
    """

    in_channels: int = 3
    num_classes: int = 1000
    input_size: tuple[int, int] = (224, 224)
    width_mult: float = 1.0
    dropout: float = 0.2

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        check_input_size(self.input_size, 2)
        if not self.width_mult > 0:
            raise ValueError(f"width_mult must be above 0, got {self.width_mult}")


def _multiple_of_8(filters: float) -> int:
    """The nearest multiple of 8, but not less than nine tenths."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * filters else nearest


class _InvertedResidual(nn.Module):
    """Widen the channels, look around in each, narrow them without a rectification, add the input where it fits."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        widen = [conv_norm(in_channels, width, 1, activation=nn.ReLU6)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *widen, depthwise_norm(width, stride, activation=nn.ReLU6),
            nn.Conv2d(width, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels),
        )  # fmt: skip
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, input: Tensor) -> Tensor:
        found: Tensor = self.conv(input)
        return input + found if self.residual else found


def _stack(config: MobileNetV2Config) -> Stack:
    """The convolutions, which end the stages `conv1`, `bottleneck1` to `bottleneck7` and `conv2`."""
    below = _multiple_of_8(32 * config.width_mult)
    layers: list[nn.Module] = [conv_norm(config.in_channels, below, stride=2, activation=nn.ReLU6)]
    ends = {"conv1": 1}
    for place, (expansion, channels, blocks, stride) in enumerate(_BOTTLENECKS, 1):
        above = _multiple_of_8(channels * config.width_mult)
        for block in range(blocks):
            layers.append(_InvertedResidual(below, above, 1 if block else stride, expansion))
            below = above
        ends[f"bottleneck{place}"] = len(layers)
    layers.append(conv_norm(below, _last_channels(config), 1, activation=nn.ReLU6))
    return Stack(layers, ends | {"conv2": len(layers)})


def _last_channels(config: MobileNetV2Config) -> int:
    """Filters of the last convolution."""
    return _multiple_of_8(1280 * max(1.0, config.width_mult))


class MobileNetV2(StackNetwork):
    """MobileNetV2: seventeen blocks that widen the channels, look around in each, and narrow them again.

    The shortcuts lie between the narrow ends, which are not rectified: what is left there is all needed.

    Sizes for 3x224x224: 32x112x112 (`conv1`), 16x112x112 (`bottleneck1`), 24x56x56 (`bottleneck2`), 32x28x28
    (`bottleneck3`), 64x14x14 (`bottleneck4`), 96x14x14 (`bottleneck5`), 160x7x7 (`bottleneck6`), 320x7x7
    (`bottleneck7`), 1280x7x7 (`conv2`), 1280, 1000. Parameters: 3,504,872. Names and weights are torchvision's, and so
    is the first draw of the weights. Pictures may have any size.

    Args:
        config: what can be chosen; see `MobileNetV2Config`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018,
        https://arxiv.org/abs/1801.04381, table 2; torchvision's `models/mobilenetv2.py`.

    Example:
        >>> network = MobileNetV2(MobileNetV2Config()).eval()
        >>> sum(parameter.numel() for parameter in network.parameters())
        3504872
        >>> network.features(torch.zeros(1, 3, 64, 64))["conv2"].shape
        torch.Size([1, 1280, 2, 2])
    """

    FIRST: ClassVar[str] = "features.0.0"
    LAST: ClassVar[tuple[str, ...]] = ("classifier.1",)

    def __init__(self, config: MobileNetV2Config) -> None:
        super().__init__(config, _stack(config))
        self.classifier = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(_last_channels(config), config.num_classes)
        )
        draw_weights(self, "fan_out")

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.classifier(maps.mean((2, 3)))
        return scores


mobilenet_v2 = builder("mobilenet_v2", MobileNetV2, MobileNetV2Config)
