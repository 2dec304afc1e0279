"""Numbers for large networks in a moment, where the generator would take seconds."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

# A prime: no row of a weight is a copy of another.
_BLOCK = 99_991


@contextlib.contextmanager
def quick_numbers() -> Iterator[None]:
    """Random numbers repeat one block of them: as large as they should be, but drawn at once."""
    with mock.patch.object(Tensor, "normal_", _repeated(Tensor.normal_)):
        with mock.patch.object(Tensor, "uniform_", _repeated(Tensor.uniform_)):
            yield


def _repeated(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The draw of one block, and copies of it in the rest of a large tensor."""

    def fill(tensor: Tensor, *bounds: Any, **others: Any) -> Tensor:
        if tensor.is_meta or tensor.numel() <= _BLOCK:
            return draw(tensor, *bounds, **others)
        flat = tensor.view(-1)
        block = draw(flat[:_BLOCK], *bounds, **others)
        for start in range(_BLOCK, len(flat), _BLOCK):
            part = flat[start : start + _BLOCK]
            part.copy_(block[: len(part)])
        return tensor

    return fill


def liven(network: nn.Module) -> None:
    """Weights with which scores depend on the input as they do after training, and statistics of no default value.

    With the first weights of a deep network without normalisation, the scores are little but the last bias.
    """
    with torch.no_grad(), quick_numbers():
        for name, module in network.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.weight.uniform_(0.7, 1.3)
                module.bias.normal_(0.0, 0.1)
                module.running_mean.normal_(0.0, 0.1)
                module.running_var.uniform_(0.8, 1.2)
            elif isinstance(module, nn.Linear):
                _draw(module, module.in_features)
            elif hasattr(module, "in_channels") and hasattr(module, "groups"):
                taps = 1 if "Transpose" in type(module).__name__ else math.prod(module.kernel_size)
                _draw(module, module.in_channels // module.groups * taps)
                if name.endswith("conv_offset"):
                    # Offsets of many pixels in a dozen layers magnify what is rounded a thousandfold.
                    module.weight.mul_(0.01)


def _draw(layer: Any, read: int) -> None:
    """Weights that keep the size of rectified inputs, so many of which are read for a number of the output."""
    layer.weight.normal_(0.0, math.sqrt(2 / read))
    if layer.bias is not None:
        layer.bias.normal_(0.0, 0.1)
