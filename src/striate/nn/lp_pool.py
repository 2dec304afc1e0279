"""Norms of windows as layers."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from striate import geometry
from striate.geometry import Window
from striate.geometry.padding import Padding
from striate.nn._windowed import Size
from striate.ops._docs import documented_like
from striate.ops.lp_pool.op import lp_pool1d, lp_pool2d, lp_pool3d

_FUNCTIONS = (lp_pool1d, lp_pool2d, lp_pool3d)


class LPPoolNd(nn.Module):
    """The norm of each window, along any number of axes."""

    _axes: ClassVar[int]

    def __init__(
        self,
        norm_type: float,
        kernel_size: Size,
        stride: Size | None = None,
        ceil_mode: bool = False,
        *,
        padding: Padding | Sequence[Padding] = 0,
        dilation: Size = 1,
    ) -> None:
        super().__init__()
        stride = kernel_size if stride is None else stride
        geometry.windows(self._axes, kernel_size, stride, padding, dilation, ceil_mode)
        self.norm_type, self.ceil_mode = norm_type, ceil_mode
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows of the layer, one an axis."""
        return geometry.windows(self._axes, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def forward(self, input: Tensor) -> Tensor:
        """Pool.

        Args:
            input: `(N, C, *sizes)` or `(C, *sizes)`.

        Returns:
            `(N, C, *output sizes)` or `(C, *output sizes)`.
        """
        return _FUNCTIONS[self._axes - 1](
            input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode,
            padding=self.padding, dilation=self.dilation,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The settings as PyTorch's layer shows them, and those that are unusual."""
        shown = [f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}"]
        shown.append(f"ceil_mode={self.ceil_mode}")
        shown += [f"padding={self.padding}"] * (self.padding != 0)
        return ", ".join(shown + [f"dilation={self.dilation}"] * (self.dilation != 1))


class LPPool2d(LPPoolNd):
    """The norm of each window: `striate.lp_pool2d` as a layer.

    Args:
        norm_type: the power, above 0; `math.inf` for the largest absolute number.
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1; None for the kernel size.
        ceil_mode: whether a last window may hang over the end.
        padding: zeros added around the input, in any form of `striate.lp_pool2d`.
        dilation: places from one tap of the window to the next, at least 1.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Example:
        >>> import torch
        >>> LPPool2d(2, 3, stride=2, padding="same")(torch.zeros(1, 8, 13, 10)).shape
        torch.Size([1, 8, 7, 5])
    """

    _axes = 2


@documented_like(LPPool2d)
class LPPool1d(LPPoolNd):
    """The norm of each window of a series: `striate.lp_pool1d` as a layer.

    Example:
        >>> import torch
        >>> LPPool1d(2, 2)(torch.tensor([[3.0, 4.0, 0.0, -2.0]]))
        tensor([[5., 2.]])
    """

    _axes = 1


@documented_like(LPPool2d)
class LPPool3d(LPPoolNd):
    """The norm of each window of a volume or clip: `striate.lp_pool3d` as a layer.

    Example:
        >>> import torch
        >>> LPPool3d(2, 2, ceil_mode=True)(torch.zeros(1, 8, 5, 6, 7)).shape
        torch.Size([1, 8, 3, 3, 4])
    """

    _axes = 3
