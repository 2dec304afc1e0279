"""Training LeNet-5 on small pictures, end to end: samples a second in the epochs after the first."""

import dataclasses
import importlib
import tempfile
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers.usual_loop import Pictures, RandomAffine, seconds_an_epoch
from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from striate import models
from striate.data import Augmentation, Dataset, Normalization, load
from striate.training import Config, fit

# The bundled digits, some of them several times: one pass over them alone is too short to time.
_SAMPLES = 6000
_EPOCHS = 3
_BATCH = 64
_LR = 0.05
_AUGMENT = Augmentation()


@cache
def _digits() -> Dataset:
    digits = load("digits", size=28)
    repeated = torch.arange(_SAMPLES) % len(digits.labels)
    nothing = torch.arange(0)
    return dataclasses.replace(digits, parts={"train": repeated, "val": nothing, "test": nothing})


@cache
def _normalization() -> Normalization:
    return Normalization.of(_digits())


def _ours(augment: Augmentation | None) -> Work:
    config = Config(
        epochs=_EPOCHS,
        batch_size=_BATCH,
        lr=_LR,
        schedule="constant",
        warmup=0.0,
        label_smoothing=0.0,
        augment=augment,
        precision="float32",
    )
    steps = -(-_SAMPLES // _BATCH)

    def run() -> float:
        # From the last step of the first epoch to the last of all: the checkpoint of every epoch counts as ours.
        ends: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            fit(
                "lenet5",
                _digits(),
                config,
                out=f"{folder}/run",
                report=False,
                on_step=lambda step: None if step % steps else ends.append(time.perf_counter()),
            )
        return (ends[-1] - ends[0]) / (_EPOCHS - 1)

    return Work(run=run)


def _loop(loader: DataLoader[Any]) -> Work:
    return Work(run=lambda: seconds_an_epoch(models.create("lenet5"), loader, epochs=_EPOCHS, lr=_LR))


def _augmented(transform: Callable[[Image.Image], Tensor]) -> Work:
    digits = _digits()
    samples = digits.parts["train"]
    arrays = digits.read(samples).squeeze(1).numpy()
    pictures = Pictures([Image.fromarray(array) for array in arrays], digits.labels[samples].tolist(), transform)
    return _loop(DataLoader(pictures, batch_size=_BATCH, shuffle=True, num_workers=2, persistent_workers=True))


def _torchvision() -> Work:
    importlib.import_module("benchmarks.peers.torchvision_on_cpu")
    transforms = importlib.import_module("torchvision.transforms")
    affine = transforms.RandomAffine(
        degrees=_AUGMENT.rotation,
        translate=(_AUGMENT.translation, _AUGMENT.translation),
        scale=(1 - _AUGMENT.scale, 1 + _AUGMENT.scale),
        shear=_AUGMENT.shear,
        interpolation=transforms.InterpolationMode.BILINEAR,
    )
    normalize = transforms.Normalize(_normalization().mean, _normalization().std)
    return _augmented(transforms.Compose([affine, transforms.ToTensor(), normalize]))


def _pillow() -> Work:
    transform = RandomAffine(
        degrees=_AUGMENT.rotation,
        translate=_AUGMENT.translation,
        scale=_AUGMENT.scale,
        shear=_AUGMENT.shear,
        mean=_normalization().mean[0],
        std=_normalization().std[0],
    )
    return _augmented(transform)


def _tensors() -> Work:
    digits = _digits()
    samples = digits.parts["train"]
    tensors = TensorDataset(_normalization()(digits.read(samples)), digits.labels[samples])
    return _loop(DataLoader(tensors, batch_size=_BATCH, shuffle=True))


TOPIC = Topic(
    tests=("tests/data", "tests/training"),
    cases=(
        Case(
            name=f"LeNet-5, 28×28, random affine changes, batch {_BATCH}",
            ours=lambda: _ours(_AUGMENT),
            peers=(
                Peer(
                    name="PIL, torchvision.transforms, DataLoader, 2 workers",
                    make=_torchvision,
                    target=Target(ratio=3.0),
                    needs=("torchvision",),
                ),
                Peer(
                    name="PIL, a lean transform by hand, DataLoader, 2 workers",
                    make=_pillow,
                    target=Target(ratio=3.0),
                ),
            ),
            floor="the network's own forward, backward and update",
            amount=(_SAMPLES, "samples"),
            budget=90.0,
        ),
        Case(
            name=f"LeNet-5, 28×28, no augmentation, batch {_BATCH}",
            ours=lambda: _ours(None),
            peers=(
                Peer(
                    name="TensorDataset, DataLoader",
                    make=_tensors,
                    target=Target(ratio=1.1),
                ),
            ),
            floor="the network's own forward, backward and update, which is nearly all of it",
            amount=(_SAMPLES, "samples"),
            budget=90.0,
        ),
    ),
)
