"""How a plane lies flat in a buffer, so that a tap is one offset.

It is padded, and cut into one sub-plane for each phase of the stride: the offset of a tap is then the same everywhere,
whatever the number of axes, the stride and the dilation.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from striate.ops._threads import run_slabs

SLABS = 64


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies in a flat plane; one entry an axis, the outermost first.

    Args:
        sizes: places of the input.
        low: padding before it.
        stride: phases.
        pitch: places of one phase, so that a phase holds as many places as the product of these.
        outputs: places of the output.
        offsets: where each tap reads, relative to its output.
    """

    sizes: tuple[int, ...]
    low: tuple[int, ...]
    stride: tuple[int, ...]
    pitch: tuple[int, ...]
    outputs: tuple[int, ...]
    offsets: NDArray[np.int64]

    def place(self) -> tuple[int, ...]:
        """Padding before, phases of the stride and places of a phase, along depth, height and width."""
        return (*three(self.low, 0), *three(self.stride, 1), *three(self.pitch, 1))

    @property
    def phase(self) -> int:
        """Places of one phase."""
        return math.prod(self.pitch)

    @property
    def origin(self) -> int:
        """The place of the first input at stride 1."""
        place = 0
        for a, q in zip(self.low, self.pitch, strict=True):
            place = place * q + a
        return place

    @property
    def reach(self) -> int:
        """Places of a phase from the first output to the last."""
        last = 0
        for n, q in zip(self.outputs, self.pitch, strict=True):
            last = last * q + n - 1
        return last + 1


def layout(
    sizes: tuple[int, ...],
    kernel_size: tuple[int, ...],
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Layout:
    """How planes lie for a convolution.

    Args:
        sizes: of the input, one an axis, as all that follow.
        kernel_size: taps.
        stride: places from one window to the next.
        low: padding before the input.
        high: padding behind it.
        dilation: places from one tap to the next.
    """
    extents = [d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True)]
    padded = [a + n + b for a, n, b in zip(low, sizes, high, strict=True)]
    outputs = tuple((n - e) // s + 1 for n, e, s in zip(padded, extents, stride, strict=True))
    pitch = tuple(-(-n // s) for n, s in zip(padded, stride, strict=True))
    offsets = []
    for tap in product(*map(range, kernel_size)):
        phase = place = 0
        for k, d, s, q in zip(tap, dilation, stride, pitch, strict=True):
            steps, remainder = divmod(k * d, s)
            phase, place = phase * s + remainder, place * q + steps
        offsets.append(phase * math.prod(pitch) + place)
    return Layout(sizes, tuple(low), tuple(stride), pitch, outputs, np.array(offsets, dtype=np.int64))


def three(sizes: Sequence[int], filler: int) -> tuple[int, ...]:
    """Sizes along depth, height and width."""
    return (filler,) * (3 - len(sizes)) + tuple(sizes)


def in_slabs(rows: int, work: Callable[[int, int], None]) -> None:
    """Call `work(first, last)` for slabs of rows, the same slabs whatever the number of threads."""
    step = max(1, -(-rows // SLABS))
    run_slabs(lambda slab: work(slab * step, min(rows, (slab + 1) * step)), -(-rows // step))
