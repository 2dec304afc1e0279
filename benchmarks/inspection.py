"""Inspecting a network, from its name to a printed table, its construction included."""

import importlib

import striate
from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from striate import models

_SIZE = (1, 3, 224, 224)


def _ours(name: str) -> Work:
    def run() -> None:
        str(striate.inspect(name, _SIZE))

    return Work(run=run)


def _torchinfo(name: str) -> Work:
    torchinfo = importlib.import_module("torchinfo")

    def run() -> None:
        str(torchinfo.summary(models.create(name), input_size=_SIZE, verbose=0))

    return Work(run=run)


def _case(name: str, *, target: float, floor: str) -> Case:
    return Case(
        name=f"{name}, 1×3×224²",
        ours=lambda: _ours(name),
        peers=(
            Peer(
                name="models.create, torchinfo.summary",
                make=lambda: _torchinfo(name),
                target=Target(ratio=target),
                needs=("torchinfo",),
            ),
        ),
        floor=floor,
        budget=60.0,
    )


TOPIC = Topic(
    tests=("tests/inspection",),
    cases=(
        _case("vgg16", target=20.0, floor="40 layers built, called and written down; no number computed"),
        _case("resnet152", target=2.5, floor="515 layers, the same"),
    ),
)
