"""What there is to choose from, without building any of it."""

from dataclasses import dataclass

import torch

from striate.models.registry import builder_of, config_of, create, names


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A network with its default options.

    Args:
        name: in `striate.models`.
        takes: "pictures", "clips" or "series".
        gives: "classes" of the whole input, or "maps", classes of every place.
        input_size: channels and sizes.
        num_classes: classes.
        parameters: numbers that training changes.

    Example:
        >>> next(row for row in summaries() if row.name == "lenet5").input_size
        (1, 28, 28)
    """

    name: str
    takes: str
    gives: str
    input_size: tuple[int, ...]
    num_classes: int
    parameters: int


def summaries() -> list[Summary]:
    """All networks with their default options; nothing is allocated.

    Returns:
        One a network, in the order of their names.

    Source:
        Each network names its paper.

    Example:
        >>> next(row for row in summaries() if row.name == "lenet5").parameters
        60806
    """
    found = []
    for name in names():
        network, config = builder_of(name).network, config_of(name)
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in create(name).parameters())
        found.append(
            Summary(
                name=name,
                takes=network.TAKES,
                gives=network.GIVES,
                input_size=(config.in_channels, *config.input_size),
                num_classes=config.num_classes,
                parameters=parameters,
            )
        )
    return found
