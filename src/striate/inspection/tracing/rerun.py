"""A traced network run again with something changed: another input size, or another output of one operation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from striate.inspection.tracing.record import Call, Trace
from striate.inspection.tracing.recorder import tensors
from striate.inspection.tracing.trace import untouched
from striate.ops import _door


@dataclass(frozen=True, slots=True)
class Change:
    """Another output size of one operation.

    Args:
        name: the operation's, as in `Operation.name`.
        turn: which of those of this name that are no parts of others, the first is 0.
        size: its output along the last axes.
    """

    name: str
    turn: int
    size: tuple[int, ...]


@dataclass(slots=True)
class Failed:
    """The operation that a run ended in.

    Args:
        name: as in `Operation.name`.
        shapes: of its tensors, in order.
        makers: the dotted name of the call that made each of them; None for parameters, inputs and constants.
    """

    name: str
    shapes: list[tuple[int, ...]]
    makers: list[str | None]


@dataclass(slots=True)
class Run:
    """What a network did.

    Args:
        calls: of its modules, in order of their beginning; those without outputs are those that it ended in.
        failure: what it ended with, if it did.
        failed: the operation that did not run; None if there was none, or a module refused its input by itself.
    """

    calls: list[Call] = field(default_factory=list)
    failure: BaseException | None = None
    failed: Failed | None = None


def rerun(trace: Trace, sizes: Sequence[Sequence[int]] | None = None, change: Change | None = None) -> Run:
    """Run the copy of the network that a trace was made of once more, without writing down its operations.

    Args:
        trace: of the network; it is left as it is.
        sizes: of the inputs; by default those of the trace.
        change: another output size of one operation.

    Returns:
        The sizes at every call.
    """
    network = trace.calls[0].module
    weights = [*network.parameters(), *network.buffers()]
    mode = next((tensor.fake_mode for tensor in weights if isinstance(tensor, FakeTensor)), None)
    mode = mode or FakeTensorMode(allow_non_fake_inputs=True)
    known = len(trace.calls)
    run, watcher = Run(), _Watcher(trace, change)
    with (
        untouched(),
        torch.enable_grad(),
        mode,
        watcher,
        _door.watched(watcher.announced),
    ):
        shapes = [value.shape for value in trace.inputs] if sizes is None else sizes
        device = weights[0].device if weights else "cpu"
        given = [
            torch.empty(tuple(shape), dtype=value.dtype, device=device)
            for shape, value in zip(shapes, trace.inputs, strict=True)
        ]
        try:
            network(*given, **trace.settings)
        except (Exception, SystemExit) as error:
            run.failure, run.failed = error, watcher.failed
    # The copy's hooks write into the trace that it was made for.
    run.calls = trace.calls[known:]
    del trace.calls[known:]
    return run


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Makes the change, and remembers where tensors come from."""

    def __init__(self, trace: Trace, change: Change | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.failed: Failed | None = None
        self._trace, self._change = trace, change
        self._turn, self._inside = 0, 0
        # The tensors are kept, as their ids are those of living objects only.
        self._made: dict[int, tuple[Tensor, str]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, or stand in for it."""
        name = func.name().replace("::", ".", 1).removesuffix(f".{func._overloadname}")
        try:
            result = func(*args, **(kwargs or {}))
        except Exception:
            given = list(tensors(args))
            makers = [self._made[id(tensor)][1] if id(tensor) in self._made else None for tensor in given]
            self.failed = Failed(name, [tuple(tensor.shape) for tensor in given], makers)
            raise
        return self._changed(name, result)

    def announced(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a public function of Striate, or stand in for it."""
        self._inside += 1
        try:
            result = function(*args, **kwargs)
        finally:
            self._inside -= 1
        return self._changed(f"striate.{function.__name__}()", result)

    def _changed(self, name: str, result: Any) -> Any:
        if self._change is not None and not self._inside and name == self._change.name:
            self._turn += 1
            if self._turn == self._change.turn + 1:
                result = _resized(result, self._change.size)
        maker = next((call.name for call in reversed(self._trace.calls) if call.outputs is None), "")
        for tensor in tensors(result):
            self._made[id(tensor)] = tensor, maker
        return result


def _resized(result: Any, size: tuple[int, ...]) -> Any:
    """Tensors like those given, with other sizes along the last axes."""
    if isinstance(result, Tensor):
        return result.new_empty(*result.shape[: result.ndim - len(size)], *size)
    return type(result)(_resized(part, size) for part in result)
