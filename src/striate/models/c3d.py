"""C3D: small windows in space and time, stacked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from striate.models.builder import builder
from striate.models.input_size import check_input_size
from striate.models.network import Network, Stage, check_at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class C3DConfig:
    """What can be chosen in a C3D.

    Args:
        in_channels: channels of a frame.
        num_classes: classes to tell apart; 487 are those of Sports-1M.
        input_size: frames, and their height and width in pixels, at least 1 each; the network takes others, too.
        dropout: probability of dropping a unit after each of the first two linear layers.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> C3DConfig(num_classes=101).input_size
        (16, 112, 112)
    """

    in_channels: int = 3
    num_classes: int = 487
    input_size: tuple[int, int, int] = (16, 112, 112)
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        check_input_size(self.input_size, 3)


class C3D(Network):
    """C3D: eight convolutions of 3x3x3, five poolings and three linear layers, for clips.

    The first pooling, 1x2x2, leaves time as it is; the others are 2x2x2. Sizes after each pooling for 3x16x112x112:
    64x16x56x56, 128x8x28x28, 256x4x14x14, 512x2x7x7, 512x1x4x4; then 4096, 4096, scores. Parameters: 77,995,776 without
    the scores, 79,991,015 with the paper's 487 classes, 78,409,573 with the 101 of UCF101.

    Poolings hang over the end, as the authors' do. The mean over time and an adaptive pooling to 4x4, which change
    nothing at the paper's size, let clips have any size. Convolutions begin as He's, the linear layers with a deviation
    of 0.01; of its first weights the paper says nothing.

    Args:
        config: what can be chosen; see `C3DConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Tran, Bourdev, Fergus, Torresani and Paluri, "Learning spatiotemporal features with 3D convolutional networks",
        2015, https://arxiv.org/abs/1412.0767, section 3.3 and figure 3.

    Example:
        >>> with torch.device("meta"):
        ...     scores = c3d(num_classes=5)(torch.zeros(1, 3, 8, 32, 32))
        >>> scores.shape
        torch.Size([1, 5])
    """

    TAKES: ClassVar[str] = "clips"
    FIRST: ClassVar[str] = "conv1a"
    LAST: ClassVar[tuple[str, ...]] = ("fc8",)

    def __init__(self, config: C3DConfig) -> None:
        super().__init__(config)
        self.conv1a = nn.Conv3d(config.in_channels, 64, 3, padding=1)
        self.conv2a = nn.Conv3d(64, 128, 3, padding=1)
        self.conv3a = nn.Conv3d(128, 256, 3, padding=1)
        self.conv3b = nn.Conv3d(256, 256, 3, padding=1)
        self.conv4a = nn.Conv3d(256, 512, 3, padding=1)
        self.conv4b = nn.Conv3d(512, 512, 3, padding=1)
        self.conv5a = nn.Conv3d(512, 512, 3, padding=1)
        self.conv5b = nn.Conv3d(512, 512, 3, padding=1)
        self.pool1 = nn.MaxPool3d((1, 2, 2), ceil_mode=True)
        self.pool = nn.MaxPool3d(2, ceil_mode=True)
        self.avgpool = nn.AdaptiveAvgPool2d(4)
        self.fc6 = nn.Linear(512 * 16, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, config.num_classes)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(config.dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            if isinstance(module, nn.Conv3d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        relu, pool = self.relu, self.pool
        return (
            ("pool1", lambda input: self.pool1(relu(self.conv1a(input)))),
            ("pool2", lambda maps: pool(relu(self.conv2a(maps)))),
            ("pool3", lambda maps: pool(relu(self.conv3b(relu(self.conv3a(maps)))))),
            ("pool4", lambda maps: pool(relu(self.conv4b(relu(self.conv4a(maps)))))),
            ("pool5", lambda maps: pool(relu(self.conv5b(relu(self.conv5a(maps)))))),
        )

    @override
    def head(self, maps: Tensor) -> Tensor:
        found = self.dropout(self.relu(self.fc6(self.avgpool(maps.mean(2)).flatten(1))))
        scores: Tensor = self.fc8(self.dropout(self.relu(self.fc7(found))))
        return scores


c3d = builder("c3d", C3D, C3DConfig)
