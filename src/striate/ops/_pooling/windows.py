"""Where the windows of a pooling operator lie, as its rooms take it."""

from collections.abc import Sequence
from typing import NamedTuple

from striate.geometry.padding import Padding
from striate.ops._door import place, remembered


class Places(NamedTuple):
    """The windows of a pooling operator on an input, one number an axis.

    Args:
        kernel: taps.
        stride: places from one window to the next.
        dilation: places from one tap of the window to the next.
        low: places added before the input.
        high: places added behind it, those that a last window hangs over with `ceil_mode` among them.
        over: how many of `high` are such overhang and no padding; below 0 if `ceil_mode` leaves out a window that would
            lie wholly in the padding behind the input, and so some of that.
        outputs: placements.
    """

    kernel: list[int]
    stride: list[int]
    dilation: list[int]
    low: list[int]
    high: list[int]
    over: list[int]
    outputs: list[int]


@remembered
def places(
    operator: str,
    axes: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: Padding | Sequence[Padding],
    dilation: int | Sequence[int],
    sizes: Sequence[int],
    ceil_mode: bool,
) -> Places:
    """The windows on an input of these sizes; nobody may change what is returned.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, a window is larger than the padded input, or that is empty.
    """
    stride = kernel_size if stride is None else stride
    along, low, high = place(operator, axes, kernel_size, stride, padding, dilation, sizes, ceil_mode)
    outputs = [window.output_size(n) for window, n in zip(along, sizes, strict=True)]
    reach = [(placed - 1) * window.stride + window.extent for window, placed in zip(along, outputs, strict=True)]
    over = [read - a - n - b if ceil_mode else 0 for read, a, n, b in zip(reach, low, sizes, high, strict=True)]
    return Places(
        [window.kernel for window in along],
        [window.stride for window in along],
        [window.dilation for window in along],
        list(low),
        [b + more for b, more in zip(high, over, strict=True)],
        over,
        outputs,
    )
