"""Adaptive averages that a file can take for any size."""

import torch
from torch import Tensor, nn

_MODULES = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)


def open_averages(network: nn.Module) -> None:
    """Put averages for any size in the place of PyTorch's adaptive ones.

    PyTorch's exporter writes those for the sizes that are to the output's as the sample's are, and wrongly for others.

    Args:
        network: is changed.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, _MODULES):
                axes = _MODULES.index(type(child)) + 1
                wished = child.output_size if isinstance(child.output_size, tuple) else (child.output_size,) * axes
                if any(size not in (None, 1) for size in wished):
                    setattr(module, name, _Averages(wished))


class _Averages(nn.Module):
    """Output ``i`` of ``m`` is the mean of the inputs from ``floor(i n / m)`` up to ``ceil((i + 1) n / m)``."""

    def __init__(self, wished: tuple[int | None, ...]) -> None:
        super().__init__()
        self._wished = wished

    def forward(self, input: Tensor) -> Tensor:
        """The means, by a product along each axis."""
        for axis, wished in enumerate(self._wished, -len(self._wished)):
            if wished is not None:
                input = (input.movedim(axis, -1) @ _means(input.shape[axis], wished, input)).movedim(-1, axis)
        return input


def _means(n: int, wished: int, like: Tensor) -> Tensor:
    """The matrix, of ``n`` rows, that averages."""
    units = torch.arange(wished, device=like.device)
    first, behind = units * n // wished, ((units + 1) * n + wished - 1) // wished
    places = torch.arange(n, device=like.device).unsqueeze(1)
    inside = (places >= first) & (places < behind)
    return inside.to(like.dtype) / (behind - first).to(like.dtype)
