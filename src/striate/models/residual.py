"""Residual blocks along one, two or three axes, and stages of them, with torchvision's names."""

from collections.abc import Callable

from torch import Tensor, nn

_CONVOLUTIONS: tuple[Callable[..., nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS: tuple[Callable[..., nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut: `relu(shortcut(x) + bn2(conv2(relu(bn1(conv1(x))))))`.

    Args:
        in_channels: channels of the input.
        width: filters of a convolution; the output has `EXPANSION` times as many channels.
        stride: of the first convolution.
        dilation: of both.
        downsample: the shortcut, where it is not the input itself.
        axes: 1, 2 or 3.
        kernel_size: taps along each axis, odd.
        spatial: builds the second convolution; PyTorch's if None.
    """

    EXPANSION = 1

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        axes: int = 2,
        kernel_size: int = 3,
        spatial: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        conv, norm = _CONVOLUTIONS[axes - 1], _NORMS[axes - 1]
        spread = {"padding": dilation * (kernel_size // 2), "dilation": dilation, "bias": False}
        self.conv1 = conv(in_channels, width, kernel_size, stride=stride, **spread)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = (spatial or conv)(width, width, kernel_size, **spread)
        self.bn2 = norm(width)
        self.downsample = downsample

    def forward(self, input: Tensor) -> Tensor:
        """Add what the convolutions find to the input."""
        found = self.relu(self.bn1(self.conv1(input)))
        found = self.bn2(self.conv2(found))
        found += input if self.downsample is None else self.downsample(input)
        output: Tensor = self.relu(found)
        return output


class Bottleneck(nn.Module):
    """A convolution between two of one tap, which narrow and widen the channels, beside a shortcut.

    Args:
        in_channels: channels of the input.
        width: filters of the first two convolutions; the output has `EXPANSION` times as many channels.
        stride: of the second convolution; the paper has it in the first.
        dilation: of the second convolution.
        downsample: the shortcut, where it is not the input itself.
        axes: 1, 2 or 3.
        kernel_size: taps of the second convolution along each axis, odd.
        spatial: builds the second convolution; PyTorch's if None.
    """

    EXPANSION = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        axes: int = 2,
        kernel_size: int = 3,
        spatial: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        conv, norm, out_channels = _CONVOLUTIONS[axes - 1], _NORMS[axes - 1], width * self.EXPANSION
        spread = {"padding": dilation * (kernel_size // 2), "dilation": dilation, "bias": False}
        self.conv1 = conv(in_channels, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = (spatial or conv)(width, width, kernel_size, stride=stride, **spread)
        self.bn2 = norm(width)
        self.conv3 = conv(width, out_channels, 1, bias=False)
        self.bn3 = norm(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, input: Tensor) -> Tensor:
        """Add what the convolutions find to the input."""
        found = self.relu(self.bn1(self.conv1(input)))
        found = self.relu(self.bn2(self.conv2(found)))
        found = self.bn3(self.conv3(found))
        found += input if self.downsample is None else self.downsample(input)
        output: Tensor = self.relu(found)
        return output


def residual_stage(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    width: int,
    count: int,
    *,
    stride: int = 1,
    dilations: tuple[int, int] = (1, 1),
    axes: int = 2,
    kernel_size: int = 3,
    spatial: Callable[..., nn.Module] | None = None,
) -> nn.Sequential:
    """Blocks of equal width, the first of which may take strides.

    Args:
        block: the kind of block.
        in_channels: channels of the input.
        width: of each block.
        count: blocks.
        stride: of the first block.
        dilations: of the first block and of the others.
        axes: 1, 2 or 3.
        kernel_size: taps along each axis, odd.
        spatial: builds the convolution that a block may have in another form; PyTorch's if None.

    Returns:
        The blocks, by their number.
    """
    out_channels, downsample = width * block.EXPANSION, None
    if stride != 1 or in_channels != out_channels:
        shortcut = _CONVOLUTIONS[axes - 1](in_channels, out_channels, 1, stride=stride, bias=False)
        downsample = nn.Sequential(shortcut, _NORMS[axes - 1](out_channels))
    first, dilation = dilations
    return nn.Sequential(
        block(
            in_channels, width, stride=stride, dilation=first, downsample=downsample, axes=axes,
            kernel_size=kernel_size, spatial=spatial,
        ),
        *(
            block(out_channels, width, dilation=dilation, axes=axes, kernel_size=kernel_size, spatial=spatial)
            for _ in range(1, count)
        ),
    )  # fmt: skip
