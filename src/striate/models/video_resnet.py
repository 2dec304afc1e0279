"""Residual networks for clips, with convolutions in space and time, whole or in two."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from striate.models.builder import builder
from striate.models.input_size import check_input_size
from striate.models.network import Network, Stage, check_at_least

_WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoResNetConfig:
    """What can be chosen in a residual network for clips.

    Args:
        in_channels: channels of a frame.
        num_classes: classes to tell apart.
        input_size: frames, and their height and width in pixels, at least 1 each; the network takes others, too.
        factorized: whether each 3x3x3 convolution is one of 1x3x3 in space and one of 3x1x1 in time, with a
            non-linearity between them.
        layers: blocks of each of the four stages, at least 1 each.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> VideoResNetConfig(factorized=True).input_size
        (16, 112, 112)
    """

    in_channels: int = 3
    num_classes: int = 400
    input_size: tuple[int, int, int] = (16, 112, 112)
    factorized: bool = False
    layers: tuple[int, int, int, int] = (2, 2, 2, 2)

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        check_input_size(self.input_size, 3)
        if len(self.layers) != 4 or any(count < 1 for count in self.layers):
            raise ValueError(f"layers must be four numbers of blocks, each at least 1, got {self.layers}")


def _convolution(in_channels: int, out_channels: int, between: int, stride: int, factorized: bool) -> nn.Module:
    """A 3x3x3 convolution, or one in space and one in time with `between` channels between them."""
    if not factorized:
        return nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(
        nn.Conv3d(in_channels, between, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(inplace=True),
        nn.Conv3d(between, out_channels, (3, 1, 1), stride=(stride, 1, 1), padding=(1, 0, 0), bias=False),
    )


class _Block(nn.Module):
    """Two convolutions beside a shortcut, under torchvision's names of clip networks."""

    def __init__(self, in_channels: int, width: int, stride: int, factorized: bool) -> None:
        super().__init__()
        # As many weights in two as a whole 3x3x3 convolution has.
        between = 27 * in_channels * width // (9 * in_channels + 3 * width)
        first = _convolution(in_channels, width, between, stride, factorized)
        second = _convolution(width, width, between, 1, factorized)
        self.conv1 = nn.Sequential(first, nn.BatchNorm3d(width), nn.ReLU(inplace=True))
        self.conv2 = nn.Sequential(second, nn.BatchNorm3d(width))
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != width:
            shortcut = nn.Conv3d(in_channels, width, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm3d(width))

    def forward(self, input: Tensor) -> Tensor:
        """Add what the convolutions find to the input."""
        found = self.conv2(self.conv1(input))
        found += input if self.downsample is None else self.downsample(input)
        output: Tensor = self.relu(found)
        return output


def _stem(in_channels: int, factorized: bool) -> nn.Sequential:
    """The first layer: 3x7x7 taps, whole or in two with 45 maps between them."""
    space = {"stride": (1, 2, 2), "bias": False}
    if not factorized:
        whole = nn.Conv3d(in_channels, 64, (3, 7, 7), padding=(1, 3, 3), **space)  # type: ignore[arg-type]
        return nn.Sequential(whole, nn.BatchNorm3d(64), nn.ReLU(inplace=True))
    return nn.Sequential(
        nn.Conv3d(in_channels, 45, (1, 7, 7), padding=(0, 3, 3), **space),  # type: ignore[arg-type]
        nn.BatchNorm3d(45),
        nn.ReLU(inplace=True),
        nn.Conv3d(45, 64, (3, 1, 1), padding=(1, 0, 0), bias=False),
        nn.BatchNorm3d(64),
        nn.ReLU(inplace=True),
    )


class VideoResNet(Network):
    """ResNet-18 for clips, R3D and R(2+1)D: residual stages of convolutions in space and time.

    Sizes for 3x16x112x112: stem 64x16x56x56, then the stages 64x16x56x56, 128x8x28x28, 256x4x14x14 and 512x2x7x7; the
    mean of each map; scores. Parameters for 400 classes: `r3d_18` 33,371,472, `r2plus1d_18` 31,505,325, where the first
    convolution of a block has about as many weights in two parts as it would have whole.

    The networks and their tensors' names are torchvision's, whose second convolution of a block has as many maps
    between its parts as the first; the paper's has its own number. Any number of frames and any size will do.

    Args:
        config: what can be chosen; see `VideoResNetConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Tran, Wang, Torresani, Ray, LeCun and Paluri, "A closer look at spatiotemporal convolutions for action
        recognition", 2018, https://arxiv.org/abs/1711.11248. Names and first weights:
        torchvision/models/video/resnet.py.

    Example:
        >>> with torch.device("meta"):
        ...     scores = r2plus1d_18(num_classes=5)(torch.zeros(1, 3, 8, 32, 32))
        >>> scores.shape
        torch.Size([1, 5])
    """

    TAKES: ClassVar[str] = "clips"
    FIRST: ClassVar[str] = "stem.0"
    LAST: ClassVar[tuple[str, ...]] = ("fc",)

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, config: VideoResNetConfig) -> None:
        super().__init__(config)
        self.stem = _stem(config.in_channels, config.factorized)
        channels = 64
        for number, (width, count) in enumerate(zip(_WIDTHS, config.layers, strict=True), 1):
            first = _Block(channels, width, 2 if number > 1 else 1, config.factorized)
            others = (_Block(width, width, 1, config.factorized) for _ in range(1, count))
            self.add_module(f"layer{number}", nn.Sequential(first, *others))
            channels = width
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Linear(channels, config.num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.fc.weight, 0, 0.01)
        nn.init.zeros_(self.fc.bias)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        return (
            ("stem", self.stem),
            ("layer1", self.layer1),
            ("layer2", self.layer2),
            ("layer3", self.layer3),
            ("layer4", self.layer4),
        )

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.fc(self.avgpool(maps).flatten(1))
        return scores


r3d_18 = builder("r3d_18", VideoResNet, VideoResNetConfig, factorized=False)
r2plus1d_18 = builder("r2plus1d_18", VideoResNet, VideoResNetConfig, factorized=True)
