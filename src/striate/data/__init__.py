"""Labelled pictures: where they come from, how they are decoded, and in which order they are read."""

from striate.data.augment import Augmentation
from striate.data.batches import Batch, batches
from striate.data.dataset import Dataset, load
from striate.data.decode import decode
from striate.data.manifest import changes
from striate.data.normalize import Normalization
from striate.data.order import batch_count, epoch_order, uniforms
from striate.data.resample import conform, resample
from striate.data.source import Part

__all__ = [
    "Augmentation",
    "Batch",
    "Dataset",
    "Normalization",
    "Part",
    "batch_count",
    "batches",
    "changes",
    "conform",
    "decode",
    "epoch_order",
    "load",
    "resample",
    "uniforms",
]
