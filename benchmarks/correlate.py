"""A kernel over one grey picture, as image processing does it."""

import torch
from scipy import ndimage, signal

from benchmarks.runner.case import Case, Peer, Target, Topic, Work
from striate import filters
from striate.ops.correlate import correlate

_HEIGHT, _WIDTH = 427, 640


def _picture(channels: int = 1) -> torch.Tensor:
    return torch.rand(channels, _HEIGHT, _WIDTH, generator=torch.Generator().manual_seed(0))


def _ours(size: int) -> Work:
    picture, kernel = _picture()[0], torch.randn(size, size)

    def run() -> None:
        correlate(picture, kernel)

    return Work(run=run)


def _scipy(size: int) -> Work:
    picture, kernel = _picture()[0].numpy(), torch.randn(size, size).numpy()

    def run() -> None:
        signal.correlate(picture, kernel, mode="valid")

    return Work(run=run)


def _filters(size: int) -> Work:
    picture, kernel = _picture(3), filters.gaussian(size, size / 6)

    def run() -> None:
        filters.apply(picture, kernel)

    return Work(run=run)


def _gaussian_of_scipy(size: int) -> Work:
    picture = _picture(3).numpy()

    def run() -> None:
        for channel in picture:
            ndimage.gaussian_filter(channel, size / 6, radius=size // 2, mode="nearest")

    return Work(run=run)


TOPIC = Topic(
    tests=("tests/ops/test_correlate.py", "tests/test_filters.py"),
    cases=(
        *(
            Case(
                name=f"correlate, {_HEIGHT}×{_WIDTH}, {size}×{size}",
                ours=lambda size=size: _ours(size),
                peers=(
                    Peer(
                        name="scipy.signal.correlate",
                        make=lambda size=size: _scipy(size),
                        target=Target(ratio=1.0),
                        needs=("scipy",),
                    ),
                ),
                floor="one product a tap and pixel, or three transforms",
            )
            for size in (3, 9, 31)
        ),
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
)
