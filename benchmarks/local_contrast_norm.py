"""Local contrast normalisation against the usual way: convolutions with a Gaussian that sees all channels."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch
from striate.ops.local_contrast_norm import local_contrast_norm, subtractive_norm


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """Maps that are normalised with a window of seven places."""

    name: str
    sizes: tuple[int, ...] = (8, 64, 56, 56)
    divide: bool = True
    channels_last: bool = False
    target: Target

    def input(self) -> Tensor:
        """Normal numbers, in the memory format of the row."""
        input = torch.randn(self.sizes)
        return channels_last(input)[0] if self.channels_last else input


def _ours(row: _Row) -> Work:
    return on_torch(local_contrast_norm if row.divide else subtractive_norm, row.input())


def _composed(row: _Row) -> Work:
    places, channels = torch.arange(-3.0, 4.0), row.sizes[1]
    line = torch.exp(-((places / 1.75) ** 2) / 2)
    window = torch.outer(line, line)
    weight = (window / window.sum() / channels).expand(1, channels, 7, 7).contiguous()
    # What does not change from call to call is not made anew.
    inside = F.conv2d(torch.ones(1, *row.sizes[1:]), weight, padding=3)

    def normalize(input: Tensor) -> Tensor:
        v = input - F.conv2d(input, weight, padding=3) / inside
        if not row.divide:
            return v
        deviation = (F.conv2d(v.square(), weight, padding=3) / inside).sqrt()
        return v / torch.maximum(deviation, deviation.mean((1, 2, 3), keepdim=True))

    return on_torch(normalize, row.input())


def _case(row: _Row) -> Case:
    return Case(
        name=row.name,
        ours=lambda: _ours(row),
        peers=(Peer(name="conv2d of all channels", make=lambda: _composed(row), target=row.target),),
        floor="reading the maps twice and writing as many numbers",
    )


_LARGE = _Row(name="7×7, 8×64×56², NCHW", target=Target(ratio=10, with_backward=6))
_ROWS = (
    _LARGE,
    replace(_LARGE, name="7×7, 8×64×56², channels-last", channels_last=True),
    replace(_LARGE, name="mean alone, 7×7, 8×64×56², NCHW", divide=False),
    _Row(name="7×7, one picture, 1×3×224², NCHW", sizes=(1, 3, 224, 224), target=Target(ratio=1, with_backward=1)),
)


def _layer(batch: int, channels: int, side: int) -> Work:
    return _ours(_Row(name="", sizes=(batch, channels, side, side), target=Target()))


TOPIC = Topic(
    tests=("tests/ops/test_local_contrast_norm.py",),
    cases=tuple(map(_case, _ROWS)),
    scalings=(Scaling(name="7×7", make=_layer, batch=8, channels=64, side=56),),
)
