"""Numbers put back, by the definition: every place asks for the last number that names it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def max_unpool(input: Tensor, indices: Tensor, sizes: Sequence[int]) -> Tensor:
    """output[n, c, i] = input[n, c, j] for the last j with indices[n, c, j] = i, 0 where there is none.

    Negative indices name no place.
    """
    places = math.prod(sizes)
    named = indices.flatten(2)
    named = torch.where(named < 0, places, named)
    order = torch.arange(named.shape[2], device=named.device).expand_as(named)
    nobody = torch.full_like(named[:, :, :1], -1).expand(-1, -1, places + 1)
    last = nobody.scatter_reduce(2, named, order, "amax")[:, :, :places]
    found = input.flatten(2).gather(2, last.clamp_min(0))
    return torch.where(last < 0, 0, found).view(*input.shape[:2], *sizes)
