"""How others name the layers of a network, and what of their numbers is another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from striate.models.loading.preprocessing import Preprocessing

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """Whose names a file has, and how they become a network's.

    Args:
        whose: for the report; empty for our own, which are torchvision's where it has the network.
        layers: their layers, and the same of the network; all others have the same names.
        changes: what is done to a tensor, by its name in the network.
        said: for the report, a sentence each.
        preprocessing: what pictures such weights want, where that is always the same.
    """

    whose: str = ""
    layers: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, Change] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None

    def renamed(self, name: str) -> str:
        """The name in the network of a tensor in the file."""
        layer, dot, tensor = name.rpartition(".")
        return f"{self.layers.get(layer, layer)}{dot}{tensor}"
