"""PyTorch's convolutions as Striate's."""

from typing import Literal, cast

from torch import nn

from striate.geometry.padding import Padding, PaddingWord
from striate.nn.conv import CONVOLUTIONS, DEPTHWISE_CONVOLUTIONS, ConvNd
from striate.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, ConvTransposeNd

_CONVOLUTIONS = dict(zip((nn.Conv1d, nn.Conv2d, nn.Conv3d), CONVOLUTIONS, strict=True))
_TRANSPOSED = {
    nn.ConvTranspose1d: ConvTranspose1d,
    nn.ConvTranspose2d: ConvTranspose2d,
    nn.ConvTranspose3d: ConvTranspose3d,
}


def from_torch(module: nn.Module) -> ConvNd | ConvTransposeNd:
    """A convolution of PyTorch as one of Striate, with the very same parameters.

    The parameters are shared, not copied: an optimizer that holds them goes on training them. Hooks stay behind.

    Args:
        module: a `torch.nn.Conv1d`, `Conv2d`, `Conv3d`, `ConvTranspose1d`, `ConvTranspose2d` or `ConvTranspose3d`; a
            subclass, which may compute something else, is refused.

    Returns:
        The layer of the same name and settings from `striate.nn`.

    Raises:
        TypeError: if the module is anything else.

    Example:
        >>> theirs = nn.Conv2d(3, 8, 3, padding="same", padding_mode="reflect")
        >>> ours = from_torch(theirs)
        >>> ours
        Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=same, padding_mode=reflect)
        >>> ours.weight is theirs.weight
        True
    """
    layer: ConvNd | ConvTransposeNd
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and type(module) in _CONVOLUTIONS:
        layer = _CONVOLUTIONS[type(module)](
            module.in_channels, module.out_channels, module.kernel_size, module.stride,
            cast(PaddingWord | tuple[Padding, ...], module.padding), module.dilation, module.groups,
            module.bias is not None, module.padding_mode, "meta",
        )  # fmt: skip
    elif (
        isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d) and type(module) in _TRANSPOSED
    ):
        layer = _TRANSPOSED[type(module)](
            module.in_channels, module.out_channels, module.kernel_size, module.stride,
            cast(tuple[Padding, ...], module.padding), module.output_padding, module.groups, module.bias is not None,
            module.dilation, cast(Literal["zeros"], module.padding_mode), "meta",
        )  # fmt: skip
    else:
        names = ", ".join(known.__name__ for known in (*_CONVOLUTIONS, *_TRANSPOSED))
        raise TypeError(f"from_torch: module must be one of torch.nn's {names}, got {type(module).__qualname__}")
    layer.weight, layer.bias = cast(nn.Parameter, module.weight), cast(nn.Parameter | None, module.bias)
    return layer.train(module.training)


def as_conv(module: nn.Module) -> ConvNd | None:
    """A convolution that may be read as one linear map, PyTorch's or Striate's; None for any other module."""
    if isinstance(module, ConvNd) and type(module) in (*CONVOLUTIONS, *DEPTHWISE_CONVOLUTIONS):
        return module
    layer = from_torch(module) if type(module) in _CONVOLUTIONS else None
    return layer if isinstance(layer, ConvNd) else None
