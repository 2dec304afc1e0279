"""Fully convolutional network: classes of every place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from striate.models.auxiliary import AuxiliaryNetwork
from striate.models.builder import builder
from striate.models.input_size import check_input_size
from striate.models.network import Outputs, Stage, check_at_least
from striate.models.resnet import resnet50


@dataclass(frozen=True, slots=True, kw_only=True)
class FCNConfig:
    """What can be chosen in a fully convolutional network.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart at every place, the background among them.
        input_size: height and width of the picture in pixels, at least 1 each; the network takes others, too.
        aux_loss: whether there is an auxiliary head, which gives scores in training.
        dropout: probability of dropping a unit before the scores.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> FCNConfig(num_classes=2).aux_loss
        False
    """

    in_channels: int = 3
    num_classes: int = 21
    input_size: tuple[int, int] = (520, 520)
    aux_loss: bool = False
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        check_input_size(self.input_size, 2)


class FCN(AuxiliaryNetwork):
    """FCN: a ResNet-50 that keeps its maps at an eighth of the picture's size, and scores at every place.

    The third and fourth stage of the ResNet spread their taps rather than take strides, by 2 and by 4. Sizes for
    3x520x520: conv1 64x260x260, then the stages 256x130x130, 512x65x65, 1024x65x65 and 2048x65x65; a 3x3 convolution to
    512x65x65 and scores of 21x65x65, which are enlarged to 21x520x520 between neighbours. Parameters for 21 classes:
    32,957,013, with the auxiliary head after the third stage 35,322,218; it counts 0.5 in training.

    The network and its tensors' names are torchvision's, whose published weights want `aux_loss=True`. It gives a
    tensor where torchvision's gives a dictionary, and `Outputs` in training with the auxiliary head. The paper's
    networks stand on VGG and join the scores of several stages by transposed convolutions. Any size of picture will do.
    `head` gives the scores as they are before they are enlarged.

    Args:
        config: what can be chosen; see `FCNConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", 2014,
        https://arxiv.org/abs/1411.4038. Names and first weights: torchvision/models/segmentation/fcn.py; the weight of
        the auxiliary loss: its references/segmentation/train.py.

    Example:
        >>> with torch.device("meta"):
        ...     maps = fcn_resnet50(num_classes=2)(torch.zeros(1, 3, 40, 30))
        >>> maps.shape
        torch.Size([1, 2, 40, 30])
    """

    GIVES: ClassVar[str] = "maps"
    FIRST: ClassVar[str] = "backbone.conv1"
    LAST: ClassVar[tuple[str, ...]] = ("classifier.4", "aux_classifier.4")
    AUXILIARY_WEIGHT: ClassVar[float] = 0.5

    def __init__(self, config: FCNConfig) -> None:
        super().__init__(config)
        self.backbone = resnet50(in_channels=config.in_channels, replace_stride_with_dilation=(False, True, True))
        # Its scores have no place here, nor in torchvision's files.
        self.backbone.fc = nn.Identity()  # type: ignore[assignment]
        # In this order, so that the first weights are torchvision's.
        auxiliary = _head(1024, config) if config.aux_loss else None
        self.classifier = _head(2048, config)
        self.aux_classifier = auxiliary

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        return self.backbone.stages()

    @override
    def auxiliary_heads(self) -> Mapping[str, Stage]:
        return {"layer3": self.aux_classifier} if self.aux_classifier is not None else {}

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.classifier(maps)
        return scores

    @override
    def forward(self, input: Tensor) -> Tensor | Outputs:
        found, size = super().forward(input), input.shape[-2:]
        if isinstance(found, Tensor):
            return _enlarged(found, size)
        auxiliary = tuple(_enlarged(scores, size) for scores in found.auxiliary)
        return Outputs(_enlarged(found.scores, size), auxiliary, found.weight)


def _head(in_channels: int, config: FCNConfig) -> nn.Sequential:
    """Scores of every place."""
    between = in_channels // 4
    return nn.Sequential(
        nn.Conv2d(in_channels, between, 3, padding=1, bias=False),
        nn.BatchNorm2d(between),
        nn.ReLU(inplace=True),
        nn.Dropout(config.dropout),
        nn.Conv2d(between, config.num_classes, 1),
    )


def _enlarged(scores: Tensor, size: Sequence[int]) -> Tensor:
    """Scores at every pixel, between those of the nearest places."""
    return F.interpolate(scores, size=tuple(size), mode="bilinear", align_corners=False)


fcn_resnet50 = builder("fcn_resnet50", FCN, FCNConfig)
