"""What travels with a network: who wrote it, how it is built again, its classes and its preprocessing."""

import dataclasses
import importlib
import json
from collections.abc import Sequence
from typing import Any

from torch import nn

from striate.models import name_of
from striate.models.loading.preprocessing import Preprocessing

# The package itself stands above all of its parts.
VERSION: str = importlib.import_module("striate").__version__


def metadata(model: nn.Module, classes: Sequence[str], preprocessing: Preprocessing | None) -> dict[str, str]:
    """Words by name; what is no word is JSON.

    Raises:
        TypeError: if the preprocessing is something else.
        ValueError: if the classes are not as many as the network's.
    """
    found = {"library": "striate", "version": VERSION}
    name = name_of(model)
    if name is not None:
        config: Any = model.config
        found |= {"network": name, "config": json.dumps(dataclasses.asdict(config), ensure_ascii=False)}
        if classes and len(classes) != config.num_classes:
            raise ValueError(f"classes must be {config.num_classes}, one an output, got {len(classes)}")
    if classes:
        found["classes"] = json.dumps(list(classes), ensure_ascii=False)
    if preprocessing is not None:
        if not isinstance(preprocessing, Preprocessing):
            raise TypeError(f"preprocessing must be a Preprocessing, got {type(preprocessing).__name__}")
        found["preprocessing"] = preprocessing.to_json()
    return found
