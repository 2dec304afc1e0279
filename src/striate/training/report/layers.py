"""The layers of a network in order of call: operator, output size, parameters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from striate.inspection import inspect
from striate.inspection.tracing.trace import Call, Trace
from striate.training.mode import in_mode


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

    The network is inspected in evaluation mode, for one picture, and nothing is allocated; one that needs real values
    (its path depends on them, say) runs on a picture of zeros. Rows are the modules without children and those that
    hold parameters of their own; a module called twice has two rows. Parameters are counted where they first appear, so
    that the sum of the rows is the number of parameters of the network. Modules that hold parameters and are never
    called come last.

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
        with in_mode(model, training=False):
            found = inspect(model, (1, *input_size), run=True).trace
    except Exception as error:
        raise ValueError(f"the network must run on a picture of size {input_size}, got: {error}") from error
    modules = dict(found.calls[0].module.named_modules())
    calls = [(call.name, _output_size(call)) for call in _as_they_end(found) if call.module is modules.get(call.name)]
    called = {name for name, _ in calls}
    rows, counted = [], set[int]()
    for name, size in [*calls, *((name, ()) for name in modules if name not in called)]:
        module = modules[name]
        own = {id(weight): weight.numel() for weight in module.parameters(recurse=False) if id(weight) not in counted}
        counted |= own.keys()
        if own or (name in called and _is_row(module)):
            operator = type(module).__name__
            rows.append(
                LayerRow(name=name or "model", operator=operator, output_size=size, parameters=sum(own.values()))
            )
    return rows


def _is_row(module: nn.Module) -> bool:
    """Whether a call of a module is a row: it holds no others, or parameters of its own."""
    return next(module.children(), None) is None or next(module.parameters(recurse=False), None) is not None


def _as_they_end(found: Trace) -> Iterator[Call]:
    """The calls, each behind those that it made."""
    open_calls: list[tuple[int, Call]] = []
    for place, call in enumerate(found.calls):
        while open_calls and open_calls[-1][0] != call.parent:
            yield open_calls.pop()[1]
        open_calls.append((place, call))
    yield from (call for _, call in reversed(open_calls))


def _output_size(call: Call) -> tuple[int, ...]:
    """Size of the first tensor of an output, without the batch."""
    sizes: Sequence[tuple[int, ...]] = [value.shape[1:] for value in call.outputs or ()]
    return next((size for size in sizes if size), ())
