"""GoogLeNet: Inception v1."""

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

# Of a smaller picture a pooling has nothing to place its window on.
_LEAST = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogLeNetConfig:
    """What can be chosen in a GoogLeNet.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the picture in pixels, at least 15 each; the network takes others, too.
        aux_logits: whether there are auxiliary heads, which give scores in training.
        transform_input: whether pictures come normalised by ImageNet's mean and deviation and the weights want them
            normalised by a half, as torchvision's published ones do.
        dropout: probability of dropping a unit before the scores.
        dropout_aux: likewise in the auxiliary heads.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> GoogLeNetConfig(aux_logits=False).dropout
        0.2
    """

    in_channels: int = 3
    num_classes: int = 1000
    input_size: tuple[int, int] = (224, 224)
    aux_logits: bool = True
    transform_input: bool = False
    dropout: float = 0.2
    dropout_aux: float = 0.7

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        check_input_size(self.input_size, 2, least=_LEAST)
        check_transform(self.transform_input, self.in_channels)


class _Inception(nn.Module):
    """Windows of several sizes side by side, each after a layer of 1x1 that narrows the channels."""

    def __init__(
        self, in_channels: int, single: int, before3: int, after3: int, before5: int, after5: int, pooled: int
    ) -> None:
        super().__init__()
        self.branch1 = ConvNorm(in_channels, single, 1)
        self.branch2 = nn.Sequential(ConvNorm(in_channels, before3, 1), ConvNorm(before3, after3, 3, padding=1))
        # The paper's 5x5 is a 3x3 in the published weights.
        self.branch3 = nn.Sequential(ConvNorm(in_channels, before5, 1), ConvNorm(before5, after5, 3, padding=1))
        pool = nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True)
        self.branch4 = nn.Sequential(pool, ConvNorm(in_channels, pooled, 1))

    def forward(self, input: Tensor) -> Tensor:
        """Put the maps of all branches together."""
        return torch.cat([self.branch1(input), self.branch2(input), self.branch3(input), self.branch4(input)], 1)


class _Auxiliary(nn.Module):
    """Scores from maps halfway."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, 128, 1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, maps: Tensor) -> Tensor:
        """Give scores."""
        found = self.conv(F.adaptive_avg_pool2d(maps, (4, 4))).flatten(1)
        scores: Tensor = self.fc2(self.dropout(F.relu(self.fc1(found), inplace=True)))
        return scores


class GoogLeNet(AuxiliaryNetwork):
    """GoogLeNet, Inception v1: nine modules of windows of several sizes side by side.

    Sizes for 3x224x224: conv1 64x112x112, conv3 192x56x56, inception3a and 3b 256 and 480x28x28, 4a to 4e 512, 512,
    512, 528 and 832x14x14, 5a and 5b 832 and 1024x7x7; the mean of each map; scores. Parameters for 1000 classes:
    13,004,888, of which the two auxiliary heads, after 4a and 4d, have 6,379,984; they count 0.3 each in training.

    The network and its tensors' names are torchvision's, which differs from the paper: batch normalisation rather than
    response normalisation, windows of 3x3 where the paper has 5x5. Its published weights want `transform_input=True`.
    Any size of picture from 15x15 on will do.

    Args:
        config: what can be chosen; see `GoogLeNetConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Szegedy et al., "Going deeper with convolutions", 2014, https://arxiv.org/abs/1409.4842. Names and first
        weights: torchvision/models/googlenet.py.

    Example:
        >>> with torch.device("meta"):
        ...     network = googlenet(num_classes=5)
        ...     outputs = network(torch.zeros(2, 3, 64, 64))
        >>> [tuple(scores.shape) for scores in (outputs.scores, *outputs.auxiliary)], outputs.weight
        ([(2, 5), (2, 5), (2, 5)], 0.3)
    """

    FIRST: ClassVar[str] = "conv1.conv"
    LAST: ClassVar[tuple[str, ...]] = ("fc", "aux2.fc2", "aux1.fc2")
    AUXILIARY_WEIGHT: ClassVar[float] = 0.3

    def __init__(self, config: GoogLeNetConfig) -> None:
        super().__init__(config)
        self.conv1 = ConvNorm(config.in_channels, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = ConvNorm(64, 64, 1)
        self.conv3 = ConvNorm(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = _Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = _Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = _Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = _Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = _Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = _Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = _Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = _Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = _Inception(832, 384, 192, 384, 48, 128, 128)
        classes, dropout = config.num_classes, config.dropout_aux
        self.aux1 = _Auxiliary(512, classes, dropout) if config.aux_logits else None
        self.aux2 = _Auxiliary(528, classes, dropout) if config.aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(1024, classes)
        begin_truncated(self, 0.01)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        transform = self.config.transform_input
        return (
            ("conv1", lambda input: self.conv1(prepared(input, _LEAST, transform))),
            ("conv3", lambda maps: self.conv3(self.conv2(self.maxpool1(maps)))),
            ("inception3a", lambda maps: self.inception3a(self.maxpool2(maps))),
            ("inception3b", self.inception3b),
            ("inception4a", lambda maps: self.inception4a(self.maxpool3(maps))),
            ("inception4b", self.inception4b),
            ("inception4c", self.inception4c),
            ("inception4d", self.inception4d),
            ("inception4e", self.inception4e),
            ("inception5a", lambda maps: self.inception5a(self.maxpool4(maps))),
            ("inception5b", self.inception5b),
        )

    @override
    def auxiliary_heads(self) -> Mapping[str, Stage]:
        heads = {"inception4a": self.aux1, "inception4d": self.aux2}
        return {stage: head for stage, head in heads.items() if head is not None}

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.fc(self.dropout(self.avgpool(maps).flatten(1)))
        return scores


googlenet = builder("googlenet", GoogLeNet, GoogLeNetConfig)
