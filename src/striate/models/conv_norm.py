"""Convolution, batch normalisation and rectification, with torchvision's names, and first weights for them."""

from collections.abc import Callable
from typing import Literal

from torch import nn

from striate.nn.conv import DepthwiseConv2d


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
    *,
    activation: Callable[..., nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, normalised and rectified."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), activation(inplace=True))


def depthwise_norm(channels: int, stride: int = 1, *, activation: Callable[..., nn.Module] = nn.ReLU) -> nn.Sequential:
    """The same with a 3x3 filter for each channel."""
    conv = DepthwiseConv2d(channels, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), activation(inplace=True))


def draw_weights(network: nn.Module, mode: Literal["fan_in", "fan_out"]) -> None:
    """Draw the weights of convolutions, by the numbers that they read or that read them, and of linear layers."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | DepthwiseConv2d):
            nn.init.kaiming_normal_(layer.weight, mode=mode)
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.01)
            nn.init.zeros_(layer.bias)
