"""A network back in the notation, and as PyTorch code."""

from torch import nn

from striate.models.notation.building import plan
from striate.models.notation.code import write
from striate.models.notation.network import Written
from striate.models.notation.parsing import parse
from striate.models.notation.reading import read_stack
from striate.models.notation.syntax import text_of


def of(network: nn.Module) -> str:
    """The text of a network.

    Args:
        network: one that was built from a text, or an `nn.Sequential` of layers that have a word.

    Returns:
        The canonical text, in one line: `parse` of it gives the same layers.

    Raises:
        TypeError: if the network is another, or there is no word for a layer or one of its settings.

    Example:
        >>> of(nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)))
        'conv 6 5 pad 2, relu, maxpool 2'
    """
    if isinstance(network, Written):
        return text_of(parse(network.config.text))
    if type(network) is nn.Sequential:
        return read_stack(network)
    raise TypeError(
        f"network must be one built from a text of the notation, or an nn.Sequential, got {type(network).__name__}"
    )


def code_of(network: nn.Module, input_size: tuple[int, ...] | None = None) -> str:
    """A network as source code for PyTorch.

    The code has a class `Network`, which is built without arguments and takes the network's state dict. It imports no
    more than PyTorch where PyTorch has the layers; padding that it has no setting for becomes `F.pad`. Where it lacks a
    layer, the code imports `striate.nn` and says for which.

    Args:
        network: one that was built from a text, or an `nn.Sequential` of layers that have a word, whose state dict is
            taken as that of the child `layers`.
        input_size: channels and sizes of the input; None for those that a network of a text was built for.

    Returns:
        The source of a module.

    Raises:
        TypeError: if the network is another, or there is no word for a layer or one of its settings.
        ValueError: if there is no `input_size` for an `nn.Sequential`.

    Example:
        >>> source = code_of(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 2, 2))
        >>> '("1", nn.Linear(4, 2))' in source
        True
    """
    text = of(network)
    if isinstance(network, Written):
        config = network.config
        shape, classes = (config.in_channels, *config.input_size), config.num_classes
    else:
        classes = 1
        if input_size is None:
            raise ValueError("input_size must be given for an nn.Sequential: channels and sizes, as (3, 32, 32)")
        shape = tuple(input_size)
    if isinstance(network, Written) and input_size is not None:
        shape = tuple(input_size)
    return write(plan(text, shape, classes), text)
