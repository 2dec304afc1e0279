"""Layers whose numbers are too coarse in the precision of autocast."""

import torch
from torch import Tensor, nn


def outside_autocast(layer: nn.Module, input: Tensor) -> Tensor:
    """What a layer with a weight gives in that weight's precision, under autocast too."""
    device = input.device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        result: Tensor = layer(input)
        return result
    with torch.autocast(device, enabled=False):
        result = layer(input.to(layer.get_parameter("weight").dtype))
    return result
