"""Maxima of windows against PyTorch's in both memory formats, ONNX Runtime and JAX."""

from typing import Any

from torch.nn import functional as F

from benchmarks.peers.pooling import Pooling, topic
from benchmarks.runner.case import Target
from striate.ops.max_pool import max_pool1d, max_pool2d, max_pool3d


def _jax(input: Any, window: Any, stride: Any, sides: Any, taps: int) -> Any:
    from jax import lax

    return lax.reduce_window(input, -float("inf"), lax.max, window, stride, sides)


TOPIC = topic(
    Pooling(
        ours=(max_pool1d, max_pool2d, max_pool3d),
        torch=(F.max_pool1d, F.max_pool2d, F.max_pool3d),
        onnx="MaxPool",
        attributes={},
        jax=_jax,
        serial=Target(ratio=0.9, with_backward=2),
        volumes=Target(ratio=3, with_backward=2),
        tests="tests/ops/test_max_pool.py",
    )
)
