"""Writes down what a network does while it runs."""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _functorch
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node
from torch.utils._python_dispatch import TorchDispatchMode

from striate.inspection.tracing.record import Call, Memory, Operation, Saved, Trace, Value
from striate.inspection.tracing.repeats import Repeats
from striate.inspection.tracing.shadow import Shadow


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes a trace."""

    def __init__(self, lets_go: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace = Trace()
        self.bytes = 0
        """All memory that lives now, without parameters, buffers and inputs."""
        self.refused = False
        """Whether the network ran backward by itself, and what it needed for that had been let go."""
        self._lets_go = lets_go
        self._names: dict[int, str] = {}
        self._stack: list[int] = []
        self._repeats = Repeats()
        self._values: dict[int, tuple[Value, int]] = {}
        self._storages: dict[int, tuple[Memory, int, int]] = {}
        self._watched: dict[int, weakref.ref[Tensor]] = {}

    def begin(self, network: Shadow) -> None:
        """Make the values of the parameters and buffers, and of other tensors that lie in memory before."""
        self._names = network.names
        self.trace.hooks_left_out = tuple(network.hooks_left_out)
        for name, tensor in network.parameters.items():
            known = self._values.get(id(tensor))
            memory = Memory(tensor.untyped_storage().nbytes(), parameter=name)
            self.trace.parameters[name] = known[0] if known else self.hold(tensor, memory, parameter=name)
        for name, tensor in network.constants.items():
            if id(tensor) not in self._values:
                self.hold(tensor, Memory(tensor.untyped_storage().nbytes(), parameter=name), parameter=name)

    def hold(self, tensor: Tensor, memory: Memory, parameter: str = "") -> Value:
        """The value of a tensor that is new, in its memory, or that given if that is new, too."""
        address = tensor.untyped_storage()._cdata
        held = self._storages.get(address)
        if held is None:
            if not memory.parameter and not memory.given:
                self.bytes += memory.nbytes
            held = (memory, 0, 0)
        memory, tensors, version = held
        key = id(tensor)
        if key not in self._watched:
            self._watched[key] = weakref.ref(tensor, lambda _: self._gone(key, address))
            tensors += 1
        self._storages[address] = (memory, tensors, version)
        value = Value(tuple(tensor.shape), tensor.dtype, memory, parameter)
        self._values[key] = (value, version)
        return value

    def _gone(self, key: int, address: int) -> None:
        """A tensor is no more, and perhaps its memory."""
        del self._watched[key], self._values[key]
        memory, tensors, version = self._storages[address]
        if tensors > 1:
            self._storages[address] = (memory, tensors - 1, version)
            return
        del self._storages[address]
        memory.dead = len(self.trace.operations)
        if not memory.parameter and not memory.given:
            self.bytes -= memory.nbytes

    def _value(self, tensor: Tensor) -> Value:
        while _functorch.is_functorch_wrapped_tensor(tensor):
            tensor = _functorch.get_unwrapped(tensor)
        known = self._values.get(id(tensor))
        if known is None:
            # A constant of the network's code, or what it made of one.
            return self.hold(tensor, Memory(tensor.untyped_storage().nbytes(), born=len(self.trace.operations)))
        value, version = known
        if version < self._storages[tensor.untyped_storage()._cdata][2]:
            return Value(value.shape, value.dtype, value.memory, value.parameter, stale=True)
        return value

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and write it down."""
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:
            return func(*args, **kwargs)
        given, named = _noted(args, self._value), _noted(kwargs, self._value)
        result = self._repeats.run(func, args, kwargs)
        self._write(
            func.name().replace("::", ".", 1).removesuffix(f".{func._overloadname}"), func, given, named, result
        )
        return result

    def _write(self, name: str, function: Any, args: Any, kwargs: Any, result: Any) -> None:
        place = len(self.trace.operations)
        outputs = tuple(self._result(tensor, place) for tensor in tensors(result))
        operation = Operation(name, args, kwargs, outputs, self._stack[-1] if self._stack else 0, None, function)
        self.trace.operations.append(operation)
        self.trace.live.append(self.bytes)

    def _result(self, tensor: Tensor, place: int) -> Value:
        address = tensor.untyped_storage()._cdata
        if id(tensor) in self._values:
            memory, tensors, version = self._storages[address]
            if tensors > 1:
                version += 1
            self._storages[address] = (memory, tensors, version)
        return self.hold(tensor, Memory(tensor.untyped_storage().nbytes(), born=place))

    def announced(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a public function of Striate and write it down, after the operations that it consists of."""
        given, named = _noted(args, self._value), _noted(kwargs, self._value)
        first = len(self.trace.operations)
        result = function(*args, **kwargs)
        whole = len(self.trace.operations)
        for operation in self.trace.operations[first:whole]:
            if operation.within is None:
                operation.within = whole
        outputs = tuple(map(self._value, tensors(result)))
        call = self._stack[-1] if self._stack else 0
        name = f"striate.{function.__name__}()"
        self.trace.operations.append(Operation(name, given, named, outputs, call, None, function))
        self.trace.live.append(self.bytes)
        return result

    def keep(self, tensor: Tensor) -> Tensor | None:
        """Write down what is kept for the backward pass, and let it go if no backward pass will come."""
        memory = self._value(tensor).memory
        call = self._stack[-1] if self._stack else 0
        place = len(self.trace.operations)
        self.trace.saved.append(Saved(memory, tuple(tensor.shape), tensor.dtype, call, place))
        return None if self._lets_go else tensor

    def give_back(self, kept: Tensor | None) -> Tensor:
        """What was kept, for the backward pass.

        Raises:
            RuntimeError: if it was let go.
        """
        if kept is None:
            self.refused = True
            raise RuntimeError("a network that is inspected cannot run backward")
        return kept

    def returned(self, output: Any) -> None:
        """See what the graph of the outputs keeps out of sight: tensors among the attributes of custom functions."""
        names: dict[str, None] = {}
        for node in nodes(tensors(output)):
            if isinstance(node, BackwardCFunction) and any(True for _ in tensors(list(vars(node).values()))):
                names[type(node).__name__.removesuffix("Backward")] = None
        self.trace.unhooked = tuple(names)

    def enter(self, module: nn.Module, args: Any, named: Any) -> None:
        """A module is called."""
        parent = self._stack[-1] if self._stack else None
        inputs = tuple(map(self._value, tensors((args, named))))
        self._stack.append(len(self.trace.calls))
        first = len(self.trace.operations)
        self.trace.calls.append(Call(self._names[id(module)], module, parent, inputs, first=first))

    def leave(self, module: nn.Module, args: Any, named: Any, output: Any) -> None:
        """A module has returned."""
        call = self.trace.calls[self._stack.pop()]
        call.outputs = tuple(map(self._value, tensors(output)))
        call.last = len(self.trace.operations)


def _noted(item: Any, value: Callable[[Tensor], Value]) -> Any:
    """Arguments with values in place of tensors."""
    if isinstance(item, Tensor):
        return value(item)
    if isinstance(item, (tuple, list)):
        return type(item)(_noted(part, value) for part in item) if item else item
    if isinstance(item, dict):
        return {key: _noted(part, value) for key, part in item.items()}
    return item


def tensors(item: Any) -> Iterator[Tensor]:
    """All tensors in an output, in order."""
    if isinstance(item, Tensor):
        yield item
    elif isinstance(item, (tuple, list)):
        for part in item:
            yield from tensors(part)
    elif isinstance(item, Mapping):
        for part in item.values():
            yield from tensors(part)
    elif is_dataclass(item):
        for part in fields(item):
            yield from tensors(getattr(item, part.name, None))


def nodes(ends: Iterable[Tensor]) -> Iterator[Node]:
    """All nodes of the graph that leads to some tensors, each once."""
    waiting = [tensor.grad_fn for tensor in ends if tensor.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        yield node
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
