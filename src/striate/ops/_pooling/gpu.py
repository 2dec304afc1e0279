"""Windows over planes on the GPU: a program works on a block of numbers in the order of memory.

A tensor of either memory format is planes of rows of places, each of `inner` numbers: the channels of a channels-last
tensor, otherwise one.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from striate.geometry.axes import three
from striate.ops._triton import divided, index_type, jit, launched, number_type, tl

BLOCK = 512
"""Numbers that one program works on."""


def launch(kernel: Any, written: Tensor, settings: dict[str, Any], **arguments: Any) -> None:
    """Run a kernel for all numbers of the tensor that it writes, unless there are none."""
    count, block = written.numel(), BLOCK
    if count:
        programs = divided(count, block)
        launched(kernel, lambda _: (programs,), written, count=count, BLOCK=block, **settings, **arguments)


def windows(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
    input: Tensor,
    output: Tensor,
    channels_last: bool,
) -> dict[str, Any]:
    """What kernels ask of windows.

    Args:
        sizes: places of the input, one number an axis, as all that follow.
        kernel: taps.
        stride: places from one window to the next.
        low: places before the input.
        dilation: places from one tap to the next.
        input: `(N, C, *sizes)`, or its gradient.
        output: `(N, C, *outputs)`, or its gradient.
        channels_last: how the two lie in memory.
    """
    settings = {
        "inner": output.shape[1] if channels_last else 1,
        "INDEX": index_type(input, output),
        "ACC": number_type(input.dtype),
    }
    for names, numbers in (
        ("D H W", three(sizes, 1)),
        ("OD OH OW", three(output.shape[2:], 1)),
        ("KD KH KW", three(kernel, 1)),
        ("SZ SY SX", three(stride, 1)),
        ("low_z low_y low_x", three(low, 0)),
        ("DZ DY DX", three(dilation, 1)),
    ):
        settings.update(zip(names.split(), numbers, strict=True))
    return settings


@jit
def numbers_of(
    count: tl.tensor, inner: tl.tensor, D: tl.tensor, H: tl.tensor, W: tl.tensor, INDEX: tl.constexpr,
    BLOCK: tl.constexpr,
) -> Any:  # fmt: skip
    """The numbers that a program works on, which of them there are, and their plane, places and place in a pixel."""
    at = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)
    pixel = at // inner
    row = pixel // W
    return at, at < count, row // (H * D), row // H % D, row % H, pixel % W, at % inner


@jit
def reader(
    place: tl.tensor, tap: tl.tensor, low: tl.tensor, size: tl.tensor, STRIDE: tl.constexpr, DILATION: tl.constexpr
) -> Any:
    """The output whose window reads a place by a tap, and whether there is one."""
    start = place + low - tap * DILATION
    output = start // STRIDE
    return output, (start >= 0) & (start % STRIDE == 0) & (output < size)


@jit
def taps_between(start: tl.tensor, begin: tl.tensor, end: tl.tensor, TAPS: tl.constexpr, DILATION: tl.constexpr) -> Any:
    """How many taps of a window from `start` lie from one place up to another."""
    before = tl.minimum((tl.maximum(begin - start, 0) + DILATION - 1) // DILATION, TAPS)
    return tl.minimum((tl.maximum(end - start, 0) + DILATION - 1) // DILATION, TAPS) - before
