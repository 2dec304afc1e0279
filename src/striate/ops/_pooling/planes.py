"""Windows over planes on the CPU: how the work is shared out, and the arithmetic of one row.

A tensor of either memory format is planes of rows of places, each of `inner` numbers: the channels of a channels-last
tensor, otherwise one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._compile import kernel
from striate.ops._threads import run_slabs

# Slabs of work whatever the number of threads, and numbers below which one thread is faster than two.
_SLABS = 16
_ALONE = 1 << 14
# Numbers of a plane that the caches hold, and the fewest rows that are worth a unit.
_BAND, _ROWS = 1 << 15, 8


def geometry(
    input: Sequence[int],
    outputs: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    channels_last: bool,
) -> tuple[int, tuple[int, ...]]:
    """Planes, and what kernels ask of each: sizes, inner numbers, outputs, kernel, stride, low padding, dilation.

    Args:
        input: the sizes of `(N, C, *sizes)`.
        outputs: one number an axis, as all that follow.
        kernel: taps.
        stride: places from one window to the next.
        low: places before the input.
        dilation: places from one tap to the next.
        channels_last: how the tensors lie in memory.
    """
    planes, inner = (input[0], input[1]) if channels_last else (input[0] * input[1], 1)
    by_axis = (three(input[2:], 1), (inner,), three(outputs, 1), three(kernel, 1), three(stride, 1))
    return planes, tuple(n for sizes in (*by_axis, three(low, 0), three(dilation, 1)) for n in sizes)


def numbers(tensor: Tensor, layout: torch.memory_format) -> NDArray[Any]:
    """A tensor's numbers, flat as they lie in a memory format; low precision is widened to float32."""
    narrow = tensor.dtype in (torch.float16, torch.bfloat16)
    lying = (tensor.float() if narrow else tensor).detach().contiguous(memory_format=layout)
    array: NDArray[Any] = lying.as_strided((lying.numel(),), (1,)).numpy()
    return array


def blank(sizes: Sequence[int], dtype: torch.dtype, layout: torch.memory_format) -> tuple[Tensor, NDArray[Any]]:
    """A tensor that nobody has written, float32 for low precision, and its numbers as they lie."""
    wide = torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype
    tensor = torch.empty(tuple(sizes), dtype=wide, memory_format=layout)
    return tensor, tensor.as_strided((tensor.numel(),), (1,)).numpy()


def share(planes: int, rows: int, size: int, work: Callable[[int, int, int], None]) -> None:
    """Call `work(bands, first, last)` for slabs of units, of which plane p is the `bands` from `p * bands`.

    Args:
        planes: how many there are.
        rows: what a plane may be cut along.
        size: numbers of all planes.
        work: works on units first to last; a unit is some rows of a plane.
    """
    if planes == 0 or size < _ALONE:
        work(1, 0, planes)
        return
    wanted = max(-(-_SLABS // planes), size // planes // _BAND)
    bands = max(1, min(wanted, rows // _ROWS))
    units = planes * bands
    step = -(-units // _SLABS)
    run_slabs(lambda slab: work(bands, slab * step, min(units, (slab + 1) * step)), -(-units // step))


@kernel
def taps_inside(start: int, n: int, taps: int, dilation: int) -> tuple[int, int]:
    """The taps, first and last, of a window from `start` that lie inside of n places."""
    first = min(max(0, -(start // dilation)), taps)
    return first, max(first, min(taps, (n - 1 - start) // dilation + 1))


@kernel
def read_by(first: int, last: int, n: int, taps: int, stride: int, low: int, dilation: int) -> tuple[int, int]:
    """The places, first and last of n, between which the windows of outputs first to last read."""
    start = min(max(0, first * stride - low), n)
    return start, max(start, min(n, (last - 1) * stride - low + (taps - 1) * dilation + 1))


@kernel
def rows_of_a_band(bands: int, outputs: int, n: int, taps: int, stride: int, low: int, dilation: int) -> int:
    """The most places that one of the bands of the outputs reads between."""
    most = 0
    for band in range(bands):
        first, last = outputs * band // bands, outputs * (band + 1) // bands
        start, end = read_by(first, last, n, taps, stride, low, dilation)
        most = max(most, end - start)
    return most


@kernel
def reading(first: int, last: int, outputs: int, taps: int, stride: int, low: int, dilation: int) -> tuple[int, int]:
    """The outputs, first and last, among which are all whose windows read the places first to last."""
    start = min(max(0, -(((taps - 1) * dilation - low - first) // stride)), outputs)
    return start, max(start, min(outputs, (last - 1 + low) // stride + 1))


@kernel
def reader(place: int, tap: int, stride: int, low: int, dilation: int, first: int, last: int) -> int:
    """The output from first to last whose window reads a place by a tap; -1 for none."""
    start = place + low - tap * dilation
    if start < first * stride or start >= last * stride or start % stride != 0:
        return -1
    return start // stride
