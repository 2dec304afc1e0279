"""How a plane lies flat in a buffer, so that a tap is one offset.

It is padded, and cut into one sub-plane for each phase of the stride: the offset of a tap is then the same everywhere,
whatever the number of axes, the stride and the dilation.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from striate.geometry.axes import three
from striate.ops._threads import run_slabs

_SLABS = 64
# Numbers that are worked on at once: fewer are not worth a slab, more leave the second-level cache.
_BAND_AT_LEAST, _BAND_AT_MOST = 1 << 14, 1 << 17


@dataclass(frozen=True)
class Layout:
    """A convolution of one plane; one entry an axis, the outermost first.

    Args:
        sizes: places of the input.
        kernel_size: taps.
        stride: places from one window to the next, and so phases.
        low: padding before the input.
        high: padding behind it.
        dilation: places from one tap to the next.
    """

    sizes: tuple[int, ...]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    dilation: tuple[int, ...]

    @cached_property
    def _padded(self) -> list[int]:
        return [a + n + b for a, n, b in zip(self.low, self.sizes, self.high, strict=True)]

    @cached_property
    def _reaches(self) -> list[int]:
        """Places from the first tap to the last."""
        return [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """Places of the output."""
        return tuple((n - e - 1) // s + 1 for n, e, s in zip(self._padded, self._reaches, self.stride, strict=True))

    @cached_property
    def pitch(self) -> tuple[int, ...]:
        """Places of one phase."""
        return tuple(-(-n // s) for n, s in zip(self._padded, self.stride, strict=True))

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where each tap reads, relative to its output."""
        offsets = []
        for tap in product(*map(range, self.kernel_size)):
            phase = place = 0
            for k, d, s, q in zip(tap, self.dilation, self.stride, self.pitch, strict=True):
                steps, remainder = divmod(k * d, s)
                phase, place = phase * s + remainder, place * q + steps
            offsets.append(phase * self.phase + place)
        return np.array(offsets, dtype=np.int64)

    @property
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

    def backward(self) -> "Layout | None":
        """The convolution, with reversed taps, that gives the input's gradient; None where it is none."""
        low, high = (tuple(e - a for e, a in zip(self._reaches, sides, strict=True)) for sides in (self.low, self.high))
        if set(self.stride) != {1} or min(*low, *high) < 0:
            return None
        return replace(self, sizes=self.outputs, low=low, high=high)

    def bands(self, planes: int, together: int = 1) -> list[tuple[int, int]]:
        """Rows of the output (first, last) to work on at once: planes are cut if no cache holds them or they are few.

        Args:
            planes: how many there are.
            together: how many lie in one buffer.
        """
        rows, numbers = self.outputs[0], self.phase * math.prod(self.stride) * together
        wanted = max(min(-(-_SLABS // max(planes, 1)), numbers // _BAND_AT_LEAST), numbers // _BAND_AT_MOST)
        many = max(1, min(rows, wanted))
        return [(rows * band // many, rows * (band + 1) // many) for band in range(many)]

    def part(self, first: int, last: int) -> tuple["Layout", slice]:
        """The convolution that gives some rows of the output, and the rows of the input that it reads."""
        begin = first * self.stride[0] - self.low[0]
        end = (last - 1) * self.stride[0] - self.low[0] + self._reaches[0] + 1
        read = slice(max(begin, 0), max(min(end, self.sizes[0]), begin, 0))
        before, behind = max(min(-begin, end - begin), 0), max(min(end - self.sizes[0], end - begin), 0)
        rest = {"low": (before, *self.low[1:]), "high": (behind, *self.high[1:])}
        return replace(self, sizes=(read.stop - read.start, *self.sizes[1:]), **rest), read


def layout(
    sizes: Sequence[int],
    weight: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
) -> Layout:
    """How the planes of an input `(N, C, *sizes)` lie for a weight `(out, 1, *kernel)`, both given by their sizes."""
    return Layout(tuple(sizes[2:]), tuple(weight[2:]), tuple(stride), tuple(low), tuple(high), tuple(dilation))


def in_slabs(rows: int, work: Callable[[int, int], None]) -> None:
    """Call `work(first, last)` for slabs of rows, the same slabs whatever the number of threads."""
    step = max(1, -(-rows // _SLABS))
    run_slabs(lambda slab: work(slab * step, min(rows, (slab + 1) * step)), -(-rows // step))
