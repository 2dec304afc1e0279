"""The memory of a network as a function of the batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from striate.inspection.tracing.trace import Run, Trace, trace


@dataclass(frozen=True, slots=True, kw_only=True)
class OfBatch:
    """Bytes for a batch of any size: the most of several straight lines, one for each moment that may be the fullest.

    Args:
        lines: (bytes, bytes a sample) of each.
        exact: whether a third batch was found to lie on the lines of the first two.

    Example:
        >>> OfBatch(lines=((100, 8), (0, 10)), exact=True)(60)
        600
    """

    lines: tuple[tuple[int, int], ...]
    exact: bool

    def __call__(self, batch: int) -> int:
        """Bytes for a batch.

        Args:
            batch: samples.

        Returns:
            Bytes.

        Raises:
            ValueError: if it is not positive.

        Example:
            >>> OfBatch(lines=((100, 8),), exact=True)(2)
            116
        """
        if batch < 1:
            raise ValueError(f"batch must be positive, got {batch}")
        return max(fixed + each * batch for fixed, each in self.lines)

    def largest(self, memory_bytes: int, sample_bytes: int = 0) -> int:
        """The largest batch that fits in a memory.

        Args:
            memory_bytes: the memory.
            sample_bytes: what each sample needs besides.

        Returns:
            Samples; 0 if not even one fits.

        Raises:
            ValueError: if the memory does not grow with the batch.

        Example:
            >>> OfBatch(lines=((100, 8),), exact=True).largest(116)
            2
        """
        if self(1) + sample_bytes > memory_bytes:
            return 0
        grow = [(fixed, each + sample_bytes) for fixed, each in self.lines if each + sample_bytes > 0]
        if not grow:
            raise ValueError("the memory does not grow with the batch: every batch fits")
        return min((memory_bytes - fixed) // each for fixed, each in grow)


def of_batch(model: nn.Module, found: Trace, run: Run, read: Callable[[Trace], Sequence[int]]) -> OfBatch:
    """Bytes as a function of the batch, from runs of three batches.

    The batch is the first axis of the first input, and of the others that are as long there.

    Args:
        model: the network; it is not touched.
        found: a run of it.
        run: see `trace`.
        read: what to read from a run, at each moment.

    Returns:
        The function.

    Raises:
        ValueError: if the network has no batch, or does not run with another.
    """
    if not found.given or not found.given[0].ndim:
        raise ValueError("the network takes no tensor with a batch")
    batch = max(1, found.given[0].shape[0])
    sizes = (batch, batch + 1, 2 * batch + 3)
    first, second, third = (_read(model, found, run, size, read) for size in sizes)
    if len(first) == len(second) == len(third):
        lines = {(a - batch * (b - a), b - a) for a, b in zip(first, second, strict=True)}
        exact = all(a + (b - a) * (sizes[2] - batch) == c for a, b, c in zip(first, second, third, strict=True))
        if exact:
            return OfBatch(lines=_needed(lines), exact=True)
    # Not straight: the line of the widest two, rounded up.
    low, high = max(first, default=0), max(third, default=0)
    each = -((low - high) // (sizes[2] - batch))
    return OfBatch(lines=((low - batch * each, each),), exact=False)


def _read(
    model: nn.Module, found: Trace, run: Run, batch: int, read: Callable[[Trace], Sequence[int]]
) -> Sequence[int]:
    size = found.given[0].shape[0]
    inputs = [_resized(tensor, batch) if tensor.shape[:1] == (size,) else tensor for tensor in found.given]
    again = trace(model, inputs, found.settings, run)
    if again.failure is not None:
        raise ValueError(f"the network does not run with a batch of {batch}: {again.failure}") from again.failure
    return read(again)


def _resized(tensor: Tensor, batch: int) -> Tensor:
    """A tensor of another batch whose axes lie in memory in the same order."""
    order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    shape = (batch, *tensor.shape[1:])
    lying = torch.empty([shape[axis] for axis in order], dtype=tensor.dtype, device="meta")
    places = [order.index(axis) for axis in range(tensor.ndim)]
    return lying.permute(places).requires_grad_(tensor.requires_grad)


def _needed(lines: set[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The lines that are the highest for some batch: none is lower than another both at one sample and in its slope."""
    found: list[tuple[int, int]] = []
    for fixed, each in sorted(lines, key=lambda line: (-line[1], -line[0])):
        if not found or fixed + each > found[-1][0] + found[-1][1]:
            found.append((fixed, each))
    return tuple(found) or ((0, 0),)
