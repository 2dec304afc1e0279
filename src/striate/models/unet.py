"""U-Net: down to a bottleneck, and up again with the maps from the way down."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from striate.geometry import Window
from striate.models.builder import builder
from striate.models.input_size import check_input_size
from striate.models.network import Network, Stage, check_at_least

_PADDINGS = {"same": 1, "valid": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetConfig:
    """What can be chosen in a U-Net.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart at every place.
        input_size: height and width of the picture in pixels; the network takes others, too. With "valid" padding and a
            depth of 4, at least 173 each.
        depth: poolings on the way down, and so steps on the way up.
        width: filters of the first convolutions; each step down doubles them.
        padding: "same" gives classes of every pixel; "valid", the paper's, of those that see no border.
        batch_norm: whether each convolution of 3x3 is normalised; it then adds no number of its own.
        dropout: probability of dropping a unit at the bottom.

    Raises:
        ValueError: if an option is out of its range, or nothing is left of the picture on the way.

    Example:
        >>> UNetConfig(in_channels=3, depth=3, width=32).padding
        'same'
    """

    in_channels: int = 1
    num_classes: int = 2
    input_size: tuple[int, int] = (512, 512)
    depth: int = 4
    width: int = 64
    padding: Literal["same", "valid"] = "same"
    batch_norm: bool = False
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_at_least(
            1, in_channels=self.in_channels, num_classes=self.num_classes, depth=self.depth, width=self.width
        )
        if self.padding not in _PADDINGS:
            raise ValueError(f"padding must be one of {', '.join(_PADDINGS)}, got {self.padding!r}")
        check_input_size(self.input_size, 2)
        try:
            for side in self.input_size:
                _output_size(side, self.depth, _PADDINGS[self.padding])
        except ValueError as error:
            raise ValueError(
                f"input_size must leave something of the picture at depth {self.depth} with padding {self.padding}, "
                f"got {self.input_size}"
            ) from error


def _output_size(size: int, depth: int, padding: int) -> int:
    """Places of the scores along one axis.

    Raises:
        ValueError: if nothing is left of the picture on the way.
    """
    conv, pool, up = Window(3, padding=padding), Window(2, 2, ceil_mode=True), Window(2, 2)
    size = conv.output_size(conv.output_size(size))
    if not depth:
        return size
    below = _output_size(pool.output_size(size), depth - 1, padding)
    return conv.output_size(conv.output_size(min(size, up.transposed_output_size(below))))


class UNet(Network):
    """U-Net: each step down doubles the filters and halves the maps, each step up joins what the way down had there.

    A step is two convolutions of 3x3 with rectification; on the way down a 2x2 pooling follows, on the way up a
    transposed convolution of 2x2 goes before. Sizes for 1x512x512: 64x512x512, 128x256x256, 256x128x128, 512x64x64,
    1024x32x32 at the bottom, 512x64x64, 256x128x128, 128x256x256, 64x512x512; scores of 2x512x512. Parameters:
    31,030,658 with either padding.

    With `padding="valid"` it is the paper's network: 1x572x572 gives 2x388x388, and the middle of the maps of the way
    down is joined. With "same", the default, maps keep their size, and any size will do: a pooling of an odd size hangs
    over its end, and the way up is cut there. The paper names no probability of dropout. Convolutions begin as the
    paper's, normal with a deviation of sqrt(2 / inputs), and biases at 0.

    Args:
        config: what can be chosen; see `UNetConfig`.

    Raises:
        ValueError: if an option is out of its range, or nothing is left of the picture on the way.

    Source:
        Ronneberger, Fischer and Brox, "U-Net: Convolutional networks for biomedical image segmentation", 2015,
        https://arxiv.org/abs/1505.04597, figure 1.

    Example:
        >>> network = unet(depth=2, width=4, in_channels=3, num_classes=5)
        >>> network(torch.zeros(1, 3, 30, 45)).shape
        torch.Size([1, 5, 30, 45])
        >>> list(network.features(torch.zeros(1, 3, 30, 45)))
        ['down1', 'down2', 'bottom', 'up2', 'up1']
    """

    GIVES: ClassVar[str] = "maps"
    FIRST: ClassVar[str] = "down.0.0"
    LAST: ClassVar[tuple[str, ...]] = ("output",)

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        widths = [config.width << step for step in range(config.depth + 1)]
        pairs = list(zip(widths, widths[1:], strict=False))
        self.down = nn.ModuleList(
            _step(before, after, config)
            for before, after in zip((config.in_channels, *widths), widths[:-1], strict=False)
        )
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.bottom = _step(*pairs[-1], config)
        self.dropout = nn.Dropout(config.dropout)
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(wide, narrow, 2, stride=2) for narrow, wide in pairs)
        self.up = nn.ModuleList(_step(wide, narrow, config) for narrow, wide in pairs)
        self.output = nn.Conv2d(config.width, config.num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        # What the way down leaves for the way up.
        left: list[Tensor] = []

        def down(step: int, maps: Tensor) -> Tensor:
            left.append(self.down[step](self.pool(maps) if step else maps))
            return left[-1]

        def up(step: int, maps: Tensor) -> Tensor:
            joined: Tensor = self.up[step](_joined(left.pop(), self.enlarge[step](maps)))
            return joined

        steps = range(self.config.depth)
        return (
            *((f"down{step + 1}", partial(down, step)) for step in steps),
            ("bottom", lambda maps: self.dropout(self.bottom(self.pool(maps)))),
            *((f"up{step + 1}", partial(up, step)) for step in reversed(steps)),
        )

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.output(maps)
        return scores


def _step(in_channels: int, width: int, config: UNetConfig) -> nn.Sequential:
    """Two convolutions with rectification."""
    layers: list[nn.Module] = []
    for channels in (in_channels, width):
        layers.append(nn.Conv2d(channels, width, 3, padding=_PADDINGS[config.padding], bias=not config.batch_norm))
        layers += [nn.BatchNorm2d(width)] if config.batch_norm else []
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _joined(left: Tensor, enlarged: Tensor) -> Tensor:
    """The channels of both, where both have places: the middle of the first, the low end of the second."""
    height, width = (min(sides) for sides in zip(left.shape[-2:], enlarged.shape[-2:], strict=True))
    top, start = (left.shape[-2] - height) // 2, (left.shape[-1] - width) // 2
    middle = left[..., top : top + height, start : start + width]
    return torch.cat([middle, enlarged[..., :height, :width]], 1)


unet = builder("unet", UNet, UNetConfig)
