"""Unshared convolution against columns and `einsum` in PyTorch, and JAX's `conv_general_dilated_local`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.jax_on_cpu import on_jax
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import on_torch
from striate.ops.local_conv import local_conv2d


def _tensors(batch: int, channels: int, side: int) -> tuple[Tensor, Tensor]:
    """Input and weights of 3×3 taps, padded so that the size stays."""
    return torch.randn(batch, channels, side, side), torch.randn(side, side, channels, channels, 3, 3)


def _ours(batch: int, channels: int, side: int) -> Work:
    return on_torch(lambda i, w: local_conv2d(i, w, padding=1), *_tensors(batch, channels, side))


def _columns(input: Tensor, weight: Tensor) -> Tensor:
    columns = F.unfold(input, 3, padding=1).unflatten(2, weight.shape[:2])
    return torch.einsum("nkyx,yxok->noyx", columns, weight.flatten(3))


def _unfolded(batch: int, channels: int, side: int) -> Work:
    return on_torch(_columns, *_tensors(batch, channels, side))


def _local_of_jax() -> Callable[..., Any]:
    import jax

    def local(input: Any, weight: Any) -> Any:
        kernel = weight.transpose(0, 1, 3, 4, 5, 2).reshape(*weight.shape[:2], -1, weight.shape[2])
        layout = ("NCHW", "HWIO", "NCHW")
        return jax.lax.conv_general_dilated_local(
            input, kernel, (1, 1), [(1, 1), (1, 1)], (3, 3), dimension_numbers=layout
        )

    return local


def _jax(batch: int, channels: int, side: int) -> Work:
    return on_jax(_local_of_jax(), *_tensors(batch, channels, side))


def _case(batch: int, channels: int, side: int, unfolded: Target, jax: Target) -> Case:
    sizes = batch, channels, side
    megabytes = side**2 * channels**2 * 9 * 4 / 1e6
    return Case(
        name=f"3×3, {channels}→{channels}, {batch}×{channels}×{side}²",
        ours=partial(_ours, *sizes),
        peers=(
            Peer(name="unfold and einsum", make=partial(_unfolded, *sizes), target=unfolded),
            Peer(name="JAX", make=partial(_jax, *sizes), target=jax, needs=("jax",)),
        ),
        floor=f"a read of {megabytes:.0f} MB of weights forward, two and a write in all",
    )


TOPIC = Topic(
    tests=("tests/ops/test_local_conv.py",),
    cases=(
        _case(8, 32, 28, Target(ratio=6, with_backward=6), Target(ratio=8, with_backward=20)),
        _case(1, 32, 28, Target(ratio=6, with_backward=6), Target(ratio=8, with_backward=20)),
    ),
    scalings=(
        Scaling(
            name="3×3, as many maps out as in",
            make=_ours,
            batch=8,
            channels=16,
            side=28,
            vary=("area", "batch", "threads"),
        ),
    ),
)
