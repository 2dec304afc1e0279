"""Windows over planes on the GPU: a program works on a tile of rows, of numbers that lie side by side in them.

A tensor of either memory format is planes of rows of places, each of `inner` numbers: the channels of a channels-last
tensor, otherwise one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from striate.geometry.axes import three
from striate.ops._triton import divided, index_type, jit, launched, number_type, tl

NUMBERS, ACROSS = 1024, 64
"""Numbers of a tile, and the most of them in a row."""


class Tile(NamedTuple):
    """What a kernel is compiled for: rows and columns of a tile, and how numbers and indices are held.

    With `runs` a tile is a matrix, where Triton knows that what is read lies side by side, too: otherwise it may let
    neighbours in a warp read different rows. With `spread` neighbours in a warp take neighbours in memory, one each:
    where a thread takes several, single numbers that it reads elsewhere lie far from what its neighbours read.
    """

    rows: int
    columns: int
    runs: bool
    spread: bool
    number: str
    place: str


def launch(
    kernel: Any,
    written: Tensor,
    places: int,
    settings: dict[str, Any],
    tensors: Mapping[str, Tensor | None],
    *,
    spread: bool = False,
    runs: bool = True,
) -> None:
    """Run a kernel for all numbers of the tensor that it writes, unless there are none.

    Args:
        kernel: asks `tile_of` for its numbers.
        written: in either memory format.
        places: of a row.
        settings: arguments of the kernel, of these how many numbers a place has, `inner`.
        tensors: other arguments.
        spread: whether single numbers are read: `Tile.spread`, and a smaller tile, if those of a place are not aligned.
        runs: whether what is read lies side by side as far as the numbers of a place do.
    """
    if written.numel():
        runs = runs and settings["inner"] % 16 == 0
        spread = spread and not runs
        length, numbers = places * settings["inner"], NUMBERS // (2 if spread else 1)
        rows, columns = written.numel() // length, fitting(length, min(ACROSS, numbers))
        types = number_type(written.dtype).name, index_type(*tensors.values()).name
        tile = Tile(numbers // columns, columns, runs, spread, *types)
        programs = divided(rows, tile.rows) * divided(length, columns)
        launched(kernel, lambda _: (programs,), written, rows=rows, TILE=tile, **settings, **tensors)


def fitting(length: int, most: int) -> int:
    """The largest power of two, up to `most`, with which at most an eighth of its tiles along a length is left over."""
    size = min(1 << (length - 1).bit_length(), most)
    while size > 16 and divided(length, size) * size * 7 > length * 8:
        size //= 2
    return size


def windows(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    dilation: Sequence[int],
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
        output: `(N, C, *outputs)`, or its gradient.
        channels_last: how it lies in memory.
    """
    settings = {"inner": output.shape[1] if channels_last else 1}
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
def tile_of(rows, inner, D, H, W, TILE: tl.constexpr):
    """The numbers of a tile, which of them there are, and where: plane, places, and place in a pixel."""
    length = tl.cast(W, tl.dtype(TILE.place)) * inner
    tiles = tl.cdiv(length, TILE.columns)
    if TILE.runs:
        row, column = tl.arange(0, TILE.rows)[:, None], tl.arange(0, TILE.columns)[None, :]
    else:
        number = tl.arange(0, TILE.rows * TILE.columns)
        row, column = number // TILE.columns, number % TILE.columns
    row += (tl.program_id(0) // tiles).to(tl.dtype(TILE.place)) * TILE.rows
    column += (tl.program_id(0) % tiles).to(tl.dtype(TILE.place)) * TILE.columns
    at, line, x = row * length + column, row // H, column // inner
    if TILE.spread:
        at = tl.multiple_of(at, [1] * len(at.shape))
    plane = line // D
    own = (row < rows) & (column < length)
    return at, own, (plane, line - plane * D, row - line * H, x, column - x * inner)


@jit
def turns(TAPS: tl.constexpr, STRIDE: tl.constexpr, DILATION: tl.constexpr):
    """How many outputs may read a place."""
    return TAPS if STRIDE == 1 else (TAPS - 1) * DILATION // STRIDE + 1


@jit
def reader(place, low, size, turn, TAPS: tl.constexpr, STRIDE: tl.constexpr, DILATION: tl.constexpr):
    """One of the outputs whose windows may read a place, the tap that does, and whether there are both."""
    output = (place + low) // STRIDE - turn * (DILATION if STRIDE == 1 else 1)
    along = place + low - output * STRIDE
    reads = (place + low >= 0) & (output >= 0) & (output < size)
    return output, along // DILATION, reads & (along <= (TAPS - 1) * DILATION) & (along % DILATION == 0)


@jit
def taps_between(start, begin, end, TAPS: tl.constexpr, DILATION: tl.constexpr):
    """How many taps of a window from `start` lie from one place up to another."""
    before = tl.minimum((tl.maximum(begin - start, 0) + DILATION - 1) // DILATION, TAPS)
    return tl.minimum((tl.maximum(end - start, 0) + DILATION - 1) // DILATION, TAPS) - before
