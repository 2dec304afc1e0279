"""A kernel over one grey picture, as image processing does it."""

from collections.abc import Callable
from typing import Any

import torch
from scipy import ndimage, signal
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.jax_on_cpu import correlate as correlate_of_jax
from benchmarks.peers.jax_on_cpu import on_jax
from benchmarks.peers.onnx_runtime import on_onnx_runtime
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import on_torch
from striate import filters
from striate.ops.correlate import correlate

_HEIGHT, _WIDTH = 427, 640


def _numpy(function: Callable[..., Any], *arrays: Any) -> Work:
    def run() -> None:
        function(*arrays)

    return Work(run=run, results=lambda: (function(*arrays),))


def _by_conv2d(picture: Tensor, kernel: Tensor) -> Tensor:
    return F.conv2d(picture[None, None], kernel[None, None])


def _correlate(size: int) -> Case:
    def tensors() -> tuple[Tensor, Tensor]:
        return torch.rand(_HEIGHT, _WIDTH), torch.randn(size, size)

    def scipy() -> Work:
        picture, kernel = (tensor.numpy() for tensor in tensors())
        return _numpy(lambda *pair: signal.correlate(*pair, mode="valid"), picture, kernel)

    def onnx() -> Work:
        picture, kernel = tensors()
        return on_onnx_runtime("Conv", picture[None, None], kernel[None, None], constant=(1,))

    return Case(
        name=f"correlate, {_HEIGHT}×{_WIDTH}, {size}×{size}",
        ours=lambda: on_torch(correlate, *tensors()),
        peers=(
            Peer(name="scipy.signal.correlate", make=scipy, target=Target(ratio=1.0), needs=("scipy",)),
            Peer(name="torch.nn.functional.conv2d", make=lambda: on_torch(_by_conv2d, *tensors())),
            Peer(name="ONNX Runtime, Conv", make=onnx, needs=("onnx", "onnxruntime")),
            Peer(name="jax.scipy.signal.correlate", make=lambda: on_jax(correlate_of_jax, *tensors()), needs=("jax",)),
        ),
        floor="one product a tap and pixel, or three transforms",
    )


def _filters(size: int) -> Work:
    kernel = filters.gaussian(size, size / 6)
    return on_torch(lambda picture: filters.apply(picture, kernel), torch.rand(3, _HEIGHT, _WIDTH), backward=False)


def _gaussian_of_scipy(size: int) -> Work:
    def blur(picture: Any) -> Any:
        return ndimage.gaussian_filter(picture, size / 6, radius=size // 2, mode="nearest", axes=(1, 2))

    return _numpy(blur, torch.rand(3, _HEIGHT, _WIDTH).numpy())


def _planes(batch: int, channels: int, side: int) -> Work:
    return on_torch(correlate, torch.rand(batch, channels, side, side), torch.randn(9, 9))


TOPIC = Topic(
    tests=("tests/ops/test_correlate.py", "tests/test_filters.py"),
    cases=(
        *map(_correlate, (3, 9, 31)),
        Case(
            name=f"filters.apply, Gaussian 25×25, 3×{_HEIGHT}×{_WIDTH}",
            ours=lambda: _filters(25),
            peers=(
                Peer(
                    name="scipy.ndimage.gaussian_filter",
                    make=lambda: _gaussian_of_scipy(25),
                    target=Target(ratio=1.0),
                    needs=("scipy",),
                ),
            ),
            floor="50 products a pixel",
        ),
    ),
    scalings=(Scaling(name="9×9, each plane by itself", make=_planes, batch=8, channels=4, side=112),),
)
