"""Averages of windows against PyTorch's in both memory formats, ONNX Runtime and JAX."""

from typing import Any

from torch.nn import functional as F

from benchmarks.peers.pooling import Pooling, topic
from benchmarks.runner.case import Target
from striate.ops.avg_pool import avg_pool1d, avg_pool2d, avg_pool3d


def _jax(input: Any, window: Any, stride: Any, sides: Any, taps: int) -> Any:
    from jax import lax

    return lax.reduce_window(input, 0.0, lax.add, window, stride, sides) / taps


TOPIC = topic(
    Pooling(
        ours=(avg_pool1d, avg_pool2d, avg_pool3d),
        torch=(F.avg_pool1d, F.avg_pool2d, F.avg_pool3d),
        onnx="AveragePool",
        attributes={"count_include_pad": 1},
        jax=_jax,
        serial=Target(ratio=3, with_backward=2),
        volumes=Target(ratio=0.9, with_backward=0.9),
        tests="tests/ops/test_avg_pool.py",
    )
)
