"""The order of samples and all random numbers of the data: pure functions of seed, epoch and sample, with no state."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# The first word of every hash: numbers drawn for one purpose say nothing about those drawn for another.
ORDER, AUGMENT, SPLIT = range(3)


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return splitmix64's finalizer of `words`."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def hashed(*values: int | NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return 64 random bits for each tuple of `values`, which broadcast; distinct last values never collide."""
    state = np.zeros(1, np.uint64)
    for value in values:
        word = np.array([value % 2**64], np.uint64) if isinstance(value, int) else value.astype(np.uint64)
        state = _mix((state ^ word) + np.uint64(0x9E3779B97F4A7C15))
    return state


def uniforms(samples: Tensor, draws: int, *, seed: int, epoch: int) -> Tensor:
    """Return random numbers that depend on seed, epoch, sample and draw alone.

    The numbers are the upper 53 bits of a counter-based hash, so they are exact in float64, the same on every machine
    and in every batch, and there is no generator whose state would have to be stored.

    Args:
        samples: Indices of samples, `(B,)`, int64.
        draws: How many numbers a sample gets.
        seed: Any integer; it counts modulo 2**64.
        epoch: Any integer; it counts modulo 2**64.

    Returns:
        Numbers in [0, 1), `(B, draws)`, float64, on the device of `samples`.

    Source:
        The finalizer and the constants of splitmix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
        Generators", OOPSLA 2014, https://doi.org/10.1145/2660193.2660195; Vigna,
        https://prng.di.unimi.it/splitmix64.c.

    Example:
        >>> import torch
        >>> both = uniforms(torch.tensor([7, 3]), 2, seed=0, epoch=1)
        >>> torch.equal(uniforms(torch.tensor([3]), 2, seed=0, epoch=1), both[1:])
        True
    """
    rows = samples.cpu().numpy().reshape(-1, 1)
    words = hashed(AUGMENT, seed, epoch, rows, np.arange(draws))
    return torch.from_numpy((words >> np.uint64(11)) * 2.0**-53).to(samples.device)


def epoch_order(samples: int, *, seed: int, epoch: int) -> Tensor:
    """Return the order of the samples in an epoch, a pure function of its arguments.

    The order is the sorting permutation of one hash a sample, so it is the same with every version of PyTorch.

    Args:
        samples: Number of samples.
        seed: Any integer; it counts modulo 2**64.
        epoch: Any integer; it counts modulo 2**64.

    Returns:
        A permutation of `0 .. samples - 1`, `(samples,)`, int64.

    Example:
        >>> epoch_order(6, seed=0, epoch=0).sort().values.tolist()
        [0, 1, 2, 3, 4, 5]
    """
    return torch.from_numpy(np.argsort(hashed(ORDER, seed, epoch, np.arange(samples)), kind="stable"))


def batch_count(samples: int, batch_size: int) -> int:
    """Return the number of batches that `samples` samples make.

    The last batch may be smaller, but a lone last sample joins the batch before it: batch normalisation cannot train
    on one sample.

    Args:
        samples: Number of samples, 0 or more.
        batch_size: Samples a batch, 1 or more.

    Returns:
        The number of batches; 0 without samples.

    Raises:
        ValueError: If `batch_size` is below 1.

    Example:
        >>> [batch_count(samples, 4) for samples in (0, 1, 8, 9, 10)]
        [0, 1, 2, 2, 3]
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
    whole, rest = divmod(samples, batch_size)
    return whole + (rest > 1 or (rest == 1 and whole == 0))


def batch_plan(order: Tensor, batch_size: int) -> list[Tensor]:
    """Return `order` cut into the batches that `batch_count` counts."""
    count = batch_count(len(order), batch_size)
    return [order[i * batch_size : (i + 1) * batch_size if i + 1 < count else None] for i in range(count)]
