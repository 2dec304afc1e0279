"""The activations against the usual way to write them with PyTorch."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch
from striate.ops.activation import abs_rectify, maxout, scaled_tanh

_SHAPE = (8, 64, 56, 56)
_AS_FAST = Target(ratio=0.97, with_backward=0.97)


def _work(function: Callable[..., Tensor], last: bool, *others: Tensor) -> Work:
    input = torch.randn(_SHAPE)
    return on_torch(function, *(channels_last(input) if last else [input]), *others)


def _largest(input: Tensor) -> Tensor:
    return input.unflatten(1, (-1, 2)).max(2).values


def _gained(input: Tensor, gain: Tensor) -> Tensor:
    return gain.view(-1, 1, 1) * input.tanh()


def _case(name: str, ours: Callable[..., Tensor], theirs: Callable[..., Tensor], last: bool, target: Target) -> Case:
    others = (torch.linspace(0.5, 1.5, _SHAPE[1]),) if theirs is _gained else ()
    return Case(
        name=f"{name}, 8×64×56²{', channels-last' if last else ''}",
        ours=partial(_work, ours, last, *others),
        peers=(Peer(name="torch", make=partial(_work, theirs, last, *others), target=target),),
        floor="reading the input and writing the output once",
    )


TOPIC = Topic(
    tests=("tests/ops/test_activation.py",),
    cases=tuple(
        _case(*row, last=last, target=target)
        for *row, target in (
            ("abs_rectify", abs_rectify, torch.abs, _AS_FAST),
            ("maxout of 2", lambda input: maxout(input, 2), _largest, Target(ratio=5, with_backward=0.97)),
            ("scaled_tanh", scaled_tanh, _gained, _AS_FAST),
        )
        for last in (False, True)
    ),
)
