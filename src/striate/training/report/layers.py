"""The layers of a network in order of call: operator, output size, parameters."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.func import functional_call


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One layer of a network.

    Args:
        name: Path of the module in the network, as in `named_modules`; "model" for the network itself.
        operator: Class of the module.
        output_size: Size of the output without the batch; empty where the module was not called or gives no tensor.
        parameters: Number of parameters that no earlier row has counted.

    Example:
        >>> LayerRow(name="0", operator="Conv2d", output_size=(6, 28, 28), parameters=156).parameters
        156
    """

    name: str
    operator: str
    output_size: tuple[int, ...]
    parameters: int


def layer_table(model: nn.Module, input_size: tuple[int, int, int]) -> list[LayerRow]:
    """List the layers of a network in the order in which they are called.

    The network runs once in evaluation mode on one picture, as a copy of fake tensors that allocates nothing. One that
    needs real values (its path depends on them, say) runs on a picture of zeros instead. Rows are the modules without
    children and those that hold parameters of their own; a module called twice has two rows. Parameters are counted
    where they first appear, so that the sum of the rows is the number of parameters of the network. Modules that hold
    parameters and are never called come last.

    Args:
        model: The network; its mode, hooks, gradients, buffers and the random state are left as they are.
        input_size: Size of one picture: channels, height, width.

    Returns:
        The rows.

    Raises:
        ValueError: If the network does not run on a picture of this size.

    Example:
        >>> rows = layer_table(nn.Sequential(nn.Conv2d(1, 6, 5), nn.Flatten()), (1, 32, 32))
        >>> [(row.operator, row.output_size, row.parameters) for row in rows]
        [('Conv2d', (6, 28, 28), 156), ('Flatten', (4704,), 0)]
    """
    try:
        calls = _fake_calls(model, input_size)
    except Exception:
        try:
            calls = _real_calls(model, input_size)
        except Exception as error:
            raise ValueError(f"the network must run on a picture of size {input_size}, got: {error}") from error
    modules = dict(model.named_modules())
    called = {name for name, _ in calls}
    uncalled = [(name, ()) for name in modules if name not in called]
    rows, counted = [], set[int]()
    for name, size in [*calls, *uncalled]:
        module = modules[name]
        own = {id(weight): weight.numel() for weight in module.parameters(recurse=False) if id(weight) not in counted}
        counted |= own.keys()
        if own or name in called:
            operator = type(module).__name__
            rows.append(
                LayerRow(name=name or "model", operator=operator, output_size=size, parameters=sum(own.values()))
            )
    return rows


def _fake_calls(model: nn.Module, input_size: tuple[int, int, int]) -> list[tuple[str, tuple[int, ...]]]:
    """Run a copy of the network on fake tensors."""
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with FakeCopyMode(fake):
        twin = copy.deepcopy(model)
    with fake, torch.no_grad(), _recorded(twin.eval()) as calls:
        twin(_picture(model, input_size))
    return calls


def _real_calls(model: nn.Module, input_size: tuple[int, int, int]) -> list[tuple[str, tuple[int, ...]]]:
    """Run the network itself on zeros, with copies of its buffers."""
    picture = _picture(model, input_size)
    devices = [picture.device] if picture.is_cuda else []
    modes = [(module, module.training) for module in model.modules()]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        with torch.random.fork_rng(devices), torch.no_grad(), _recorded(model.eval()) as calls:
            functional_call(model, buffers, (picture,))
    finally:
        for module, training in modes:
            module.training = training
    return calls


def _picture(model: nn.Module, input_size: tuple[int, int, int]) -> Tensor:
    like = next((weight for weight in model.parameters() if weight.is_floating_point()), torch.empty(0))
    return torch.zeros(1, *input_size, dtype=like.dtype, device=like.device)


@contextmanager
def _recorded(model: nn.Module) -> Iterator[list[tuple[str, tuple[int, ...]]]]:
    """Note the name and output size of every module that becomes a row, at each of its calls."""
    calls: list[tuple[str, tuple[int, ...]]] = []
    handles = []
    for name, module in model.named_modules():
        if next(module.children(), None) is None or next(module.parameters(recurse=False), None) is not None:

            def note(module: nn.Module, args: object, output: object, name: str = name) -> None:
                calls.append((name, _output_size(output)))

            handles.append(module.register_forward_hook(note))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _output_size(output: object) -> tuple[int, ...]:
    """Size of the first tensor of an output, without the batch."""
    if isinstance(output, Tensor):
        return tuple(output.shape[1:])
    if isinstance(output, dict):
        output = tuple(output.values())
    parts = output if isinstance(output, (tuple, list)) else ()
    return next((size for size in map(_output_size, parts) if size), ())
