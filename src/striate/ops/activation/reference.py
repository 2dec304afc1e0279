"""The activations by their formulas, element by element."""

import torch
from torch import Tensor


def abs_rectify(input: Tensor) -> Tensor:
    """The input times its sign, whose derivative is the sign."""
    return input * input.sign()


def maxout(input: Tensor, pieces: int, axis: int) -> Tensor:
    """output[o] = input[o * pieces + j] with the first j that no other exceeds, or the first that is NaN."""
    channels = input.movedim(axis, 0)
    first, *others = (channels[piece::pieces] for piece in range(pieces))
    for other in others:
        first = torch.where((other > first) | (other.isnan() & ~first.isnan()), other, first)
    return first.movedim(0, axis)


def scaled_tanh(input: Tensor, gain: Tensor, axis: int) -> Tensor:
    """gain[c] * (exp(2 x) - 1) / (exp(2 x) + 1)."""
    along = gain.view(-1, *[1] * (input.ndim - 1 - axis)) if gain.ndim else gain
    return along * (1 - 2 / (torch.exp(2 * input) + 1))
