"""The activations as layers."""

import torch
from torch import Tensor, nn

from striate.geometry.checks import check_integer
from striate.ops.activation.op import abs_rectify, maxout, scaled_tanh


class AbsRectify(nn.Module):
    """The absolute value: `striate.abs_rectify` as a layer.

    Source:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, "What is the best multi-stage architecture for object recognition?",
        ICCV 2009, section 2.1, the layer R_abs.

    Example:
        >>> AbsRectify()(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([2., 0., 3.])
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """Rectify.

        Args:
            input: of any shape, floating-point.

        Returns:
            The same shape, numbers of at least 0.
        """
        return abs_rectify(input)


class Maxout(nn.Module):
    """The largest of each group of consecutive channels: `striate.maxout` as a layer, to follow one with the weights.

    Args:
        pieces: channels in a group, at least 1.
        dim: the axis of the channels: 1 in a batch, -3 in pictures with or without one.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if `pieces` is below 1.

    Source:
        Goodfellow, Warde-Farley, Mirza, Courville and Bengio, "Maxout networks", ICML 2013,
        https://arxiv.org/abs/1302.4389, section 3.

    Example:
        >>> layer = nn.Sequential(nn.Conv2d(3, 16, 5), Maxout(2))
        >>> layer(torch.zeros(1, 3, 9, 9)).shape
        torch.Size([1, 8, 5, 5])
    """

    def __init__(self, pieces: int, dim: int = 1) -> None:
        super().__init__()
        check_integer("pieces", pieces, 1)
        self.pieces, self.dim = pieces, dim

    def forward(self, input: Tensor) -> Tensor:
        """Take the largest.

        Args:
            input: of any shape, floating-point, with a multiple of `pieces` channels.

        Returns:
            The same shape with 1 / `pieces` of the channels.
        """
        return maxout(input, self.pieces, self.dim)

    def extra_repr(self) -> str:
        """The settings.

        Returns:
            As they are given.
        """
        return f"pieces={self.pieces}, dim={self.dim}"


class ScaledTanh(nn.Module):
    """The hyperbolic tangent times a learned gain: `striate.scaled_tanh` as a layer, with the parameter `gain`.

    Args:
        channels: how many channels have a gain of their own, `gain` being `(channels,)`; None for one gain `()`.
        gain: where all gains begin.
        dim: the axis of the channels: 1 in a batch, -3 in pictures with or without one.
        device: where the parameter is.
        dtype: its type.

    Raises:
        TypeError: if a number has the wrong type.
        ValueError: if `channels` is below 1.

    Source:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, "What is the best multi-stage architecture for object recognition?",
        ICCV 2009, section 2.1, the layer F_CSG.

    Example:
        >>> layer = ScaledTanh(gain=1.7159)
        >>> layer(torch.tensor([-100.0, 0.0, 100.0])).detach()
        tensor([-1.7159,  0.0000,  1.7159])
    """

    def __init__(
        self,
        channels: int | None = None,
        gain: float = 1.0,
        *,
        dim: int = 1,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if channels is not None:
            check_integer("channels", channels, 1)
        if isinstance(gain, bool) or not isinstance(gain, (int, float)):
            raise TypeError(f"gain must be a number, got {gain!r}")
        self.channels, self.dim, self._first_gain = channels, dim, gain
        self.gain = nn.Parameter(torch.empty(() if channels is None else channels, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the gains to where they begin."""
        nn.init.constant_(self.gain, self._first_gain)

    def forward(self, input: Tensor) -> Tensor:
        """Squash and scale.

        Args:
            input: of any shape, floating-point.

        Returns:
            The same shape, channel c from `-gain[c]` to `gain[c]`.
        """
        return scaled_tanh(input, self.gain, dim=self.dim)

    def extra_repr(self) -> str:
        """The settings that are unusual.

        Returns:
            As they are given.
        """
        shown = [] if self.channels is None else [str(self.channels)]
        if self._first_gain != 1:
            shown.append(f"gain={self._first_gain}")
        if self.dim != 1:
            shown.append(f"dim={self.dim}")
        return ", ".join(shown)
