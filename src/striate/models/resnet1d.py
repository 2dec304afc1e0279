"""Residual network for series."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from striate.models.builder import builder
from striate.models.input_size import check_input_size
from striate.models.network import Network, Stage, check_at_least
from striate.models.residual import BasicBlock, residual_stage


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNet1dConfig:
    """What can be chosen in a residual network for series.

    Args:
        in_channels: channels of the series: how many numbers are measured at a time.
        num_classes: classes to tell apart.
        input_size: length of the series in samples, at least 1; the network takes others, too.
        layers: blocks of each stage, at least 1 each; each stage but the first halves the length and has twice the
            width of the one before.
        width: filters of the first stage.
        kernel_size: taps of the convolutions of the blocks, odd.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> ResNet1dConfig(in_channels=12, kernel_size=15).layers
        (2, 2, 2, 2)
    """

    in_channels: int = 1
    num_classes: int = 10
    input_size: tuple[int] = (1000,)
    layers: tuple[int, ...] = (2, 2, 2, 2)
    width: int = 64
    kernel_size: int = 3

    def __post_init__(self) -> None:
        check_at_least(
            1, in_channels=self.in_channels, num_classes=self.num_classes, width=self.width,
            kernel_size=self.kernel_size,
        )  # fmt: skip
        check_input_size(self.input_size, 1)
        if not self.layers or any(count < 1 for count in self.layers):
            raise ValueError(f"layers must be numbers of blocks, each at least 1, got {self.layers}")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {self.kernel_size}")


class ResNet1d(Network):
    """ResNet along one axis, for series: sounds, heartbeats, measurements.

    It is the ResNet-18 of pictures with windows along time alone, and ends in the mean of each map over time, so that
    any length will do. Wang's network has three blocks of 8, 5 and 3 taps and no strides, Hannun's 34 layers of 16
    taps; `kernel_size`, `layers` and `width` go towards either.

    Sizes for 1x1000: conv1 64x500 (7 taps, stride 2), a pooling of 3 with stride 2, then the stages 64x250, 128x125,
    256x63 and 512x32; the mean of each map; scores. Parameters for 10 classes: 3,849,034.

    Args:
        config: what can be chosen; see `ResNet1dConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Wang, Yan and Oates, "Time series classification from scratch with deep neural networks: a strong baseline",
        2017, https://arxiv.org/abs/1611.06455; Hannun et al., "Cardiologist-level arrhythmia detection and
        classification in ambulatory electrocardiograms using a deep neural network", Nature Medicine 25, 2019; He,
        Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015, https://arxiv.org/abs/1512.03385.

    Example:
        >>> network = ResNet1d(ResNet1dConfig(in_channels=3, num_classes=4, width=8))
        >>> network(torch.zeros(2, 3, 100)).shape
        torch.Size([2, 4])
    """

    TAKES: ClassVar[str] = "series"
    FIRST: ClassVar[str] = "conv1"
    LAST: ClassVar[tuple[str, ...]] = ("fc",)

    layer1: nn.Sequential

    def __init__(self, config: ResNet1dConfig) -> None:
        super().__init__(config)
        channels = config.width
        self.conv1 = nn.Conv1d(config.in_channels, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm1d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool1d(3, stride=2, padding=1)
        for number, count in enumerate(config.layers):
            width = config.width << number
            stage = residual_stage(
                BasicBlock, channels, width, count, stride=2 if number else 1, axes=1, kernel_size=config.kernel_size
            )
            self.add_module(f"layer{number + 1}", stage)
            channels = width
        self.avgpool = nn.AdaptiveAvgPool1d(1)
        self.fc = nn.Linear(channels, config.num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        names = [f"layer{number}" for number in range(2, len(self.config.layers) + 1)]
        return (
            ("conv1", lambda input: self.relu(self.bn1(self.conv1(input)))),
            ("layer1", lambda maps: self.layer1(self.maxpool(maps))),
            *((name, self.get_submodule(name)) for name in names),
        )

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.fc(self.avgpool(maps).flatten(1))
        return scores


resnet1d18 = builder("resnet1d18", ResNet1d, ResNet1dConfig, layers=(2, 2, 2, 2))
