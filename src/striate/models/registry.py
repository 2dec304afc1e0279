"""Every network by its name."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from torch import nn

from striate.models.lenet import LeNet5, LeNet5Config, lenet5


class ModelConfig(Protocol):
    """What the config of every picture network has: channels, classes and the size it takes."""

    @property
    def in_channels(self) -> int:
        """Channels of the picture."""
        ...

    @property
    def num_classes(self) -> int:
        """Classes to tell apart."""
        ...

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        ...


@dataclass(frozen=True, slots=True)
class _Entry:
    network: type[nn.Module]
    config: Callable[..., ModelConfig]
    build: Callable[..., nn.Module]


_ENTRIES = {"lenet5": _Entry(LeNet5, LeNet5Config, lenet5)}


def names() -> list[str]:
    """The names of all networks.

    Returns:
        The names, sorted.

    Example:
        >>> names()
        ['lenet5']
    """
    return sorted(_ENTRIES)


def config_of(name: str) -> ModelConfig:
    """The options that a network has if none are given, its input size among them.

    Args:
        name: the network's name.

    Returns:
        The network's frozen config.

    Raises:
        ValueError: if there is no such network; near matches are named.

    Example:
        >>> config_of("lenet5").input_size
        (28, 28)
    """
    return _entry(name).config()


def create(name: str, **options: Any) -> nn.Module:
    """Build a network by its name.

    Args:
        name: the network's name.
        options: fields of the network's config, such as `num_classes`.

    Returns:
        The network, with its config as `.config`.

    Raises:
        TypeError: if the network has no such option.
        ValueError: if there is no such network; near matches are named.

    Source:
        Each network names its paper.

    Example:
        >>> create("lenet5", num_classes=3).config.num_classes
        3
    """
    entry = _entry(name)
    known = [field.name for field in fields(entry.config)]  # type: ignore[arg-type]
    for option in options:
        if option not in known:
            raise TypeError(f"{name} has no option {option!r}: expected some of {', '.join(known)}")
    return entry.build(**options)


def name_of(model: nn.Module) -> str | None:
    """The name under which `create` builds a network like this one.

    Args:
        model: any module.

    Returns:
        The name, or None if the module is not one of ours.

    Example:
        >>> name_of(create("lenet5")), name_of(nn.Linear(1, 1))
        ('lenet5', None)
    """
    return next((name for name, entry in _ENTRIES.items() if type(model) is entry.network), None)


def rebuild(name: str, options: Mapping[str, Any] | None) -> nn.Module:
    """Build a network again from its name and its config as JSON gives it back.

    Args:
        name: the network's name.
        options: all fields of its config; lists stand for tuples. None for a network that is not one of ours.

    Returns:
        The network, with new weights.

    Raises:
        ValueError: if the network is not one of ours.

    Example:
        >>> rebuild("lenet5", {"input_size": [32, 32]}).config.input_size
        (32, 32)
    """
    if options is None:
        raise ValueError(f"{name} is not a network of striate.models: give the module itself as model=")
    return create(name, **{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()})


def _entry(name: str) -> _Entry:
    if name not in _ENTRIES:
        near = difflib.get_close_matches(name, _ENTRIES, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(names())}"
        raise ValueError(f"there is no network named {name!r}: {hint}")
    return _ENTRIES[name]
