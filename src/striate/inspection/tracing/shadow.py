"""A copy of a network without numbers: what runs on it touches nothing of the network itself."""

import types
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

_HOOKS = ("_forward_pre_hooks", "_forward_hooks")
_KINDS = ("_parameters", "_buffers", "_modules")
# Hooks of PyTorch's own that work out a weight, as `torch.nn.utils.weight_norm`.
_TRUSTED = ("torch.", "striate.")


class Shadow:
    """A network's modules again, with parameters and buffers that have sizes but no numbers.

    Tensors that share memory in the network share it here. What a module holds in lists and dictionaries is copied, so
    that a forward that sets an attribute or appends to a list leaves no trace in the network. Hooks of others are left
    out: they might keep what they are given.

    Args:
        model: any module.
        mode: of the tensors without numbers.
        enter: called with a module of the copy and its arguments, before its forward runs.
        leave: called with a module of the copy, its arguments and its output, when its forward has run.

    Raises:
        ValueError: if a module does not know its sizes yet.
        TypeError: if a module is compiled to TorchScript, which cannot be copied without its numbers.
    """

    def __init__(
        self,
        model: nn.Module,
        mode: FakeTensorMode,
        enter: Callable[[nn.Module, Any], None],
        leave: Callable[[nn.Module, Any, Any], None],
    ) -> None:
        self._mode = mode
        self._enter, self._leave = enter, leave
        self._storages: dict[int, Tensor] = {}
        self._tensors: dict[int, Tensor] = {}
        self._modules: dict[int, nn.Module] = {}
        self._keep: list[object] = []
        self.names: dict[int, str] = {}
        """Dotted names, by the id of the copied module; the first where a module has several."""
        self.parameters: dict[str, Tensor] = {}
        """Parameters and buffers by dotted name; several names may have one tensor."""
        self.hooks_left_out: list[str] = []
        """Names of the modules with hooks that do not run."""
        self.model = self._module(model, "")

    def _module(self, module: nn.Module, name: str) -> nn.Module:
        if id(module) in self._modules:
            return self._modules[id(module)]
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(f"{name or 'the network'} is compiled to TorchScript: inspect the module it was made from")
        copied = self._modules[id(module)] = object.__new__(type(module))
        self.names[id(copied)] = name
        state = vars(module).copy()
        prefix = f"{name}." if name else ""
        for kind in ("_parameters", "_buffers"):
            state[kind] = {key: self._named(prefix + key, value) for key, value in state[kind].items()}
        state["_modules"] = {
            key: None if child is None else self._module(child, prefix + key)
            for key, child in state["_modules"].items()
        }
        for key, value in state.items():
            if type(value) not in _PLAIN and key not in _KINDS:
                state[key] = self._own(value, prefix + key)
        for kind in _HOOKS:
            state[kind] = self._hooks(module, name, kind)
        vars(copied).update(state)
        return copied

    def _hooks(self, module: nn.Module, name: str, kind: str) -> "OrderedDict[int, Callable[..., Any]]":
        hooks = vars(module)[kind]
        trusted = {key: self._own(hook, name) for key, hook in hooks.items() if is_trusted(hook)}
        if len(trusted) < len(hooks):
            self.hooks_left_out.append(name)
        if kind == "_forward_hooks":
            return OrderedDict({**trusted, -1: self._leave})
        return OrderedDict({-1: self._enter, **trusted})

    def _named(self, name: str, tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        fake = self.parameters[name] = self._tensor(name, tensor)
        return fake

    def _tensor(self, name: str, tensor: Tensor) -> Tensor:
        if id(tensor) in self._tensors:
            return self._tensors[id(tensor)]
        if nn.parameter.is_lazy(tensor):
            raise ValueError(f"{name} has no size yet: run the network once, or give its layer its input size")
        if isinstance(tensor, FakeTensor):
            raise TypeError(f"{name} is a fake tensor already: inspect the network itself")
        device = torch.device("cpu") if tensor.device.type == "meta" else tensor.device
        fake: Tensor = FakeTensor(self._mode, self._sized(tensor.detach()), device)
        if isinstance(tensor, nn.Parameter):
            # What nn.Parameter does with a tensor of another class, without an operation for each.
            fake._is_param = True
            fake.requires_grad_(tensor.requires_grad)
        # Ids are those of living objects only.
        self._keep.append(tensor)
        self._tensors[id(tensor)] = fake
        return fake

    def _sized(self, tensor: Tensor) -> Tensor:
        """A tensor of the same form on the device that holds no numbers, in the memory that it shares with others."""
        if tensor.device.type == "meta":
            return tensor
        storage = tensor.untyped_storage()
        held = self._storages.get(storage._cdata)
        if held is None:
            held = torch.empty(0, dtype=tensor.dtype, device="meta")
            held.untyped_storage().resize_(storage.nbytes())
            self._storages[storage._cdata] = held
        sized = torch.empty(0, dtype=tensor.dtype, device="meta")
        return sized.set_(held.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())

    def _own(self, value: Any, name: str) -> Any:
        """What an attribute of a copied module holds: containers copied, tensors and modules by their copies."""
        if isinstance(value, Tensor):
            return self._tensor(name, value)
        if isinstance(value, nn.Module):
            return self._module(value, name)
        if type(value) in (list, tuple, set):
            return type(value)(self._own(item, f"{name}.{place}") for place, item in enumerate(value))
        if type(value) in (dict, OrderedDict):
            return type(value)((key, self._own(item, f"{name}.{key}")) for key, item in value.items())
        if type(value) is deque:
            return deque((self._own(item, f"{name}.{place}") for place, item in enumerate(value)), value.maxlen)
        if isinstance(value, types.MethodType) and isinstance(value.__self__, nn.Module):
            return types.MethodType(value.__func__, self._module(value.__self__, name))
        return value


_PLAIN = (int, float, str, bool, type(None))


def is_trusted(hook: Any) -> bool:
    """Whether a hook is PyTorch's own or Striate's, which keep nothing that they are given."""
    return f"{getattr(hook, '__module__', None) or type(hook).__module__}.".startswith(_TRUSTED)
