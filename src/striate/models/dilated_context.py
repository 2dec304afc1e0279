"""A dilated network for dense prediction: a front end, and the context module of Yu and Koltun."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from striate.models.builder import builder
from striate.models.input_size import check_input_size
from striate.models.network import Network, Stage, check_at_least

# Of each bank of the front end, VGG-16's: convolutions, filters in widths, dilation, and whether it pools.
_BANKS = ((2, 1, 1, True), (2, 2, 1, True), (3, 4, 1, True), (3, 8, 1, False), (3, 8, 2, False))
_CONTEXT = (1, 1, 2, 4, 8, 16, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DilatedContextConfig:
    """What can be chosen in a dilated context network.

    Args:
        in_channels: channels of the picture.
        num_classes: classes to tell apart.
        input_size: height and width of the pictures to expect, at least 8 each; others may come.
        width: filters of the first bank; the others have multiples of it. The paper's front end, VGG-16, has 64.
        channels: maps that the context module works on, at least 1; the paper's are its 21 classes.
        dropout: probability of dropping a unit after each of the two wide layers of the front end.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> DilatedContextConfig(num_classes=3).channels
        21
    """

    in_channels: int = 3
    num_classes: int = 21
    input_size: tuple[int, int] = (224, 224)
    width: int = 16
    channels: int = 21
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_at_least(
            1, in_channels=self.in_channels, num_classes=self.num_classes, width=self.width, channels=self.channels
        )
        check_input_size(self.input_size, 2, 8)


def _conv(in_channels: int, filters: int, kernel_size: int = 3, dilation: int = 1) -> list[nn.Module]:
    """A rectified convolution that keeps the size."""
    padding = dilation * (kernel_size // 2)
    conv = nn.Conv2d(in_channels, filters, kernel_size, padding=padding, dilation=dilation)
    return [conv, nn.ReLU(inplace=True)]


def _bank(below: int, filters: int, convolutions: int, dilation: int, pools: bool) -> nn.Sequential:
    """Convolutions of the front end, and a pooling where there is one."""
    channels = (below, *(filters,) * convolutions)
    layers = [layer for sizes in zip(channels, channels[1:], strict=False) for layer in _conv(*sizes, 3, dilation)]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pools else []))


class DilatedContext(Network):
    """A front end that halves the picture three times, and a module that looks ever further without halving it again.

    The front end is VGG-16's with its last two poolings taken out; what follows them is dilated by 2 and 4 instead, and
    so sees as much. The context module has seven 3x3 convolutions with dilations of 1, 1, 2, 4, 8, 16 and 1, rectified,
    and a 1x1 one for the scores: each place sees 3, 5, 9, 17, 33, 65 and 67 places along each axis, with 9 weights a
    layer. All of them begin as the identity, and so the module begins by passing on what the front end found.

    Sizes for 3x224x224: 16x112x112 (`bank1`), 32x56x56 (`bank2`), 64x28x28 (`bank3`), 128x28x28 (`bank4`, `bank5`),
    1024x28x28 (`wide`), 21x28x28 (`front`, `context`), 21x224x224: the scores are enlarged bilinearly to the size of
    the picture. Parameters: 8,443,853. Beside the paper there is zero padding in each layer instead of a reflected
    picture, and with a `width` of 64 the front end is as large as there.

    Args:
        config: what can be chosen; see `DilatedContextConfig`.

    Raises:
        ValueError: if an option is out of its range.

    Source:
        Yu and Koltun, "Multi-scale context aggregation by dilated convolutions", ICLR 2016,
        https://arxiv.org/abs/1511.07122, table 1 and sections 3 and 4.

    Example:
        >>> network = DilatedContext(DilatedContextConfig(num_classes=5, width=2)).eval()
        >>> network(torch.zeros(1, 3, 30, 40)).shape
        torch.Size([1, 5, 30, 40])
        >>> maps = torch.rand(1, 21, 9, 9)
        >>> torch.equal(network.context(maps), maps)
        True
    """

    GIVES: ClassVar[str] = "maps"
    FIRST: ClassVar[str] = "banks.0.0"
    LAST: ClassVar[tuple[str, ...]] = ("scores",)

    def __init__(self, config: DilatedContextConfig) -> None:
        super().__init__(config)
        self.banks = nn.ModuleList()
        below = config.in_channels
        for convolutions, widths, dilation, pools in _BANKS:
            self.banks.append(_bank(below, widths * config.width, convolutions, dilation, pools))
            below = widths * config.width
        self.wide = nn.Sequential(
            *_conv(below, 64 * config.width, 7, 4), nn.Dropout(config.dropout),
            *_conv(64 * config.width, 64 * config.width, 1), nn.Dropout(config.dropout),
        )  # fmt: skip
        self.front = nn.Conv2d(64 * config.width, config.channels, 1)
        self.context = nn.Sequential(
            *(layer for dilation in _CONTEXT for layer in _conv(config.channels, config.channels, 3, dilation))
        )
        self.scores = nn.Conv2d(config.channels, config.num_classes, 1)
        passes_on = {*self.context, self.scores}
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                (nn.init.dirac_ if layer in passes_on else nn.init.kaiming_normal_)(layer.weight)
                nn.init.zeros_(layer.bias)

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        banks = [(f"bank{place}", bank) for place, bank in enumerate(self.banks, 1)]
        return [*banks, ("wide", self.wide), ("front", self.front), ("context", self.context)]

    @override
    def head(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.scores(maps)
        return scores

    @override
    def forward(self, input: Tensor) -> Tensor:
        scores: Any = super().forward(input)
        return F.interpolate(scores, size=input.shape[2:], mode="bilinear", align_corners=False)


dilated_context = builder("dilated_context", DilatedContext, DilatedContextConfig)
