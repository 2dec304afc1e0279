"""How a layer is made: its class, its settings and the sizes of its input."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Table:
    """A connection table, and the code that makes it."""

    code: str
    links: Tensor = field(compare=False)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A layer that can be made any number of times."""

    kind: type[nn.Module]
    args: tuple[Any, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    children: tuple[tuple[str, "Recipe"], ...] = ()
    sizes: tuple[int, ...] = ()
    """Of the input, without channels."""

    def build(self) -> nn.Module:
        """The layer, with new weights, on PyTorch's current device."""
        if self.children:
            return self.kind(OrderedDict((name, child.build()) for name, child in self.children))
        plain = [arg.links if isinstance(arg, Table) else arg for arg in self.args]
        return self.kind(*plain, **dict(self.settings))
