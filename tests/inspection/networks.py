"""Small networks to look at, and inspections that are not what they should be."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from striate.inspection.inspection import Inspection, inspect

HOSTILE = '</svg></style><script>alert("1")</script> | `x` \x1b[31m\n&amp; <!-- @all'


class Residual(nn.Module):
    """Two convolutions and a way past them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(maps + self.second(torch.relu(self.norm(self.first(maps)))))


class Ladder(nn.Module):
    """Down, up, and joined to what was before."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(1, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 8, 2, stride=2)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.leave = nn.Conv2d(8, 2, 1)

    def forward(self, maps: Tensor) -> Tensor:
        wide = torch.relu(self.enter(maps))
        return self.leave(torch.cat([wide, self.up(self.down(wide))], 1))


def chain() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 7 * 7, 10)
    )


def deep(blocks: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), *(Residual(8) for _ in range(blocks)), nn.AdaptiveAvgPool2d(1))


def hostile() -> nn.Sequential:
    network = nn.Sequential()
    network.add_module(HOSTILE.replace(".", ""), nn.Conv2d(1, 2, 3, stride=2))
    network.add_module("last", type(HOSTILE, (nn.ReLU,), {})())
    return network


def altered(model: nn.Module, size: tuple[int, ...], **changes: Any) -> Any:
    """An inspection with something else in it."""
    found: Inspection = inspect(model, size)
    names = (
        "name",
        "input_sizes",
        "totals",
        "layers",
        "tree",
        "findings",
        "usage",
        "trace",
        "failure",
        "fields",
        "layer",
    )
    return SimpleNamespace(**{name: getattr(found, name) for name in names} | changes)
