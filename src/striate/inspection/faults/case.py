"""A run of a network that failed: where, and on what."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from striate.inspection.tracing.rerun import Run
from striate.inspection.tracing.trace import Call, Trace, Value


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a layer does not run.

    Args:
        text: the layer, what came and what it expects.
        fixes: edits.
        details: the numbers of the text.
    """

    text: str
    fixes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


class Case:
    """A run that failed.

    Args:
        trace: of the network.
        run: the run.
        searching: whether to look for an input size that would do, which takes some more runs.
    """

    def __init__(self, trace: Trace, run: Run, searching: bool = True) -> None:
        self.trace, self.run, self.searching = trace, run, searching
        self.failure = run.failure or RuntimeError("the network did not run")
        self.place = max((place for place, call in enumerate(run.calls) if call.outputs is None), default=0)

    @property
    def call(self) -> Call:
        """The innermost call that failed."""
        return self.run.calls[self.place]

    @property
    def name(self) -> str:
        """The layer for a sentence: its path and class."""
        call = self.call
        return f"`{call.name}` ({call.kind})" if call.name else f"the network ({call.kind})"

    @property
    def of_it(self) -> str:
        """The layer behind a setting: " of `features.0`"; empty for the network itself."""
        return f" of `{self.call.name}`" if self.call.name else ""

    @property
    def given(self) -> Value | None:
        """The first input of the layer."""
        return self.call.inputs[0] if self.call.inputs else None

    @property
    def origin(self) -> str:
        """What gives the first input of the layer, see `maker`."""
        return "" if self.given is None else self.maker(self.given)

    @property
    def from_outside(self) -> bool:
        """Whether the layer takes the network's own input."""
        return self.origin == "the input"

    @property
    def lead(self) -> int:
        """How many axes of the network's input come before the spatial ones: batch and channels."""
        rank = len(self.trace.inputs[0].shape)
        for call in self.run.calls:
            axes = axes_of(call.module)
            if axes:
                return max(rank - axes, 1)
        return min(2, rank)

    def maker(self, value: Value) -> str:
        """What gives a value, for a sentence: the outermost call; "the input" for the network's own."""
        if any(value is given for given in self.run.calls[0].inputs):
            return "the input"
        for call in self.run.calls[1:]:
            if call.outputs and any(value is output for output in call.outputs):
                return f"`{call.name}`"
        return ""

    def source(self, value: Value) -> Call | None:
        """The layer with weights whose output a value is, through layers without."""
        for _ in range(len(self.run.calls)):
            makers = [call for call in self.run.calls if call.outputs and any(value is v for v in call.outputs)]
            if not makers:
                return None
            last = makers[-1]
            if next(last.module.parameters(), None) is not None:
                return last
            if not last.inputs or len(last.inputs[0].shape) < 2 or last.inputs[0].shape[1] != value.shape[1]:
                return None
            value = last.inputs[0]
        return None

    def map_before(self, value: Value) -> tuple[str, tuple[int, ...]] | None:
        """The map that was flattened to a value: what gave it, and its sizes without the batch."""
        for call in reversed(self.run.calls[: self.place]):
            for output in call.outputs or ():
                shape = output.shape
                flat = len(shape) > 2 and math.prod(shape[1:]) == value.shape[-1] and shape[0] == value.shape[0]
                if flat:
                    return self.maker(output), shape[1:]
        return None

    def enlarged(self, axis: int, size: int) -> str:
        """The network's input with another size along one axis."""
        shape = list(self.trace.inputs[0].shape)
        shape[axis] = size
        return f"input_size={tuple(shape)}"


def axes_of(module: nn.Module) -> int:
    """The spatial axes of a layer by its class, as 2 of Conv2d; 0 for others."""
    found = re.search(r"(\d)d$", type(module).__name__)
    return int(found[1]) if found else 0
