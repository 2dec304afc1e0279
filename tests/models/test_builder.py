import inspect
from dataclasses import dataclass

import pytest
from torch import nn

from striate.models.builder import builder


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What can be chosen.

    Args:
        width: features.

    Example:
        >>> Options().width
        3
    """

    width: int = 3


class Network(nn.Linear):
    """One layer.

    Args:
        config: what can be chosen.

    Source:
        None.
    """

    def __init__(self, config: Options) -> None:
        super().__init__(config.width, 1)


def test_builder():
    network = builder("network", Network, Options)
    assert network(width=5).in_features == 5
    assert network().in_features == 3
    assert network.__name__ == "network"
    assert network.__module__ == __name__
    shown = inspect.signature(network)
    assert [str(option) for option in shown.parameters.values()] == ["width: int = 3"]
    assert shown.return_annotation is Network
    with pytest.raises(TypeError, match="depth"):
        network(depth=2)


def test_documentation_names_the_options():
    text = inspect.getdoc(builder("network", Network, Options))
    assert "width: features." in text
    assert "config:" not in text
    assert "Source:" in text
