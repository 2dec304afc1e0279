"""Networks and functions counted on tensors without numbers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import striate
from striate.inspection.counting.counts import Counts, count
from striate.inspection.tracing.trace import trace


class Function(nn.Module):
    """A function as a network."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        """Call it."""
        return self.function(*inputs)


def counted(network: nn.Module | Callable[..., Any], *inputs: Tensor, like: Any = None) -> Counts:
    """What it costs on these inputs; a network on the meta device is given its inputs there."""
    module = network if isinstance(network, nn.Module) else Function(network)
    found = trace(module, inputs)
    assert found.failure is None
    return count(found, like)


def lines(found: Counts) -> dict[str, int]:
    """Macs of all lines by their names."""
    all_lines = [line for cost in (*found.operations.values(), *found.calls.values()) for line in cost.lines]
    return {
        what: sum(line.macs for line in all_lines if line.what == what) for what in {line.what for line in all_lines}
    }


def named(name: str) -> nn.Module:
    """One of our networks, without numbers."""
    with torch.device("meta"):
        return striate.models.create(name).eval()


def of(name: str, like: Any = None) -> Counts:
    """What one of our networks costs for one picture."""
    config = striate.models.config_of(name)
    return counted(named(name), torch.empty(1, config.in_channels, *config.input_size, device="meta"), like=like)


def ones(*sizes: int) -> Tensor:
    """Of ones, the sum of what comes out is the number of products."""
    return torch.ones(sizes)
