"""A copy of a network: what runs on it touches nothing of the network itself."""

import functools
from collections import OrderedDict
from collections.abc import Callable
from types import MemberDescriptorType
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from striate.inspection.tracing.copies import PLAIN, Copies

_HOOKS = ("_forward_pre_hooks", "_forward_hooks")
_BACKWARD_HOOKS = ("_backward_pre_hooks", "_backward_hooks")
_KINDS = ("_parameters", "_buffers", "_modules")
# Hooks of PyTorch's own that work out a weight, as `torch.nn.utils.weight_norm`.
_TRUSTED = ("torch.", "striate.")


class Shadow:
    """A network's modules again, with parameters and buffers of their own, by default without numbers.

    Tensors that share memory in the network share it here. What a module holds in containers, objects and functions is
    copied with what these hold, each once, so that a forward that sets an attribute or appends to a list leaves no
    trace in the network. What `torch.compile` made stands here as it was before. Hooks of others are left out: they
    might keep what they are given.

    Args:
        model: any module.
        mode: of the tensors without numbers; None to copy the numbers.
        enter: called with a module of the copy and its arguments, before its forward runs.
        leave: called with a module of the copy, its arguments and its output, when its forward has run.

    Raises:
        ValueError: if a module does not know its sizes yet.
        TypeError: if a module is compiled to TorchScript, which cannot be copied without its numbers.
    """

    def __init__(
        self,
        model: nn.Module,
        mode: FakeTensorMode | None,
        enter: Callable[[nn.Module, Any, Any], None],
        leave: Callable[[nn.Module, Any, Any, Any], None],
    ) -> None:
        self._mode = mode
        self._enter, self._leave = enter, leave
        self._storages: dict[int, Tensor] = {}
        self._copies = Copies(self._constant, self._module)
        self.names: dict[int, str] = {}
        """Dotted names, by the id of the copied module; the first where a module has several."""
        self.parameters: dict[str, Tensor] = {}
        """Parameters and buffers by dotted name; several names may have one tensor."""
        self.constants: dict[str, Tensor] = {}
        """Other tensors that modules hold, by the name of what holds them."""
        self.hooks_left_out: list[str] = []
        """Names of the modules with hooks that do not run."""
        self.model = self._module(model, "")

    def _module(self, module: nn.Module, name: str) -> nn.Module:
        module = uncompiled(module)
        known: nn.Module | None = self._copies.known(module)
        if known is not None:
            return known
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(f"{name or 'the network'} is compiled to TorchScript: inspect the module it was made from")
        copied: nn.Module = self._copies.remember(module, object.__new__(type(module)))
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
            if type(value) not in PLAIN and key not in _KINDS and key not in _HOOKS:
                state[key] = self._copies.of(value, prefix + key)
        for kind in _HOOKS:
            state[kind] = self._hooks(module, name, kind)
            state[f"{kind}_with_kwargs"][-1] = True
        for kind in _BACKWARD_HOOKS:
            state[kind] = OrderedDict((key, hook) for key, hook in state[kind].items() if is_trusted(hook))
        state["_compiled_call_impl"] = None
        vars(copied).update(state)
        self._slots(module, copied, prefix)
        return copied

    def _slots(self, module: nn.Module, copied: nn.Module, prefix: str) -> None:
        """What a module holds outside of its dictionary."""
        kind: Any = type(module)
        for slot in _slots(kind):
            if hasattr(module, slot.__name__):
                held = self._copies.of(getattr(module, slot.__name__), prefix + slot.__name__)
                slot.__set__(copied, held)

    def _hooks(self, module: nn.Module, name: str, kind: str) -> "OrderedDict[int, Callable[..., Any]]":
        hooks = vars(module)[kind]
        trusted = {key: self._copies.of(hook, name) for key, hook in hooks.items() if is_trusted(hook)}
        if len(trusted) < len(hooks):
            self.hooks_left_out.append(name)
        if kind == "_forward_hooks":
            return OrderedDict({**trusted, -1: self._leave})
        return OrderedDict({-1: self._enter, **trusted})

    def _named(self, name: str, tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        copied = self.parameters[name] = self._tensor(name, tensor)
        return copied

    def _constant(self, tensor: Tensor, name: str) -> Tensor:
        copied = self.constants[name] = self._tensor(name, tensor)
        return copied

    def _tensor(self, name: str, tensor: Tensor) -> Tensor:
        known: Tensor | None = self._copies.known(tensor)
        if known is not None:
            return known
        if nn.parameter.is_lazy(tensor):
            raise ValueError(f"{name} has no size yet: run the network once, or give its layer its input size")
        if isinstance(tensor, FakeTensor):
            raise TypeError(f"{name} is a fake tensor already: inspect the network itself")
        copied = self._sized(tensor.detach())
        if self._mode is not None:
            device = torch.device("cpu") if tensor.device.type == "meta" else tensor.device
            copied = FakeTensor(self._mode, copied, device)
        if isinstance(tensor, nn.Parameter):
            # What nn.Parameter does with a tensor of another class, without an operation for each.
            copied = copied if self._mode is not None else nn.Parameter(copied, tensor.requires_grad)
            copied._is_param = True
            copied.requires_grad_(tensor.requires_grad)
        self._copies.remember(tensor, copied)
        return copied

    def _sized(self, tensor: Tensor) -> Tensor:
        """A tensor of the same form, in the memory that it shares with others; without numbers on the meta device."""
        if tensor.device.type == "meta":
            return tensor
        if self._mode is None and (tensor.is_quantized or tensor.layout != torch.strided):
            return tensor.clone()
        device = "meta" if self._mode is not None else tensor.device
        storage = tensor.untyped_storage()
        held = self._storages.get(storage._cdata)
        if held is None:
            held = torch.empty(0, dtype=tensor.dtype, device=device)
            held.untyped_storage().resize_(storage.nbytes())
            if self._mode is None:
                held.untyped_storage().copy_(storage)
            self._storages[storage._cdata] = held
        sized = torch.empty(0, dtype=tensor.dtype, device=device)
        return sized.set_(held.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())


@functools.lru_cache(4096)
def _slots(kind: Any) -> tuple[MemberDescriptorType, ...]:
    return tuple(slot for base in kind.__mro__ for slot in vars(base).values() if type(slot) is MemberDescriptorType)


def uncompiled(module: nn.Module) -> nn.Module:
    """The module that `torch.compile` was given; other modules as they are."""
    if type(module).__module__ == "torch._dynamo.eval_frame":
        original: nn.Module = vars(module)["_modules"]["_orig_mod"]
        return original
    return module


def is_trusted(hook: Any) -> bool:
    """Whether a hook is PyTorch's own or Striate's, which keep nothing that they are given."""
    return f"{getattr(hook, '__module__', None) or type(hook).__module__}.".startswith(_TRUSTED)
