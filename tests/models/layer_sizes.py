"""Sizes of a network's layers, without allocating it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from striate.models import Network


def on_meta(build: Callable[..., Any], **options: Any) -> Any:
    """A network without numbers."""
    with torch.device("meta"):
        return build(**options)


def parameters(module: nn.Module) -> int:
    """The numbers that training changes."""
    return sum(parameter.numel() for parameter in module.parameters())


def layer_sizes(network: Network) -> dict[str, tuple[int, ...]]:
    """Sizes of what each layer gives, without samples, for the input that the network expects; of a layer that runs
    more than once, what it gives last."""
    sizes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _, __, output: sizes.update({name: tuple(output.shape[1:])})

    hooks = [
        layer.register_forward_hook(note(name))
        for name, layer in network.named_modules()
        if name and not list(layer.children())
    ]
    network(input_of(network))
    for hook in hooks:
        hook.remove()
    return sizes


def stage_sizes(network: Network) -> dict[str, tuple[int, ...]]:
    """Sizes of the maps of each stage, without samples."""
    return {name: tuple(maps.shape[1:]) for name, maps in network.features(input_of(network)).items()}


def input_of(network: Network) -> Tensor:
    """An input without numbers, of the size that the network expects."""
    return torch.empty(1, network.config.in_channels, *network.config.input_size, device="meta")
