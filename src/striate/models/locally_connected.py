"""DeepFace: a network of faces with unshared filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from striate.geometry import Window
from striate.models.builder import builder
from striate.models.network import Network, Stage, check_at_least
from striate.models.picture_size import check_size, last_sizes
from striate.nn.local_conv import LocalConv2d

_SHARED = (Window(11), Window(3, 2, ceil_mode=True), Window(9))
_UNSHARED = (Window(9), Window(7, 2), Window(5))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepFaceConfig:
    """What can be chosen in a DeepFace.

    Args:
        in_channels: channels of the picture.
        num_classes: people to tell apart.
        input_size: height and width of the picture in pixels, at least 72 each.
        dropout: probability of dropping a unit of the first linear layer.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> DeepFaceConfig(num_classes=10).input_size
        (152, 152)
    """

    in_channels: int = 3
    num_classes: int = 4030
    input_size: tuple[int, int] = (152, 152)
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        last_sizes("deepface", self.input_size, (*_SHARED, *_UNSHARED))


class DeepFace(Network):
    """DeepFace: two convolutions, three locally connected layers and two linear ones.

    The faces lie upright and frontal in the picture, so that every place has its own statistics: eyes are looked for
    where eyes are, by filters that no other place shares. This costs weights, not multiplications. The pooling rounds
    up, as only then the paper's sizes come out.

    Sizes for 3x152x152: 32x142x142 (`c1`), 32x71x71 (`m2`), 16x63x63 (`c3`), 16x55x55 (`l4`), 16x25x25 (`l5`), 16x21x21
    (`l6`), 4096, 4030. Parameters: 118,923,774, of which 73,454,256 are the locally connected layers'; the paper has
    "more than 120 million", which these sizes do not give. A network is made for one size of picture.

    Args:
        config: what can be chosen; see `DeepFaceConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Taigman, Yang, Ranzato and Wolf, "DeepFace: closing the gap to human-level performance in face verification",
        CVPR 2014, section 3.1 and figure 2.

    Example:
        >>> network = DeepFace(DeepFaceConfig(num_classes=5, input_size=(72, 72)))
        >>> network(torch.zeros(1, 3, 72, 72)).shape
        torch.Size([1, 5])
    """

    FIRST: ClassVar[str] = "c1"
    LAST: ClassVar[tuple[str, ...]] = ("f8",)

    def __init__(self, config: DeepFaceConfig) -> None:
        super().__init__(config)
        sizes = [last_sizes("deepface", config.input_size, (*_SHARED, *_UNSHARED[:depth])) for depth in range(4)]
        self.c1 = nn.Conv2d(config.in_channels, 32, 11)
        self.m2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.c3 = nn.Conv2d(32, 16, 9)
        self.l4 = LocalConv2d(16, 16, 9, sizes[0])
        self.l5 = LocalConv2d(16, 16, 7, sizes[1], stride=2)
        self.l6 = LocalConv2d(16, 16, 5, sizes[2])
        self.f7 = nn.Linear(16 * sizes[3][0] * sizes[3][1], 4096)
        self.f8 = nn.Linear(4096, config.num_classes)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(config.dropout)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        def c1(input: Tensor) -> Tensor:
            maps: Tensor = self.relu(self.c1(check_size("deepface", input, self.config.input_size)))
            return maps

        return (
            ("c1", c1),
            ("m2", self.m2),
            ("c3", lambda maps: self.relu(self.c3(maps))),
            ("l4", lambda maps: self.relu(self.l4(maps))),
            ("l5", lambda maps: self.relu(self.l5(maps))),
            ("l6", lambda maps: self.relu(self.l6(maps))),
        )

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.f8(self.dropout(self.relu(self.f7(maps.flatten(1)))))
        return scores


deepface = builder("deepface", DeepFace, DeepFaceConfig)
