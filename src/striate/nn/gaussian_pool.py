"""Averages weighted by the distance from the centre of the window, as layers."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from striate import geometry
from striate.geometry import Window
from striate.geometry.padding import Padding
from striate.nn._windowed import Size
from striate.ops._docs import documented_like
from striate.ops.gaussian_pool.op import gaussian_pool1d, gaussian_pool2d, gaussian_pool3d

_FUNCTIONS = (gaussian_pool1d, gaussian_pool2d, gaussian_pool3d)


class GaussianPoolNd(nn.Module):
    """Weighted averages of windows, along any number of axes."""

    _axes: ClassVar[int]
    log_sigma: nn.Parameter | None

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding | Sequence[Padding] = 0,
        *,
        sigma: float | Sequence[float] | None = None,
        learn_sigma: bool = False,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        if sigma is None:
            sigmas: tuple[float, ...] = tuple(window.kernel / 4 for window in self.windows)
        else:
            sigmas = tuple(sigma) if isinstance(sigma, Sequence) else (sigma,) * self._axes
        if len(sigmas) != self._axes or not all(0 < own < math.inf for own in sigmas):
            raise ValueError(f"sigma must be one number above 0 or one an axis ({self._axes}), got {sigma!r}")
        self.sigma = sigmas
        empty = torch.empty(self._axes, device=device, dtype=dtype) if learn_sigma else None
        self.register_parameter("log_sigma", None if empty is None else nn.Parameter(empty))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Let a learned sigma begin anew."""
        if self.log_sigma is not None:
            with torch.no_grad():
                self.log_sigma.copy_(torch.tensor(self.sigma).log())

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows of the layer, one an axis."""
        return geometry.windows(self._axes, self.kernel_size, self.stride, self.padding)

    def forward(self, input: Tensor) -> Tensor:
        """Pool.

        Args:
            input: `(N, C, *sizes)` or `(C, *sizes)`.

        Returns:
            `(N, C, *output sizes)` or `(C, *output sizes)`.
        """
        sigma = self.sigma if self.log_sigma is None else self.log_sigma.exp()
        return _FUNCTIONS[self._axes - 1](input, self.kernel_size, self.stride, self.padding, sigma=sigma)

    def extra_repr(self) -> str:
        """The settings; sigma as it began."""
        shown = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, sigma={self.sigma}"
        return shown + ", learn_sigma=True" * (self.log_sigma is not None)


class GaussianPool2d(GaussianPoolNd):
    """Averages weighted by the distance from the centre of the window: `striate.gaussian_pool2d` as a layer.

    With `learn_sigma` the parameter `log_sigma` `(axes,)` holds the logarithms of the standard deviations, so that no
    step of an optimizer makes them negative.

    Args:
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1; None for the kernel size.
        padding: zeros added around the input, in any form of `striate.gaussian_pool2d`.
        sigma: standard deviation in places, above 0; one number or one an axis, None for a quarter of the kernel size.
        learn_sigma: whether it is learned, one an axis; then `sigma` is where it begins.
        device: where the parameter is.
        dtype: its type.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Example:
        >>> import torch
        >>> layer = GaussianPool2d(4, stride=2, padding="same", learn_sigma=True)
        >>> layer(torch.zeros(1, 8, 13, 10)).shape
        torch.Size([1, 8, 7, 5])
        >>> layer.log_sigma.exp().tolist()
        [1.0, 1.0]
    """

    _axes = 2


@documented_like(GaussianPool2d)
class GaussianPool1d(GaussianPoolNd):
    """Weighted averages of windows of a series: `striate.gaussian_pool1d` as a layer.

    Example:
        >>> import torch
        >>> GaussianPool1d(3, stride=1, padding="causal")(torch.zeros(1, 8, 13)).shape
        torch.Size([1, 8, 13])
    """

    _axes = 1


@documented_like(GaussianPool2d)
class GaussianPool3d(GaussianPoolNd):
    """Weighted averages of windows of a volume or clip: `striate.gaussian_pool3d` as a layer.

    Example:
        >>> import torch
        >>> GaussianPool3d((1, 3, 3), sigma=(1.0, 0.8, 0.8))(torch.zeros(1, 8, 5, 6, 9)).shape
        torch.Size([1, 8, 5, 2, 3])
    """

    _axes = 3
