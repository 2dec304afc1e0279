"""Whole networks: inference, and a training step as `striate train` takes it, against the same networks of others."""

import importlib
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from striate import models
from striate.training.allocator import set_kept
from striate.training.loss import classification_loss
from striate.training.precision import faster_precision

_SIDE = 224
_CLASSES = 1000


def _batch(size: int) -> tuple[Tensor, Tensor]:
    """Pictures and their classes, the same for all contenders."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(size, 3, _SIDE, _SIDE, generator=generator)
    return pictures, torch.randint(_CLASSES, (size,), generator=generator)


def _work(network: nn.Module, batch: int, *, automatic: bool) -> Work:
    """Inference, and a step with the usual optimizer.

    Args:
        network: any.
        batch: pictures at a time.
        automatic: whether the format and the precision are those that `striate train` chooses, rather than PyTorch's.
    """
    pictures, labels = _batch(batch)
    precision = "float32"
    if automatic:
        network = network.to(memory_format=torch.channels_last)
        precision = faster_precision(network, pictures, labels)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def scores() -> Tensor:
        # As a run keeps it; by turns, for the peers are plain scripts.
        set_kept(automatic)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            found: Tensor = network(pictures)
        return found

    def inference() -> None:
        network.eval()
        with torch.inference_mode():
            scores()

    def step() -> None:
        network.train()
        optimizer.zero_grad(set_to_none=True)
        loss, _ = classification_loss(scores(), labels)
        loss.backward()
        loss.item()
        optimizer.step()

    return Work(run=inference, with_backward=step)


def _ours(name: str, batch: int) -> Callable[[], Work]:
    return lambda: _work(models.create(name), batch, automatic=True)


def _theirs(module: str, build: str, name: str, batch: int) -> Callable[[], Work]:
    """A network of torchvision, or of timm, which imports torchvision."""

    def make() -> Work:
        importlib.import_module("benchmarks.peers.torchvision_on_cpu")
        network = getattr(importlib.import_module(module), build)(name)
        return _work(network, batch, automatic=False)

    return make


def _case(title: str, name: str, batch: int, target: Target, *, timm: str | None = None) -> Case:
    peers = [
        Peer(
            name="torchvision, a plain script",
            make=_theirs("torchvision.models", "get_model", name, batch),
            target=target,
            needs=("torchvision",),
        )
    ]
    if timm is not None:
        peers.append(
            Peer(
                name="timm, a plain script",
                make=_theirs("timm", "create_model", timm, batch),
                target=target,
                needs=("timm",),
            )
        )
    return Case(
        name=f"{title}, {_SIDE}×{_SIDE}, batch {batch}: inference, and a training step",
        ours=_ours(name, batch),
        peers=tuple(peers),
        floor="the products in bfloat16 where the processor has them, and the reading and writing of all weights",
        amount=(batch, "pictures"),
        budget=120.0,
    )


# Accuracy and speed are tested apart: bfloat16, where it is chosen, differs from float32 by more than sums do.
TOPIC = Topic(
    tests=("tests/models/test_against_torchvision.py", "tests/training/test_precision.py"),
    cases=(
        _case("AlexNet", "alexnet", 16, Target(with_backward=1.0)),
        _case("VGG-16", "vgg16", 8, Target(with_backward=3.5), timm="vgg16"),
        _case("ResNet-18", "resnet18", 16, Target(with_backward=2.5), timm="resnet18"),
        _case("MobileNetV2", "mobilenet_v2", 16, Target(with_backward=1.0), timm="mobilenetv2_100"),
    ),
)
