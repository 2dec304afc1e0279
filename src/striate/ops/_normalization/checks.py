"""What the doors of local normalisations do before their rooms are entered."""

import torch
from torch import Tensor

from striate.ops._door import under_autocast
from striate.ops.dispatch import Route, with_kernels


def check_maps(operator: str, input: Tensor, *, spatial: bool) -> None:
    """See that an input is a batch of maps along at most three axes, of at least one where it must be `spatial`.

    Raises:
        TypeError: if the input does not hold floating-point numbers.
        ValueError: if it has another number of axes.
    """
    if not input.is_floating_point():
        raise TypeError(f"{operator}: input must hold floating-point numbers, got {input.dtype}")
    if not 2 + spatial <= input.ndim <= 5:
        expected = f"(N, C, *sizes) with {'one to' if spatial else 'at most'} three sizes"
        raise ValueError(f"{operator}: input must be {expected}, got {tuple(input.shape)}")


def check_number(operator: str, name: str, value: object, least: float = -float("inf")) -> None:
    """See that a setting is a finite number, and not too small.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is NaN, infinite or below the least.
    """
    expected = "a finite number" if least == -float("inf") else f"a finite number of at least {least}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{operator}: {name} must be {expected}, got {value!r}")
    if not (value >= least and abs(value) < float("inf")):
        raise ValueError(f"{operator}: {name} must be {expected}, got {value}")


def widened(input: Tensor) -> Tensor:
    """The input in float32 where autocast is on and it is in low precision: PyTorch normalises in float32 there."""
    return input.float() if under_autocast(input) and input.dtype in (torch.float16, torch.bfloat16) else input


def choose(input: Tensor, reason: str) -> Route:
    """The kernels, for this reason, where there are any and PyTorch need not look inside."""
    return with_kernels(input, Route("kernels", reason))
