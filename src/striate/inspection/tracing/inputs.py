"""The inputs that a network is inspected on."""

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from striate.models import Network

# Sizes of tensors in bytes must fit in 64 bits.
MOST_NUMBERS = 2**56


def own_size(model: nn.Module) -> tuple[int, ...] | None:
    """A batch of one of the size that a network of ours is made for; None for others."""
    if not isinstance(model, Network):
        return None
    return (1, model.config.in_channels, *model.config.input_size)


def own_dtype(model: nn.Module) -> torch.dtype:
    """That of the first weight that is no whole number; PyTorch's default where there is none."""
    weights = (weight.dtype for weight in model.parameters() if weight.is_floating_point() or weight.is_complex())
    return next(weights, torch.get_default_dtype())


def inputs_of(
    model: nn.Module,
    input_size: Sequence[Any] | None,
    inputs: Sequence[Tensor] | None,
    dtypes: Sequence[torch.dtype] = (),
) -> list[Tensor]:
    """Tensors without numbers.

    Args:
        model: a network, whose weights say the dtype of what has none.
        input_size: one size, or one an input.
        inputs: tensors in place of sizes; they are returned.
        dtypes: of the inputs, where they are known.

    Returns:
        One an input.

    Raises:
        TypeError: if the sizes are no sequence, or the inputs no tensors.
        ValueError: if there is neither size nor inputs, or both, or a size is not of whole numbers above 0,
            or too large.
    """
    if inputs is not None:
        if input_size is not None:
            raise ValueError("give input_size or inputs, not both")
        if isinstance(inputs, Tensor) or not all(isinstance(tensor, Tensor) for tensor in inputs):
            raise TypeError("inputs must be a sequence of tensors")
        return list(inputs)
    if input_size is None:
        raise ValueError("input_size is missing: give the batch, the channels and the sizes, as (1, 3, 224, 224)")
    if not isinstance(input_size, Sequence) or isinstance(input_size, str) or not input_size:
        raise TypeError(f"input_size must be a sequence of whole numbers, as (1, 3, 224, 224), got {input_size!r}")
    sizes = input_size if isinstance(input_size[0], Sequence) else [input_size]
    for size in sizes:
        if not isinstance(size, Sequence) or any(type(side) is not int or side < 1 for side in size):
            raise ValueError(f"input_size must hold whole numbers above 0, as (1, 3, 224, 224), got {input_size!r}")
        if math.prod(size) > MOST_NUMBERS:
            raise ValueError(f"an input of {'x'.join(map(str, size))} is too large")
    return [
        torch.empty(tuple(size), dtype=dtype or own_dtype(model), device="meta")
        for size, dtype in zip_longest(sizes, dtypes[: len(sizes)])
    ]
