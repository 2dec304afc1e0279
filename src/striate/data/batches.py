"""Batches of a part, in an order that needs no stored state."""

import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from striate.data.dataset import Dataset
from striate.data.order import batch_plan, epoch_order
from striate.data.source import PARTS, Part
from striate.data.store import Store


class Batch(NamedTuple):
    """Some samples.

    Args:
        pictures: As they are stored, `(B, C, H, W)`.
        labels: `(B,)`, int64.
        samples: Indices into the data set, `(B,)`, int64.

    Example:
        >>> Batch(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), torch.tensor([5, 7])).labels.tolist()
        [0, 1]
    """

    pictures: Tensor
    labels: Tensor
    samples: Tensor


def batches(
    dataset: Dataset,
    part: Part,
    *,
    batch_size: int,
    seed: int = 0,
    epoch: int | None = None,
    start: int = 0,
    workers: int = 0,
) -> Iterator[Batch]:
    """Iterate over the batches of a part, the same for any number of workers.

    Args:
        dataset: The data.
        part: `"train"`, `"val"` or `"test"`.
        batch_size: Samples a batch; the last may be smaller, and a lone last sample joins the batch before it.
        seed: Seed of the order.
        epoch: The epoch whose order is taken, a pure function of seed and epoch; None takes the stored order.
        start: The first batch to deliver: an epoch broken off after k batches goes on with `start=k`.
        workers: Processes that decode pictures; not used for data in memory. They leave SIGINT and SIGTERM to their
            parent, and end with the iterator.

    Returns:
        An iterator; PyTorch's random numbers are not touched.

    Raises:
        OSError: If a file cannot be opened.
        ValueError: If the part is unknown, a number is out of range, or a file is damaged, which is named.

    Example:
        >>> from striate.data import load
        >>> digits = load("digits")
        >>> batch = next(batches(digits, "train", batch_size=64, seed=0, epoch=3))
        >>> batch.pictures.shape, batch.labels.shape
        (torch.Size([64, 1, 8, 8]), torch.Size([64]))
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    if start < 0 or workers < 0:
        raise ValueError(f"start and workers must be 0 or more, got {start} and {workers}")
    samples = dataset.parts[part]
    if epoch is not None:
        samples = samples[epoch_order(len(samples), seed=seed, epoch=epoch)]
    plan = batch_plan(samples, batch_size)[start:]
    return _deliver(dataset, plan, 0 if dataset.in_memory else workers)


def _deliver(dataset: Dataset, plan: list[Tensor], workers: int) -> Iterator[Batch]:
    if workers == 0 or not plan:
        for samples in plan:
            yield Batch(dataset.read(samples), dataset.labels[samples], samples)
        return
    loader = DataLoader(
        _Pictures(dataset.store),
        batch_sampler=[samples.tolist() for samples in plan],
        num_workers=workers,
        collate_fn=_as_is,
        worker_init_fn=_ignore_signals,
        # Without one of its own, the loader draws from PyTorch's global generator.
        generator=torch.Generator(),
    )
    for samples, pictures in zip(plan, loader, strict=True):
        if isinstance(pictures, Exception):
            raise pictures
        yield Batch(pictures, dataset.labels[samples], samples)


class _Pictures(TorchDataset[Tensor]):
    """Pictures by lists of indices, for PyTorch's workers."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __getitems__(self, samples: list[int]) -> Tensor | Exception:
        # Raised here, an error would reach the user with the worker's traceback for a message.
        try:
            return self.store.read(torch.tensor(samples))
        except (OSError, ValueError) as error:
            return error


def _as_is(pictures: Any) -> Any:
    return pictures


def _ignore_signals(_worker: int) -> None:
    """Leave interruption to the parent: Ctrl-C reaches the whole group of processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
