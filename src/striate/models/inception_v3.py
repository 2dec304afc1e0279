"""Inception v3."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from striate.models.auxiliary import AuxiliaryNetwork
from striate.models.builder import builder
from striate.models.inception import ConvNorm, begin_truncated, check_transform, prepared
from striate.models.input_size import check_input_size
from striate.models.network import Stage, check_at_least

# Of a smaller picture the last strides leave nothing.
_LEAST = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class InceptionV3Config:
    """What can be chosen in an Inception v3.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the picture in pixels, at least 75 each; the network takes others, too.
        aux_logits: whether there is an auxiliary head, which gives scores in training.
        transform_input: whether pictures come normalised by ImageNet's mean and deviation and the weights want them
            normalised by a half, as torchvision's published ones do.
        dropout: probability of dropping a unit before the scores.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> InceptionV3Config().input_size
        (299, 299)
    """

    in_channels: int = 3
    num_classes: int = 1000
    input_size: tuple[int, int] = (299, 299)
    aux_logits: bool = True
    transform_input: bool = False
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        check_input_size(self.input_size, 2, least=_LEAST)
        check_transform(self.transform_input, self.in_channels)


class _InceptionA(nn.Module):
    """One 5x5, two 3x3 in a row, a mean: 35x35 maps."""

    def __init__(self, in_channels: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = ConvNorm(in_channels, 64, 1)
        self.branch5x5_1 = ConvNorm(in_channels, 48, 1)
        self.branch5x5_2 = ConvNorm(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = ConvNorm(in_channels, 64, 1)
        self.branch3x3dbl_2 = ConvNorm(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvNorm(96, 96, 3, padding=1)
        self.branch_pool = ConvNorm(in_channels, pooled, 1)

    def forward(self, input: Tensor) -> Tensor:
        """Put the maps of all branches together."""
        wide = self.branch5x5_2(self.branch5x5_1(input))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(input)))
        pooled = self.branch_pool(F.avg_pool2d(input, 3, stride=1, padding=1))
        return torch.cat([self.branch1x1(input), wide, double, pooled], 1)


class _InceptionB(nn.Module):
    """From 35x35 to 17x17."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3 = ConvNorm(in_channels, 384, 3, stride=2)
        self.branch3x3dbl_1 = ConvNorm(in_channels, 64, 1)
        self.branch3x3dbl_2 = ConvNorm(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvNorm(96, 96, 3, stride=2)

    def forward(self, input: Tensor) -> Tensor:
        """Put the maps of all branches together."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(input)))
        return torch.cat([self.branch3x3(input), double, F.max_pool2d(input, 3, stride=2)], 1)


class _InceptionC(nn.Module):
    """7x7 windows as 1x7 and 7x1, once and twice: 17x17 maps."""

    def __init__(self, in_channels: int, between: int) -> None:
        super().__init__()
        self.branch1x1 = ConvNorm(in_channels, 192, 1)
        self.branch7x7_1 = ConvNorm(in_channels, between, 1)
        self.branch7x7_2 = ConvNorm(between, between, (1, 7), padding=(0, 3))
        self.branch7x7_3 = ConvNorm(between, 192, (7, 1), padding=(3, 0))
        self.branch7x7dbl_1 = ConvNorm(in_channels, between, 1)
        self.branch7x7dbl_2 = ConvNorm(between, between, (7, 1), padding=(3, 0))
        self.branch7x7dbl_3 = ConvNorm(between, between, (1, 7), padding=(0, 3))
        self.branch7x7dbl_4 = ConvNorm(between, between, (7, 1), padding=(3, 0))
        self.branch7x7dbl_5 = ConvNorm(between, 192, (1, 7), padding=(0, 3))
        self.branch_pool = ConvNorm(in_channels, 192, 1)

    def forward(self, input: Tensor) -> Tensor:
        """Put the maps of all branches together."""
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(input)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(input)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        pooled = self.branch_pool(F.avg_pool2d(input, 3, stride=1, padding=1))
        return torch.cat([self.branch1x1(input), single, double, pooled], 1)


class _InceptionD(nn.Module):
    """From 17x17 to 8x8."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3_1 = ConvNorm(in_channels, 192, 1)
        self.branch3x3_2 = ConvNorm(192, 320, 3, stride=2)
        self.branch7x7x3_1 = ConvNorm(in_channels, 192, 1)
        self.branch7x7x3_2 = ConvNorm(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = ConvNorm(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = ConvNorm(192, 192, 3, stride=2)

    def forward(self, input: Tensor) -> Tensor:
        """Put the maps of all branches together."""
        small = self.branch3x3_2(self.branch3x3_1(input))
        large = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(input)))
        return torch.cat([small, self.branch7x7x3_4(large), F.max_pool2d(input, 3, stride=2)], 1)


class _InceptionE(nn.Module):
    """1x3 and 3x1 side by side: 8x8 maps."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch1x1 = ConvNorm(in_channels, 320, 1)
        self.branch3x3_1 = ConvNorm(in_channels, 384, 1)
        self.branch3x3_2a = ConvNorm(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = ConvNorm(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = ConvNorm(in_channels, 448, 1)
        self.branch3x3dbl_2 = ConvNorm(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = ConvNorm(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = ConvNorm(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = ConvNorm(in_channels, 192, 1)

    def forward(self, input: Tensor) -> Tensor:
        """Put the maps of all branches together."""
        single = self.branch3x3_1(input)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(input))
        pooled = self.branch_pool(F.avg_pool2d(input, 3, stride=1, padding=1))
        return torch.cat(
            [
                self.branch1x1(input), self.branch3x3_2a(single), self.branch3x3_2b(single),
                self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), pooled,
            ],
            1,
        )  # fmt: skip


class _Auxiliary(nn.Module):
    """Scores from the 17x17 maps."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = ConvNorm(in_channels, 128, 1)
        self.conv1 = ConvNorm(128, 768, 5)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, maps: Tensor) -> Tensor:
        """Give scores."""
        # Of smaller maps too little would be left for the 5x5 convolution.
        whole = min(maps.shape[-2:]) >= 17
        pooled = F.avg_pool2d(maps, 5, stride=3) if whole else F.adaptive_avg_pool2d(maps, (5, 5))
        found = self.conv1(self.conv0(pooled))
        scores: Tensor = self.fc(F.adaptive_avg_pool2d(found, (1, 1)).flatten(1))
        return scores


class InceptionV3(AuxiliaryNetwork):
    """Inception v3: large windows factorised into small and into one-dimensional ones.

    Sizes for 3x299x299: 32x149x149, 32x147x147, 64x147x147, a pooling, 80x73x73, 192x71x71, a pooling, Mixed_5b to 5d
    256, 288 and 288x35x35, 6a to 6e 768x17x17, 7a to 7c 1280, 2048 and 2048x8x8; the mean of each map; scores.
    Parameters for 1000 classes: 27,161,264, of which the auxiliary head after Mixed_6e has 3,326,696; it counts 0.4 in
    training.

    The network and its tensors' names are torchvision's, whose published weights want `transform_input=True`. Any size
    of picture from 75x75 on will do, in training, too: below 299 pixels, where torchvision's auxiliary head fails, it
    pools its maps to 5x5.

    Args:
        config: what can be chosen; see `InceptionV3Config`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception architecture for computer vision", 2015,
        https://arxiv.org/abs/1512.00567. Names and first weights: torchvision/models/inception.py.

    Example:
        >>> with torch.device("meta"):
        ...     network = inception_v3(num_classes=5)
        ...     outputs = network(torch.zeros(2, 3, 75, 75))
        >>> [tuple(scores.shape) for scores in (outputs.scores, *outputs.auxiliary)], outputs.weight
        ([(2, 5), (2, 5)], 0.4)
    """

    FIRST: ClassVar[str] = "Conv2d_1a_3x3.conv"
    LAST: ClassVar[tuple[str, ...]] = ("fc", "AuxLogits.fc")
    AUXILIARY_WEIGHT: ClassVar[float] = 0.4

    def __init__(self, config: InceptionV3Config) -> None:
        super().__init__(config)
        self.Conv2d_1a_3x3 = ConvNorm(config.in_channels, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = _InceptionA(192, 32)
        self.Mixed_5c = _InceptionA(256, 64)
        self.Mixed_5d = _InceptionA(288, 64)
        self.Mixed_6a = _InceptionB(288)
        self.Mixed_6b = _InceptionC(768, 128)
        self.Mixed_6c = _InceptionC(768, 160)
        self.Mixed_6d = _InceptionC(768, 160)
        self.Mixed_6e = _InceptionC(768, 192)
        self.AuxLogits = _Auxiliary(768, config.num_classes) if config.aux_logits else None
        self.Mixed_7a = _InceptionD(768)
        self.Mixed_7b = _InceptionE(1280)
        self.Mixed_7c = _InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(2048, config.num_classes)
        begin_truncated(self, 0.1)
        if self.AuxLogits is not None:
            begin_truncated(self.AuxLogits.fc, 0.001)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        transform = self.config.transform_input
        return (
            ("Conv2d_1a_3x3", lambda input: self.Conv2d_1a_3x3(prepared(input, _LEAST, transform))),
            ("Conv2d_2a_3x3", self.Conv2d_2a_3x3),
            ("Conv2d_2b_3x3", self.Conv2d_2b_3x3),
            ("Conv2d_3b_1x1", lambda maps: self.Conv2d_3b_1x1(self.maxpool1(maps))),
            ("Conv2d_4a_3x3", self.Conv2d_4a_3x3),
            ("Mixed_5b", lambda maps: self.Mixed_5b(self.maxpool2(maps))),
            ("Mixed_5c", self.Mixed_5c),
            ("Mixed_5d", self.Mixed_5d),
            ("Mixed_6a", self.Mixed_6a),
            ("Mixed_6b", self.Mixed_6b),
            ("Mixed_6c", self.Mixed_6c),
            ("Mixed_6d", self.Mixed_6d),
            ("Mixed_6e", self.Mixed_6e),
            ("Mixed_7a", self.Mixed_7a),
            ("Mixed_7b", self.Mixed_7b),
            ("Mixed_7c", self.Mixed_7c),
        )

    @override
    def auxiliary_heads(self) -> Mapping[str, Stage]:
        return {"Mixed_6e": self.AuxLogits} if self.AuxLogits is not None else {}

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.fc(self.dropout(self.avgpool(maps)).flatten(1))
        return scores


inception_v3 = builder("inception_v3", InceptionV3, InceptionV3Config)
