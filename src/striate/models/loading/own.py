"""What a file of ours says of the network that it is from."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch

from striate.models.files import WeightFile
from striate.models.loading.preprocessing import Preprocessing
from striate.models.notation import is_text, notation, parse, text_of
from striate.models.registry import rebuild

_LONGEST = 10_000
_LARGEST = 2**24


def written_options(name: str, opened: WeightFile) -> dict[str, Any]:
    """The options of the network that a file of ours is from; none if it is from another, or its tensors are.

    Args:
        name: the network's.
        opened: the file.
    """
    metadata = opened.metadata
    text, network_name = metadata.get("config"), metadata.get("network")
    if metadata.get("library") != "striate" or not isinstance(text, str):
        return {}
    try:
        found = json.loads(text) if len(text) <= _LONGEST else None
        if not isinstance(found, dict) or not _is_modest(found, len(opened.entries)):
            return {}
        if network_name != name and not (network_name == notation.__name__ and _is_same_text(found.get("text"), name)):
            return {}
        with torch.device("meta"):
            network = rebuild(name, found)
    except (ValueError, TypeError, RuntimeError, RecursionError, OverflowError):
        return {}
    sizes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    if sizes != {key: entry.shape for key, entry in opened.entries.items()}:
        return {}
    return {field.name: getattr(network.config, field.name) for field in fields(network.config)}


def written_preprocessing(opened: WeightFile) -> Preprocessing | None:
    """What a file says of pictures; files of others may mean something else by the word.

    Raises:
        ValueError: if a file of ours says it wrongly.
    """
    text = opened.metadata.get("preprocessing")
    try:
        return Preprocessing.from_json(text) if isinstance(text, str) else None
    except ValueError as error:
        if opened.metadata.get("library") != "striate":
            return None
        raise ValueError(f"{opened.path}: {error}") from error


def _is_same_text(theirs: Any, ours: str) -> bool:
    """Whether two texts of the notation say the same; a network's name is none.

    Raises:
        NotationError: if theirs is none.
    """
    return is_text(ours) and isinstance(theirs, str) and text_of(parse(theirs)) == text_of(parse(ours))


def _is_modest(options: Mapping[str, Any], tensors: int) -> bool:
    """Whether a network of these options can be built without numbers in a moment."""
    numbers = [number for value in options.values() for number in (value if isinstance(value, list) else [value])]
    if any(isinstance(number, int) and abs(number) > _LARGEST for number in numbers):
        return False
    # Every block has tensors of its own.
    layers, depth = options.get("layers", []), options.get("depth", 0)
    return isinstance(layers, list) and sum(layers) <= tensors and depth <= max(tensors, 19)
