import os
import signal
from pathlib import Path

import pytest
import torch

from striate.data import batch_count, batches, epoch_order, load

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def collected(*arguments, **options) -> list[tuple[list[int], torch.Tensor]]:
    return [(batch.samples.tolist(), batch.pictures) for batch in batches(*arguments, **options)]


def equal(one, other) -> bool:
    return len(one) == len(other) and all(
        a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in zip(one, other, strict=True)
    )


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_evaluation_takes_the_stored_order(digits):
    found = list(batches(digits, "val", batch_size=50))
    assert torch.equal(torch.cat([batch.samples for batch in found]), digits.parts["val"])
    assert torch.equal(torch.cat([batch.labels for batch in found]), digits.labels[digits.parts["val"]])
    assert torch.equal(found[1].pictures, digits.read(found[1].samples))


def test_training_takes_the_order_of_the_epoch(digits):
    train = digits.parts["train"]
    found = list(batches(digits, "train", batch_size=64, seed=3, epoch=2))
    assert len(found) == batch_count(len(train), 64)
    assert torch.equal(torch.cat([batch.samples for batch in found]), train[epoch_order(len(train), seed=3, epoch=2)])
    assert not torch.equal(found[0].samples, next(batches(digits, "train", batch_size=64, seed=3, epoch=3)).samples)


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(pets: Path, workers: int):
    held, streamed = load(pets, size=9), load(pets, size=9, memory=0)
    options = {"batch_size": 4, "seed": 1, "epoch": 0}
    before = torch.get_rng_state()
    found = collected(streamed, "train", workers=workers, **options)
    assert equal(found, collected(held, "train", workers=workers, **options))
    assert equal(found[2:], collected(streamed, "train", workers=workers, start=2, **options))
    assert torch.equal(before, torch.get_rng_state())
    assert collected(streamed, "train", workers=workers, start=100, **options) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_named_and_nothing_else_is_said(pets: Path, workers: int):
    streamed = load(pets, memory=0)
    bad = pets / streamed.names[streamed.parts["train"][3]]
    bad.write_text("gone bad")
    with pytest.raises(
        ValueError, match=rf"^{bad} cannot be read as a picture: it is damaged, or not one of [A-Z, ]*$"
    ):
        list(batches(streamed, "train", batch_size=4, workers=workers))
    bad.unlink()
    with pytest.raises(FileNotFoundError, match=bad.name):
        list(batches(streamed, "train", batch_size=4, workers=workers))


def test_workers_leave_interruption_to_their_parent(pets: Path):
    streamed = load(pets, memory=0)
    found = batches(streamed, "train", batch_size=2, workers=1)
    next(found)
    (worker,) = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker, number)
    assert len(list(found)) == batch_count(19, 2) - 1


def test_the_end_of_the_iterator_is_the_end_of_the_workers(pets: Path):
    found = batches(load(pets, memory=0), "train", batch_size=2, workers=2)
    next(found)
    found.close()
    assert Path(f"/proc/self/task/{os.getpid()}/children").read_text().split() == []


def test_arguments_out_of_range(digits):
    with pytest.raises(ValueError, match="part must be one of train, val, test, got 'dev'"):
        batches(digits, "dev", batch_size=4)
    with pytest.raises(ValueError, match="start and workers must be 0 or more, got -1 and 0"):
        batches(digits, "val", batch_size=4, start=-1)
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        batches(digits, "val", batch_size=0)


def test_an_empty_part_has_no_batches(make):
    tiny = load(make(["a/1.png", "b/1.png"]), memory=0)
    assert list(batches(tiny, "test", batch_size=4, workers=2)) == []
