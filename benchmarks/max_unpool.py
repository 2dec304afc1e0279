"""Numbers put back where a maximum has taken them from, against PyTorch's in both memory formats."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch
from striate.ops.max_unpool import max_unpool2d, max_unpool3d


def _work(function: Callable[..., Tensor], shape: tuple[int, ...], *, last: bool) -> Work:
    """What a maximum of windows of two taps an axis has taken is put back."""
    pool = F.max_pool2d if len(shape) == 4 else F.max_pool3d
    values, indices = pool(torch.randn(shape), 2, return_indices=True)
    if last:
        values, indices = channels_last(values, indices)
    return on_torch(lambda values: function(values, indices, 2), values)


def _case(name: str, shape: tuple[int, ...], *, last: bool) -> Case:
    ours, theirs = (max_unpool2d, F.max_unpool2d) if len(shape) == 4 else (max_unpool3d, F.max_unpool3d)
    peer = Peer(
        name="torch.nn", make=lambda: _work(theirs, shape, last=last), target=Target(ratio=0.9, with_backward=0.9)
    )
    numbers = torch.Size(shape).numel() / 1e6
    return Case(
        name=name,
        ours=lambda: _work(ours, shape, last=last),
        peers=(peer,),
        floor=f"{numbers:.1f} million numbers written",
    )


_PICTURES, _CLIPS = (8, 64, 56, 56), (2, 32, 16, 28, 28)

TOPIC = Topic(
    tests=("tests/ops/test_max_unpool.py",),
    cases=(
        _case("2×2, to 8×64×56², NCHW", _PICTURES, last=False),
        _case("2×2, to 8×64×56², channels-last", _PICTURES, last=True),
        _case("3-D, 2×2×2, to 2×32×16×28², NCHW", _CLIPS, last=False),
    ),
)
