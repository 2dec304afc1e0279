"""What the Inception networks have in common."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Mean and deviation of red, green and blue over ImageNet.
_IMAGENET = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))


class ConvNorm(nn.Module):
    """Convolution, batch normalisation, rectification."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, input: Tensor) -> Tensor:
        """Run the three."""
        return F.relu(self.bn(self.conv(input)), inplace=True)


def prepared(input: Tensor, least: int, transform: bool) -> Tensor:
    """The pictures as the first layer wants them.

    Args:
        input: `(N, C, H, W)`.
        least: that height and width may be.
        transform: whether they are to be normalised by a half, as the weights from TensorFlow want them, rather than by
            ImageNet's mean and deviation.

    Raises:
        ValueError: if they are too small.
    """
    if min(input.shape[-2:]) < least:
        raise ValueError(f"input must be (N, C, H, W) with H and W at least {least}, got {tuple(input.shape)}")
    if not transform:
        return input
    channels = [
        input[:, i : i + 1] * (deviation / 0.5) + (mean - 0.5) / 0.5 for i, (mean, deviation) in enumerate(_IMAGENET)
    ]
    return torch.cat(channels, 1)


def check_transform(transform_input: bool, in_channels: int) -> None:
    """See that there are three channels, where they are to be normalised anew.

    Raises:
        ValueError: if there are others.
    """
    if transform_input and in_channels != 3:
        raise ValueError(f"transform_input goes with 3 channels, got in_channels={in_channels}")


def begin_truncated(network: nn.Module, deviation: float) -> None:
    """Draw the first weights of convolutions and linear layers from a normal distribution cut off at 2."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=deviation)
