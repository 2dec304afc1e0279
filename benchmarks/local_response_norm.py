"""Local response normalisation against torch.nn, in both memory formats, and ONNX Runtime."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.onnx_runtime import on_onnx_runtime
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch
from striate.ops.local_response_norm import local_response_norm

# As in AlexNet; numbers so large that the sums matter.
_SETTINGS: dict[str, Any] = {"size": 5, "alpha": 1e-2, "beta": 0.75, "k": 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """Maps that are normalised."""

    name: str
    sizes: tuple[int, ...] = (8, 64, 56, 56)
    beta: float = 0.75
    within_channel: bool = False
    channels_last: bool = False
    target: Target

    def input(self) -> Tensor:
        """Normal numbers, in the memory format of the row."""
        input = torch.randn(self.sizes)
        return channels_last(input)[0] if self.channels_last else input

    @property
    def settings(self) -> dict[str, Any]:
        """As PyTorch names them."""
        return {**_SETTINGS, "beta": self.beta}


def _ours(row: _Row) -> Work:
    return on_torch(
        lambda input: local_response_norm(input, **row.settings, within_channel=row.within_channel), row.input()
    )


def _torch(row: _Row) -> Work:
    return on_torch(lambda input: F.local_response_norm(input, **row.settings), row.input())


def _pooled(row: _Row) -> Work:
    def composed(input: Tensor) -> Tensor:
        sums = F.avg_pool2d(input.square(), 5, 1, 2)
        return input / (2.0 + row.settings["alpha"] * sums) ** row.beta

    return on_torch(composed, row.input())


def _onnx(row: _Row) -> Work:
    return on_onnx_runtime("LRN", row.input(), size=5, alpha=1e-2, beta=row.beta, bias=2.0)


def _case(row: _Row) -> Case:
    composed = Peer(name="avg_pool2d of the squares", make=lambda: _pooled(row), target=row.target)
    theirs = Peer(name="torch.nn", make=lambda: _torch(row), target=row.target)
    runtime = Peer(name="ONNX Runtime", make=lambda: _onnx(row), needs=("onnx", "onnxruntime"))
    return Case(
        name=row.name,
        ours=lambda: _ours(row),
        peers=(composed,) if row.within_channel else (theirs,) if row.channels_last else (theirs, runtime),
        floor="reading the maps and writing as many numbers, a division and two roots for each",
    )


_LARGE = _Row(name="size 5, 8×64×56², NCHW", target=Target(ratio=8, with_backward=6))
_ROWS = (
    _LARGE,
    replace(_LARGE, name="size 5, 8×64×56², channels-last", channels_last=True),
    replace(_LARGE, name="size 5, beta 0.6, 8×64×56², NCHW", beta=0.6, target=Target(ratio=1, with_backward=1)),
    _Row(name="within a channel, 5×5, 8×64×56², NCHW", within_channel=True, target=Target(ratio=1, with_backward=1)),
)


def _layer(batch: int, channels: int, side: int) -> Work:
    return _ours(_Row(name="", sizes=(batch, channels, side, side), target=Target()))


TOPIC = Topic(
    tests=("tests/ops/test_local_response_norm.py",),
    cases=tuple(map(_case, _ROWS)),
    scalings=(Scaling(name="size 5", make=_layer, batch=8, channels=64, side=56),),
)
