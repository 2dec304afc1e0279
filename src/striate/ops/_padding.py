"""What lies outside the picture, made explicit."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular", "constant"]


def pairs(low: Sequence[int], high: Sequence[int]) -> list[int]:
    """Padding by axis as `torch.nn.functional.pad` takes it: the last axis first."""
    return [side for sides in zip(reversed(low), reversed(high), strict=True) for side in sides]


def pad(
    operator: str,
    input: Tensor,
    low: Sequence[int],
    high: Sequence[int],
    mode: PaddingMode,
    border: Tensor | None,
) -> Tensor:
    """The input `(N, C, *sizes)` with its surroundings.

    Raises:
        ValueError: if the mode is unknown, asks for more than the input holds, or does not go with `border`.
    """
    if mode not in get_args(PaddingMode):
        raise ValueError(f"{operator}: padding_mode must be one of {', '.join(get_args(PaddingMode))}, got {mode!r}")
    if (border is not None) != (mode == "constant"):
        raise ValueError(f"{operator}: border and padding_mode='constant' go together, got {mode!r} and {border}")
    if mode == "zeros":
        return F.pad(input, pairs(low, high))
    if border is not None:
        if border.shape != input.shape[1:2]:
            raise ValueError(
                f"{operator}: border must be ({input.shape[1]},), one value a channel, got {tuple(border.shape)}"
            )
        inside = F.pad(torch.ones_like(input[:1, :1], dtype=torch.bool), pairs(low, high))
        return torch.where(inside, F.pad(input, pairs(low, high)), border.view(-1, *[1] * len(low)))
    least = {"reflect": 1, "circular": 0, "replicate": None}[mode]
    for axis, (n, sides) in enumerate(zip(input.shape[2:], zip(low, high, strict=True), strict=True)):
        if least is not None and max(sides) > n - least:
            raise ValueError(
                f"{operator}: padding_mode={mode!r} can pad at most {n - least} places on axis {axis} of size {n}, "
                f"got {sides}"
            )
    if len(low) == 4:
        # PyTorch repeats what is inside along three axes at most.
        first = F.pad(input.flatten(3), [0, 0, low[0], high[0]], mode=mode)
        volumes = first.reshape(*first.shape[:3], *input.shape[3:]).flatten(1, 2)
        volumes = F.pad(volumes, pairs(low[1:], high[1:]), mode=mode)
        return volumes.reshape(*first.shape[:3], *volumes.shape[2:])
    return F.pad(input, pairs(low, high), mode=mode)
