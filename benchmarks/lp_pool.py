"""Norms of windows against PyTorch's pooling of absolute numbers, which is the same function."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.onnx_runtime import on_onnx_runtime
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import channels_last, on_torch
from striate.ops.lp_pool import lp_pool2d


def _input() -> Tensor:
    """Away from zero, where roots have no slope in PyTorch."""
    input = torch.randn(8, 64, 56, 56)
    return input + 0.1 * input.sign()


def _case(power: float, kernel: int, stride: int, *, last: bool = False) -> Case:
    def on(function: Callable[[Tensor], Tensor]) -> Work:
        return on_torch(function, *(channels_last(_input()) if last else (_input(),)))

    def onnx() -> Work:
        settings = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "p": int(power)}
        return on_onnx_runtime("LpPool", _input(), **settings)

    peers = [
        Peer(
            name="torch.nn.functional.lp_pool2d of abs",
            make=lambda: on(lambda input: F.lp_pool2d(input.abs(), float(power), kernel, stride)),
            target=Target(ratio=1.0, with_backward=1.0),
        ),
    ]
    if not last and power == int(power):
        peers.append(Peer(name="ONNX Runtime, LpPool", make=onnx, needs=("onnx", "onnxruntime")))
    return Case(
        name=f"p = {power}, 8×64×56², {kernel}×{kernel} s{stride}" + ", channels-last" * last,
        ours=lambda: on(lambda input: lp_pool2d(input, power, kernel, stride)),
        peers=tuple(peers),
        floor="reading the input once",
    )


TOPIC = Topic(
    tests=("tests/ops/test_lp_pool.py",),
    cases=(
        _case(2, 2, 2),
        _case(2, 3, 2),
        _case(2, 3, 1),
        _case(3, 2, 2),
        _case(2.5, 3, 2),
        _case(2, 2, 2, last=True),
        _case(2, 3, 2, last=True),
    ),
    scalings=(
        Scaling(
            name="p = 2, 2×2 s2",
            make=lambda batch, channels, side: on_torch(
                lambda input: lp_pool2d(input, 2, 2), torch.randn(batch, channels, side, side)
            ),
            batch=8,
            channels=64,
            side=56,
        ),
    ),
)
