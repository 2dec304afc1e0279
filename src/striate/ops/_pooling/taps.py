"""What one tap of every window reads, as PyTorch's operations on maps."""

from collections.abc import Sequence

import torch
from torch import Tensor


def under(
    padded: Tensor, tap: Sequence[int], outputs: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """What one tap reads of `(N, C, *sizes)`: a view `(N, C, *outputs)`."""
    for axis, (t, o, s, d) in enumerate(zip(tap, outputs, stride, dilation, strict=True), start=2):
        # Indexing would make an alias of a whole axis, for which batched gradients have no rule.
        padded = torch.ops.aten.slice(padded, axis, t * d, t * d + (o - 1) * s + 1, s)
    return padded


def outputs_of(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
) -> list[int]:
    """The sizes of the output. Unlike `Window` it takes settings that a tracer does not know, and checks nothing."""
    settings = zip(sizes, kernel, stride, low, high, dilation, strict=True)
    return [(a + n + b - d * (k - 1) - 1) // s + 1 for n, k, s, a, b, d in settings]


def format_of(rank: int, channels_last: bool) -> torch.memory_format:
    """The memory format of a tensor with so many axes."""
    if not channels_last:
        return torch.contiguous_format
    return torch.channels_last if rank == 4 else torch.channels_last_3d
