"""What a network gives on random inputs, and how far another answer is from it."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from striate.models import Network

TOLERANCES = {torch.float32: 1e-4, torch.float16: 1e-2}


def still(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode on the CPU: nothing that is done with it reaches the network."""
    return copy.deepcopy(model).eval().cpu().requires_grad_(False)


def dtype_of(model: nn.Module) -> torch.dtype:
    """That of the network's numbers, and so of its input.

    Raises:
        TypeError: if it is neither float32 nor float16.
    """
    dtypes = (parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
    dtype = next(dtypes, torch.float32)
    if dtype not in TOLERANCES:
        raise TypeError(f"model must be of float32 or float16, got {str(dtype).removeprefix('torch.')}: try .float()")
    return dtype


def sizes_of(model: nn.Module, input_size: Sequence[int] | None) -> tuple[int, ...]:
    """Channels and sizes of a sample: those given, or those that a network of ours is built for.

    Raises:
        ValueError: if they are no sizes, or none are given or known.
    """
    if input_size is None:
        if not isinstance(model, Network):
            raise ValueError("input_size is missing: the size of one sample, as (3, 224, 224)")
        return (model.config.in_channels, *model.config.input_size)
    sizes = tuple(input_size)
    if not sizes or not all(isinstance(side, int) and side > 0 for side in sizes):
        raise ValueError(f"input_size must be the size of one sample, as (3, 224, 224), got {input_size!r}")
    return sizes


def sample(batch: int, sizes: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Random inputs, of another contrast in every sample, the same at every call."""
    values = torch.randn(batch, *sizes, generator=torch.Generator().manual_seed(batch))
    return (values * torch.linspace(1.0, 2.0, batch).view(-1, *[1] * len(sizes))).to(dtype)


def answers(model: nn.Module, input: Tensor) -> list[Tensor]:
    """What a network gives, one after another where that is several tensors.

    Raises:
        ValueError: if it does not run, or gives no tensors or numbers that are not finite.
    """
    try:
        with torch.no_grad():
            found = pytree.tree_leaves(model(input))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"model does not run on an input of {tuple(input.shape)}: {first_line(error)}") from error
    if not found or not all(isinstance(tensor, Tensor) for tensor in found):
        raise ValueError("model must give tensors, and nothing else")
    if not all(bool(tensor.isfinite().all()) for tensor in found):
        raise ValueError("model gives numbers that are not finite on random inputs: nothing can be compared")
    return found


def error_of(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest `max|Δ| / max|y|` of any of the tensors; infinite where sizes differ or a number is none."""
    if [tensor.shape for tensor in found] != [tensor.shape for tensor in expected]:
        return math.inf
    largest = 0.0
    for ours, theirs in zip(expected, found, strict=True):
        wide = ours.double()
        difference = (theirs.double() - wide).abs()
        if difference.numel() == 0:
            continue
        error, scale = float(difference.max()), float(wide.abs().max())
        # A NaN is no number below any tolerance.
        relative = error / scale if scale > 0 else (0.0 if error == 0 else math.inf)
        largest = math.inf if math.isnan(relative) else max(largest, relative)
    return largest


def check(error: float, tolerance: float, what: str) -> None:
    """See that a file gives what the network gives.

    Raises:
        ValueError: if it does not.
    """
    if not error <= tolerance:
        raise ValueError(
            f"{what} does not give what the network gives: its outputs differ by {error:.2g} of the largest, "
            f"at most {tolerance:g} is accepted; nothing was written"
        )


def tolerance_of(tolerance: float | None, dtype: torch.dtype) -> float:
    """What was asked for, or what the dtype allows.

    Raises:
        ValueError: if it is no positive number.
    """
    if tolerance is None:
        return TOLERANCES[dtype]
    if not 0 < tolerance < math.inf:
        raise ValueError(f"tolerance must be a positive number, got {tolerance}")
    return tolerance


def first_line(error: BaseException) -> str:
    """What an error says, in a line, with its kind where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
