"""Layers whose numbers are too coarse in the precision of autocast."""

import torch
from torch import Tensor, nn

from striate.ops._door import under_autocast


def outside_autocast(layer: nn.Module, input: Tensor) -> Tensor:
    """What a layer with a weight gives in that weight's precision, under autocast too."""
    if not under_autocast(input):
        result: Tensor = layer(input)
        return result
    with torch.autocast(input.device.type, enabled=False):
        result = layer(input.to(layer.get_parameter("weight").dtype))
    return result
