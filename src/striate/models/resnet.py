"""Residual networks, with and without deformable layers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from torch import Tensor, nn
from typing_extensions import override

from striate.models.builder import builder
from striate.models.input_size import check_input_size
from striate.models.network import Network, Stage, check_at_least
from striate.models.residual import BasicBlock, Bottleneck, residual_stage
from striate.nn.deform_conv import DeformConv2d

_BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}
_WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetConfig:
    """What can be chosen in a residual network.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the picture in pixels, at least 1 each; the network takes others, too.
        block: "basic" for two 3x3 convolutions a block, "bottleneck" for 1x1, 3x3 and 1x1.
        layers: blocks of each of the four stages, at least 1 each.
        replace_stride_with_dilation: for each of the last three stages, whether it keeps the size of its maps and
            spreads its taps instead.
        zero_init_residual: whether each block begins as its shortcut alone.
        deformable_stages: those of the stages 1 to 4 whose 3x3 convolutions are deformable, the second one of a basic
            block; they predict their offsets themselves.
        deformable_mask: whether those predict a factor for each sample, too.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> ResNetConfig(block="bottleneck", layers=(3, 4, 6, 3)).deformable_stages
        ()
    """

    in_channels: int = 3
    num_classes: int = 1000
    input_size: tuple[int, int] = (224, 224)
    block: Literal["basic", "bottleneck"] = "basic"
    layers: tuple[int, int, int, int] = (2, 2, 2, 2)
    replace_stride_with_dilation: tuple[bool, bool, bool] = (False, False, False)
    zero_init_residual: bool = False
    deformable_stages: tuple[int, ...] = ()
    deformable_mask: bool = True

    def __post_init__(self) -> None:
        check_at_least(1, in_channels=self.in_channels, num_classes=self.num_classes)
        check_input_size(self.input_size, 2)
        if self.block not in _BLOCKS:
            raise ValueError(f"block must be one of {', '.join(_BLOCKS)}, got {self.block!r}")
        if len(self.layers) != 4 or any(count < 1 for count in self.layers):
            raise ValueError(f"layers must be four numbers of blocks, each at least 1, got {self.layers}")
        if len(self.replace_stride_with_dilation) != 3:
            raise ValueError(
                "replace_stride_with_dilation must be three, one a stage from the second, got "
                f"{self.replace_stride_with_dilation}"
            )
        if not set(self.deformable_stages) <= {1, 2, 3, 4}:
            raise ValueError(f"deformable_stages must be some of 1, 2, 3, 4, got {self.deformable_stages}")


class ResNet(Network):
    """ResNet: four stages of blocks, each of which adds what its convolutions find to its input.

    Sizes for 3x224x224: conv1 64x112x112, a 3x3 pooling of stride 2, then the stages 64x56x56, 128x28x28, 256x14x14 and
    512x7x7 of basic blocks, with bottlenecks four times as many maps; the mean of each map; scores. Parameters, for
    1000 classes: `resnet18` 11,689,512, `resnet34` 21,797,672, `resnet50` 25,557,032, `resnet101` 44,549,160,
    `resnet152` 60,192,808; `resnet18_deform` 12,125,130, `resnet50_deform` 26,428,295.

    The networks and their tensors' names are torchvision's. A bottleneck has its stride in the 3x3 convolution, as
    there; the paper has it in the first. Any size of picture will do.

    `resnet18_deform` and `resnet50_deform` move the taps of the 3x3 convolutions of stages 2 to 4, conv3 to conv5 in
    the paper's words; `deformable_stages=(4,), deformable_mask=False` is nearest to Dai's. Offsets begin at 0 and masks
    at 1, so that with the same weights the network begins as the plain one; the paper's masks begin at 1/2. A file of
    the plain network loads with `strict=False`: the predictors alone are missing.

    Args:
        config: what can be chosen; see `ResNetConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015, https://arxiv.org/abs/1512.03385;
        deformable: Dai et al., 2017, https://arxiv.org/abs/1703.06211, and Zhu et al., 2019,
        https://arxiv.org/abs/1811.11168. Names and first weights: torchvision/models/resnet.py.

    Example:
        >>> with torch.device("meta"):
        ...     network = resnet18(num_classes=10)
        ...     maps = network.features(torch.zeros(1, 3, 224, 224))
        >>> {name: tuple(found.shape[1:]) for name, found in maps.items() if name > "layer2"}
        {'layer3': (256, 14, 14), 'layer4': (512, 7, 7)}
    """

    FIRST: ClassVar[str] = "conv1"
    LAST: ClassVar[tuple[str, ...]] = ("fc",)

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        block = _BLOCKS[config.block]
        self.conv1 = nn.Conv2d(config.in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels, dilation, spread = 64, 1, (False, *config.replace_stride_with_dilation)
        for number, (width, count) in enumerate(zip(_WIDTHS, config.layers, strict=True), 1):
            stride, before = 2 if number > 1 else 1, dilation
            if spread[number - 1]:
                stride, dilation = 1, 2 * dilation
            stage = residual_stage(
                block, channels, width, count, stride=stride, dilations=(before, dilation),
                spatial=_deformable(config.deformable_mask) if number in config.deformable_stages else None,
            )  # fmt: skip
            self.add_module(f"layer{number}", stage)
            channels = width * block.EXPANSION
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, config.num_classes)
        self._begin(config.zero_init_residual)

    def _begin(self, zero_init_residual: bool) -> None:
        """Draw the first weights as torchvision does."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | DeformConv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if zero_init_residual and isinstance(module, BasicBlock | Bottleneck):
                last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                nn.init.zeros_(last.get_parameter("weight"))

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        return (
            ("conv1", lambda input: self.relu(self.bn1(self.conv1(input)))),
            ("layer1", lambda maps: self.layer1(self.maxpool(maps))),
            ("layer2", self.layer2),
            ("layer3", self.layer3),
            ("layer4", self.layer4),
        )

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.fc(self.avgpool(maps).flatten(1))
        return scores


def _deformable(mask: bool) -> Callable[..., nn.Module]:
    """What builds a deformable convolution that begins as an ordinary one."""
    if not mask:
        return partial(DeformConv2d, predict=True, mask=False)
    return partial(DeformConv2d, predict=True, mask_init=1.0)


_BASIC, _BOTTLENECK, _LAST_THREE = {"block": "basic"}, {"block": "bottleneck"}, {"deformable_stages": (2, 3, 4)}

resnet18 = builder("resnet18", ResNet, ResNetConfig, **_BASIC, layers=(2, 2, 2, 2))
resnet34 = builder("resnet34", ResNet, ResNetConfig, **_BASIC, layers=(3, 4, 6, 3))
resnet50 = builder("resnet50", ResNet, ResNetConfig, **_BOTTLENECK, layers=(3, 4, 6, 3))
resnet101 = builder("resnet101", ResNet, ResNetConfig, **_BOTTLENECK, layers=(3, 4, 23, 3))
resnet152 = builder("resnet152", ResNet, ResNetConfig, **_BOTTLENECK, layers=(3, 8, 36, 3))
resnet18_deform = builder("resnet18_deform", ResNet, ResNetConfig, **_BASIC, layers=(2, 2, 2, 2), **_LAST_THREE)
resnet50_deform = builder("resnet50_deform", ResNet, ResNetConfig, **_BOTTLENECK, layers=(3, 4, 6, 3), **_LAST_THREE)
