"""Local contrast normalisation, and its two halves, as layers."""

from collections.abc import Sequence

from torch import Tensor, nn

from striate.ops.local_contrast_norm.op import check_settings, divisive_norm, local_contrast_norm, subtractive_norm
from striate.ops.local_contrast_norm.window import Border, Mode


class LocalContrastNorm(nn.Module):
    """Take away the local mean and divide by the local deviation; see `striate.local_contrast_norm`.

    It has no parameters, and takes maps along one to three axes.

    Args:
        kernel_size: taps of the window, odd; one number or one an axis.
        sigma: standard deviations of the Gaussian in places, more than 0; one number or one an axis. None for a quarter
            of the taps.
        mode: "jarrett2009", or "torch7" for what `SpatialContrastiveNormalization` computes.
        floor: the smallest divisor, at least 0. None for the mean deviation of each sample, or Torch7's 1e-4.
        border: "renormalize" to let the window that is inside sum to 1, or "zeros" to count what is outside as 0.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Example:
        >>> layer = LocalContrastNorm(9)
        >>> picture = torch.rand(1, 3, 32, 32, dtype=torch.float64)
        >>> torch.allclose(layer(2 * picture + 5), layer(picture))
        True
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int] = 7,
        *,
        sigma: float | Sequence[float] | None = None,
        mode: Mode = "jarrett2009",
        floor: float | None = None,
        border: Border = "renormalize",
    ) -> None:
        super().__init__()
        check_settings("LocalContrastNorm", kernel_size, sigma, mode, floor, border)
        self.kernel_size, self.sigma, self.mode, self.floor, self.border = kernel_size, sigma, mode, floor, border

    def forward(self, input: Tensor) -> Tensor:
        """Normalise.

        Args:
            input: `(N, C, *sizes)`.

        Returns:
            The input's shape.
        """
        return local_contrast_norm(
            input, self.kernel_size, sigma=self.sigma, mode=self.mode, floor=self.floor, border=self.border
        )

    def extra_repr(self) -> str:
        """The settings, where they say something.

        Returns:
            One line.
        """
        return _shown(self.kernel_size, sigma=self.sigma, mode=self.mode, floor=self.floor, border=self.border)


class SubtractiveNorm(nn.Module):
    """Take away the local mean; see `striate.subtractive_norm`.

    It has no parameters, and takes maps along one to three axes.

    Args:
        kernel_size: taps of the window, odd; one number or one an axis.
        sigma: standard deviations of the Gaussian in places, more than 0; one number or one an axis. None for a quarter
            of the taps.
        border: "renormalize" to let the window that is inside sum to 1, or "zeros" to count what is outside as 0.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Example:
        >>> SubtractiveNorm(5)(torch.full((1, 1, 4, 4), 7.0)).abs().max()
        tensor(0.)
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int] = 7,
        *,
        sigma: float | Sequence[float] | None = None,
        border: Border = "renormalize",
    ) -> None:
        super().__init__()
        check_settings("SubtractiveNorm", kernel_size, sigma, "jarrett2009", None, border)
        self.kernel_size, self.sigma, self.border = kernel_size, sigma, border

    def forward(self, input: Tensor) -> Tensor:
        """Normalise.

        Args:
            input: `(N, C, *sizes)`.

        Returns:
            The input's shape.
        """
        return subtractive_norm(input, self.kernel_size, sigma=self.sigma, border=self.border)

    def extra_repr(self) -> str:
        """The settings, where they say something.

        Returns:
            One line.
        """
        return _shown(self.kernel_size, sigma=self.sigma, mode="jarrett2009", floor=None, border=self.border)


class DivisiveNorm(nn.Module):
    """Divide by the local root of the mean of squares; see `striate.divisive_norm`.

    It has no parameters, and takes maps along one to three axes.

    Args:
        kernel_size: taps of the window, odd; one number or one an axis.
        sigma: standard deviations of the Gaussian in places, more than 0; one number or one an axis. None for a quarter
            of the taps.
        mode: "jarrett2009", or "torch7" for what `SpatialDivisiveNormalization` computes.
        floor: the smallest divisor, at least 0. None for the mean root of each sample, or Torch7's 1e-4.
        border: "renormalize" to let the window that is inside sum to 1, or "zeros" to count what is outside as 0.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Example:
        >>> DivisiveNorm(5)(torch.full((1, 1, 4, 4), 7.0)).round(decimals=4).unique()
        tensor([1.])
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int] = 7,
        *,
        sigma: float | Sequence[float] | None = None,
        mode: Mode = "jarrett2009",
        floor: float | None = None,
        border: Border = "renormalize",
    ) -> None:
        super().__init__()
        check_settings("DivisiveNorm", kernel_size, sigma, mode, floor, border)
        self.kernel_size, self.sigma, self.mode, self.floor, self.border = kernel_size, sigma, mode, floor, border

    def forward(self, input: Tensor) -> Tensor:
        """Normalise.

        Args:
            input: `(N, C, *sizes)`.

        Returns:
            The input's shape.
        """
        return divisive_norm(
            input, self.kernel_size, sigma=self.sigma, mode=self.mode, floor=self.floor, border=self.border
        )

    def extra_repr(self) -> str:
        """The settings, where they say something.

        Returns:
            One line.
        """
        return _shown(self.kernel_size, sigma=self.sigma, mode=self.mode, floor=self.floor, border=self.border)


def _shown(
    kernel_size: int | Sequence[int],
    *,
    sigma: float | Sequence[float] | None,
    mode: Mode,
    floor: float | None,
    border: Border,
) -> str:
    usual = {"sigma": None, "mode": "jarrett2009", "floor": None, "border": "renormalize"}
    given = {"sigma": sigma, "mode": mode, "floor": floor, "border": border}
    return ", ".join([str(kernel_size), *(f"{name}={given[name]}" for name in usual if given[name] != usual[name])])
