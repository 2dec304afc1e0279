"""Which way a call takes, and why."""

import contextlib
import contextvars
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from striate import ops
from striate.ops._door import in_transform


@dataclass(frozen=True, slots=True)
class Route:
    """One way to compute an operator.

    Args:
        name: "torch", "kernels", "fft", "sub-pixel", "conv3d", "dense", "groups", "parts", "whole", "apart",
            "max_pool" or "reference".
        reason: why it is taken, in one sentence.

    Example:
        >>> Route("torch", "PyTorch's own convolution is at the limit").name
        'torch'
    """

    name: str
    reason: str


_TRANSFORMED = Route("reference", "in a transform PyTorch differentiates the definition by itself")


def with_kernels(input: Tensor, kernels: Route) -> Route:
    """The kernels where there are any and PyTorch need not look inside, otherwise the definition."""
    if in_transform():
        return _TRANSFORMED
    device = input.device.type
    if device in ("cpu", "cuda"):
        return kernels
    return Route("reference", f"there are kernels for CPU and CUDA only, and the input is on {device}")


_taken: contextvars.ContextVar[list[tuple[str, Route]] | None] = contextvars.ContextVar("taken", default=None)


def take(operator: str, route: Route) -> Route:
    """Note that an operator takes a route, if somebody wants to know and nothing is compiled; returns the route."""
    if not torch.compiler.is_compiling():
        noted = _taken.get()
        if noted is not None:
            noted.append((operator, route))
    return route


@contextlib.contextmanager
def routes_taken() -> Iterator[list[tuple[str, Route]]]:
    """Collect the routes of all operators called inside."""
    noted: list[tuple[str, Route]] = []
    token = _taken.set(noted)
    try:
        yield noted
    finally:
        _taken.reset(token)


def explain_dispatch(operator: str | Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Say which route a call takes and why, without computing anything.

    The operator runs on tensors without numbers, not compiled. Compiled code takes the same route: the choice asks for
    nothing that changes under `torch.compile`, except along a connection table, whose numbers it does not read. Not to
    be called inside of compiled code.

    Args:
        operator: the operator, its name in `striate`, or any function that calls operators, compiled or not.
        args: what it would be called with.
        kwargs: likewise.

    Returns:
        One line for each operator that the call reaches: its name, the route, the reason; equal lines once.

    Raises:
        ValueError: if there is no operator of this name, or the operator refuses the arguments.
        TypeError: if the operator refuses the arguments.

    Example:
        >>> print(explain_dispatch("conv2d", torch.zeros(1, 8, 32, 32), torch.zeros(8, 8, 3, 3)))
        conv2d: torch: PyTorch's own convolution is at the limit
    """
    if isinstance(operator, str) and operator not in ops.OPERATORS:
        near = difflib.get_close_matches(operator, ops.OPERATORS)
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(sorted(ops.OPERATORS))}"
        raise ValueError(f"there is no operator {operator!r}: {hint}")
    function: Callable[..., Any] = ops.load_operator(operator) if isinstance(operator, str) else operator
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def fake(value: Any) -> Any:
        # Whole numbers, as those of a connection table, are looked at.
        return mode.from_tensor(value) if isinstance(value, Tensor) and value.is_floating_point() else value

    with torch.compiler.set_stance("force_eager"), routes_taken() as taken, mode:
        function(*map(fake, args), **{name: fake(value) for name, value in kwargs.items()})
    return "\n".join(dict.fromkeys(f"{name}: {route.name}: {route.reason}" for name, route in taken))
