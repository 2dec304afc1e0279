"""Local response normalisation as a layer."""

from torch import Tensor, nn

from striate.ops.local_response_norm.op import AlphaMode, Even, check_settings, local_response_norm


class LocalResponseNorm(nn.Module):
    """Divide each number by a power of the squares around it; see `striate.local_response_norm`.

    It takes the place of `torch.nn.LocalResponseNorm`, whose settings it has; neither has parameters.

    Args:
        size: neighbours, the number itself among them, at least 1.
        alpha: factor of the sum of squares, at least 0.
        beta: exponent.
        k: what the sum is added to, at least 0.
        alpha_mode: "mean" to divide alpha by the number of neighbours, "sum" to take it as it is.
        within_channel: whether the neighbours are places of the same channel.
        even: with an even size, whether the greater part lies before the number, "torch", or behind it, "onnx".

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Example:
        >>> alexnet = LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2, alpha_mode="sum")
        >>> alexnet(torch.zeros(1, 96, 55, 55)).shape
        torch.Size([1, 96, 55, 55])
    """

    def __init__(
        self,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        *,
        alpha_mode: AlphaMode = "mean",
        within_channel: bool = False,
        even: Even = "torch",
    ) -> None:
        super().__init__()
        check_settings("LocalResponseNorm", size, alpha, beta, k, alpha_mode, even)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        self.alpha_mode, self.within_channel, self.even = alpha_mode, within_channel, even

    def forward(self, input: Tensor) -> Tensor:
        """Normalise.

        Args:
            input: `(N, C, *sizes)`.

        Returns:
            The input's shape.
        """
        return local_response_norm(
            input,
            self.size,
            self.alpha,
            self.beta,
            self.k,
            alpha_mode=self.alpha_mode,
            within_channel=self.within_channel,
            even=self.even,
        )

    def extra_repr(self) -> str:
        """The settings; those that PyTorch has not, where they say something.

        Returns:
            One line.
        """
        shown = f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
        if self.alpha_mode != "mean":
            shown += f", alpha_mode={self.alpha_mode}"
        if self.within_channel:
            shown += ", within_channel=True"
        if self.even != "torch":
            shown += f", even={self.even}"
        return shown
