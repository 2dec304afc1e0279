"""The two-stage network of Jarrett, Kavukcuoglu, Ranzato and LeCun."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from striate import tables
from striate.geometry import Window
from striate.models.builder import builder
from striate.models.network import Network, Stage, check_at_least
from striate.models.picture_size import check_size, last_sizes
from striate.nn.jarrett_stage import JarrettStage

_WINDOWS = (Window(9), Window(10, 5), Window(9), Window(6, 4))
_POOLINGS = ("average", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class JarrettNetConfig:
    """What can be chosen in a two-stage network.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the picture in pixels, at least 83 each.
        rectify: whether the responses are rectified, the paper's R_abs.
        normalize: whether contrast is normalised, the paper's N.
        pooling: "average", the paper's P_A, or "max", its P_M.
        links: maps of the first stage that each map of the second reads, up to 64.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> JarrettNetConfig(rectify=False, normalize=False).input_size
        (143, 143)
    """

    in_channels: int = 1
    num_classes: int = 102
    input_size: tuple[int, int] = (143, 143)
    rectify: bool = True
    normalize: bool = True
    pooling: Literal["average", "max"] = "average"
    links: int = 16

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes, links=self.links)
        if self.links > 64:
            raise ValueError(f"links must be at most the 64 maps of the first stage, got {self.links}")
        if self.pooling not in _POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(_POOLINGS)}, got {self.pooling!r}")
        last_sizes("jarrett", self.input_size, _WINDOWS)


class JarrettNet(Network):
    """Two stages, each a filter bank, a tangent with gain, rectification, contrast normalisation and pooling.

    The paper asked which parts of a stage matter: rectification and normalisation most, of all when the filters are
    random. Each map of the second stage reads 16 of the 64 maps below, drawn at random with a seed of its own, so that
    the table is the same in every network; it is part of the state.

    Sizes for 1x143x143: 64x135x135, 64x26x26 (`stage1`), 256x18x18, 256x4x4 (`stage2`), 102. Parameters: 755,494
    (5,248 + 64 gains, 332,032 + 256 gains, 417,894). A network is made for one size of picture.

    Args:
        config: what can be chosen; see `JarrettNetConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, "What is the best multi-stage architecture for object recognition?",
        ICCV 2009, sections 2 and 4.1; the 102 classes are Caltech-101's and its background.

    Example:
        >>> network = JarrettNet(JarrettNetConfig(num_classes=5, input_size=(83, 83)))
        >>> network(torch.zeros(1, 1, 83, 83)).shape
        torch.Size([1, 5])
        >>> network.stage2.filters.weight.shape
        torch.Size([4096, 9, 9])
    """

    FIRST: ClassVar[str] = "stage1.filters"
    LAST: ClassVar[tuple[str, ...]] = ("classifier",)

    def __init__(self, config: JarrettNetConfig) -> None:
        super().__init__(config)
        height, width = last_sizes("jarrett", config.input_size, _WINDOWS)
        table = tables.random(64, 256, config.links, generator=torch.Generator("cpu").manual_seed(0))
        normalize = 9 if config.normalize else None
        self.stage1 = JarrettStage(
            config.in_channels, 64, 9, rectify=config.rectify, normalize=normalize, pool=config.pooling
        )
        self.stage2 = JarrettStage(
            64, 256, 9, table=table, rectify=config.rectify, normalize=normalize, pool=config.pooling, pool_size=6,
            pool_stride=4,
        )  # fmt: skip
        self.classifier = nn.Linear(256 * height * width, config.num_classes)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        return (
            ("stage1", lambda input: self.stage1(check_size("jarrett", input, self.config.input_size))),
            ("stage2", self.stage2),
        )

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.classifier(maps.flatten(1))
        return scores


jarrett = builder("jarrett", JarrettNet, JarrettNetConfig)
