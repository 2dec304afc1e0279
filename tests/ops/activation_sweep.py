"""Random activations, with ties, against definitions of another kind."""

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

import striate
from ops.checks import assert_close, gradients_of
from ops.draws import draw_tensor


def check_activation(dice: random.Random) -> None:
    dtype = dice.choice([torch.float64, torch.float32, torch.bfloat16, torch.float16])
    pieces = dice.choice([1, 2, 2, 3, 5])
    sizes = [dice.choice([1, 2, 3, 7]) for _ in range(dice.randint(1, 5))]
    axis = dice.randrange(len(sizes))
    sizes[axis] *= pieces
    # Halves, so that there are ties and zeros.
    input = torch.tensor([dice.randint(-4, 4) / 2 for _ in range(int(np.prod(sizes)))], dtype=dtype).view(sizes)
    if input.ndim == 4 and dice.random() < 0.3:
        input = input.contiguous(memory_format=torch.channels_last)
    dim = dice.choice([axis, axis - len(sizes)])
    compare(striate.abs_rectify, lambda x: torch.maximum(x, -x), input)
    with torch.no_grad():
        assert torch.equal(striate.maxout(input, pieces, dim), largest(input, pieces, axis))
    compare(lambda x: striate.maxout(x, pieces, dim), lambda x: largest(x, pieces, axis), input)
    gain = draw_tensor(dice, [sizes[axis]], dtype)
    gain = dice.choice([gain, gain[0]])
    # The derivative is found from the rounded tangent, which far from 0 says little in half precision.
    compare(lambda *two: striate.scaled_tanh(*two, dim=dim), lambda *two: squashed(*two, axis), input / 2, gain)


def largest(input: Tensor, pieces: int, axis: int) -> Tensor:
    """Picked one by one where NumPy finds the first of the largest."""
    groups = input.movedim(axis, -1).reshape(-1, pieces)
    winners = torch.from_numpy(groups.detach().double().numpy().argmax(1))
    picked = groups[torch.arange(len(groups)), winners]
    kept = [size for number, size in enumerate(input.shape) if number != axis]
    return picked.view(*kept, input.shape[axis] // pieces).movedim(-1, axis)


def squashed(input: Tensor, gain: Tensor, axis: int) -> Tensor:
    """By the sigmoid."""
    tangent = 2 * torch.sigmoid(2 * input) - 1
    return torch.movedim(tangent.movedim(axis, -1) * gain, -1, axis)


def compare(ours: Callable[..., Tensor], definition: Callable[..., Tensor], *tensors: Tensor) -> None:
    """Outputs and gradients; sums of gradients relative to the sums of what is added up."""
    wide = tuple(tensor.double() for tensor in tensors)
    assert ours(*tensors).dtype == tensors[0].dtype
    assert_close(ours(*tensors), definition(*wide))
    terms = wide[0].abs(), *(torch.ones_like(tensor) for tensor in wide[1:])
    sizes = gradients_of(definition, *terms)
    for found, expected, size in zip(gradients_of(ours, *tensors), gradients_of(definition, *wide), sizes, strict=True):
        assert_close(found, expected, terms=torch.maximum(size.abs(), expected.abs()))
