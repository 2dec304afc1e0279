"""What the layers with a weight and a window have in common."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from striate import geometry
from striate.geometry import Window
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding, PaddingWord

Size = int | Sequence[int]


class WindowedNd(nn.Module):
    """Weight, bias and settings under the names that PyTorch gives them, so that state dicts load both ways."""

    _axes: ClassVar[int]
    padding: PaddingWord | tuple[Padding, ...]
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Padding | Sequence[Padding],
        dilation: Size,
        groups: int,
        bias: bool,
        device: torch.types.Device,
        dtype: torch.dtype | None,
        *,
        transposed: bool,
    ) -> None:
        super().__init__()
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            check_integer(name, value, 1)
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels)):
            if value % groups:
                raise ValueError(f"{name} must be a multiple of groups={groups}, got {value}")
        along = geometry.windows(self._axes, kernel_size, stride, padding, dilation)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = tuple(window.kernel for window in along)
        self.stride = tuple(window.stride for window in along)
        self.padding = padding if isinstance(padding, str) else tuple(window.padding for window in along)
        self.dilation = tuple(window.dilation for window in along)
        self.transposed = transposed
        rows, columns = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        self.weight = nn.Parameter(torch.empty(rows, columns // groups, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter(
            "bias", nn.Parameter(torch.empty(out_channels, device=device, dtype=dtype)) if bias else None
        )

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows of the layer, one an axis."""
        return geometry.windows(self._axes, self.kernel_size, self.stride, self.padding, self.dilation)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, as PyTorch's layer would with the same seed."""
        # Drawn in the order of the axes, so that the memory format does not change which weight gets which number.
        drawn = torch.empty_like(self.weight, memory_format=torch.contiguous_format)
        with torch.no_grad():
            self.weight.copy_(nn.init.kaiming_uniform_(drawn, a=math.sqrt(5)))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.weight[0].numel())
            nn.init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """The settings as PyTorch's layers show them: those that every layer has, and those that are unusual."""
        usual = {"padding": (0,), "dilation": (1,), "output_padding": (0,)}
        shown = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        for name, value in usual.items():
            if getattr(self, name, value) not in (value, value * self._axes):
                shown.append(f"{name}={getattr(self, name)}")
        if self.groups != 1:
            shown.append(f"groups={self.groups}")
        if self.bias is None:
            shown.append("bias=False")
        if getattr(self, "padding_mode", "zeros") != "zeros":
            shown.append(f"padding_mode={self.padding_mode}")
        return ", ".join(shown)


def border_values(border: Any, channels: int) -> Tensor:
    """The value of each channel outside the input.

    Raises:
        TypeError: if it is no number.
        ValueError: if there are as many as other channels.
    """
    message = f"border must be a number or one a channel ({channels}), got {border!r}"
    try:
        values = torch.as_tensor(border, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(message) from error
    if values.shape not in ((), (channels,)):
        raise ValueError(message)
    return values.detach().expand(channels).clone()
