"""How a network's function is made from its class and its config."""

import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from torch import nn

P = ParamSpec("P")
C = TypeVar("C")
M = TypeVar("M", bound=nn.Module)


def builder(name: str, network: Callable[[C], M], config: Callable[P, C]) -> Callable[P, M]:
    """The function `name` that takes the config's fields as keywords and builds the network."""

    def build(*args: P.args, **kwargs: P.kwargs) -> M:
        return network(config(*args, **kwargs))

    build.__name__ = build.__qualname__ = name
    build.__module__ = network.__module__
    build.__signature__ = inspect.signature(config).replace(return_annotation=network)  # type: ignore[attr-defined]
    about, options = inspect.getdoc(network) or "", inspect.getdoc(config) or ""
    before, _, after = about.partition("Args:\n")
    _, _, arguments = options.partition("Args:\n")
    arguments, _, _ = arguments.partition("\n\n")
    _, _, rest = after.partition("\n\n")
    build.__doc__ = f"{before}Args:\n{arguments}\n\nReturns:\n    The network.\n\n{rest}"
    return build
