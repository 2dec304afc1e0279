"""Networks that are one stack of layers, under torchvision's name for it: `features`."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, cast

from torch import Tensor, nn
from typing_extensions import override

from striate.models.network import Config, Network, Stage


class Stack(nn.Sequential):
    """Layers one after another, some of which end a stage; called, it gives the maps of every stage by name."""

    def __init__(self, layers: Iterable[nn.Module], ends: Mapping[str, int]) -> None:
        super().__init__(*layers)
        self._ends = dict(ends)

    @override
    def __getitem__(self, index: Any) -> Any:
        # A part of the stack is none: the stages are counted from the first layer.
        return nn.Sequential(*list(self)[index]) if isinstance(index, slice) else super().__getitem__(index)

    def stages(self) -> Sequence[tuple[str, Stage]]:
        """A name and a function from maps to maps for each."""
        bounds = pairwise((0, *self._ends.values()))
        return [(name, partial(self._run, *bound)) for name, bound in zip(self._ends, bounds, strict=True)]

    def _run(self, begin: int, end: int, maps: Tensor) -> Tensor:
        """What some of the layers make of maps."""
        for layer in list(self)[begin:end]:
            maps = layer(maps)
        return maps

    @override
    def forward(self, input: Tensor) -> dict[str, Tensor]:
        found = {}
        for name, stage in self.stages():
            found[name] = input = stage(input)
        return found


class StackNetwork(Network):
    """A network whose stages are those of a stack."""

    def __init__(self, config: Config, stack: Stack) -> None:
        super().__init__(config)
        self._modules["features"] = stack

    @property
    def features(self) -> Stack:
        """The layers up to the classifier; called with an input, they give the maps of every stage by name."""
        return cast(Stack, self._modules["features"])

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        return self.features.stages()
