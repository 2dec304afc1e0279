"""How a network's function is made from its class and its config."""

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from torch import nn

P = ParamSpec("P")
C = TypeVar("C")
M = TypeVar("M", bound=nn.Module)


def builder(name: str, network: Callable[[C], M], config: Callable[P, C], **presets: Any) -> Callable[P, M]:
    """The function `name` that takes the config's fields as keywords and builds the network.

    Args:
        name: of the function.
        network: the class, of a config.
        config: its class.
        presets: fields that this function has other defaults for.
    """

    def build(*args: P.args, **kwargs: P.kwargs) -> M:
        return network(config(*args, **{**presets, **kwargs}))

    made: Any = build
    made.__name__ = made.__qualname__ = name
    made.__module__ = network.__module__
    made.network, made.config, made.presets = network, config, presets
    signature = inspect.signature(config)
    options = [
        option.replace(default=presets.get(option.name, option.default)) for option in signature.parameters.values()
    ]
    made.__signature__ = signature.replace(parameters=options, return_annotation=network)
    about, described = inspect.getdoc(network) or "", inspect.getdoc(config) or ""
    before, _, after = about.partition("Args:\n")
    _, _, arguments = described.partition("Args:\n")
    arguments, _, _ = arguments.partition("\n\n")
    _, _, rest = after.partition("\n\n")
    chosen = ", ".join(f"`{option}={value!r}`" for option, value in presets.items())
    variant = f"`{name}` is the one with {chosen}.\n\n" if presets else ""
    made.__doc__ = f"{before}{variant}Args:\n{arguments}\n\nReturns:\n    The network.\n\n{rest}"
    return build
