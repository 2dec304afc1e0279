"""Which places of the output are kept, and for a ring which inputs reach them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from striate.geometry import Window
from striate.geometry.checks import check_integer, check_size


def crops(
    name: str,
    along: Sequence[Window],
    sizes: Sequence[int],
    output_padding: Sequence[int],
    output_size: Sequence[int] | None,
) -> tuple[list[int], list[int]]:
    """The places cropped low and high by axis; a negative number adds places.

    Raises:
        ValueError: if padding, output padding or output size do not fit the windows.
    """
    low, high = [], []
    for axis, (window, n, extra) in enumerate(zip(along, sizes, output_padding, strict=True)):
        try:
            if output_size is not None:
                extra = _extra(window, n, output_size[axis])
            window.transposed_output_size(n, extra)
        except ValueError as error:
            raise ValueError(f"{name}: axis {axis}: {error}") from error
        a, b = window.crops()
        low.append(a)
        high.append(b - extra)
    return low, high


def unrolled(
    name: str, along: Sequence[Window], input: Tensor, output_size: Sequence[int] | None
) -> tuple[Tensor, list[int], list[int]]:
    """The input, as much of its ring repeated at both ends as one turn of the output sees, and the crops to that turn.

    Raises:
        ValueError: if padding or output size do not fit the ring, or a window goes round more than once.
    """
    low, high = [], []
    for axis, (window, n) in enumerate(zip(along, input.shape[2:], strict=True)):
        try:
            _check_ring(window, n, None if output_size is None else output_size[axis])
        except ValueError as error:
            raise ValueError(f"{name}: axis {axis}: {error}") from error
        a, _ = window.crops()
        before, after = _turn(window)
        front = [input.narrow(axis + 2, n - before, before)] if before else []
        back = [input.narrow(axis + 2, 0, after)] if after else []
        if front or back:
            input = torch.cat([*front, input, *back], axis + 2)
        low.append(a + before * window.stride)
        high.append((after - 1) * window.stride + window.extent - a)
    return input, low, high


def _turn(window: Window) -> tuple[int, int]:
    """The inputs before the first and after the last whose windows reach into one turn of the ring."""
    low, _ = window.crops()
    return (window.extent - 1 - low) // window.stride, -(-low // window.stride)


def _check_ring(window: Window, n: int, wished: int | None) -> None:
    """See that as many windows as inputs lie on a ring of `n * stride` places.

    Raises:
        ValueError: if they do not, the input is empty, or another size is wished for.
    """
    check_size(n)
    places = n * window.stride
    if wished is not None and wished != places:
        raise ValueError(f"padding_mode='circular' gives n * stride = {places} places, output_size asks for {wished}")
    low, high = window.crops()
    least, most = window.extent - window.stride, window.extent - 1
    if not least <= low + high <= most:
        raise ValueError(
            f"padding_mode='circular' must crop from {max(least, 0)} to {most} places in all, so that {n} windows lie "
            f"on the ring of {places}, got {low} low and {high} high"
        )
    if max(_turn(window)) > n:
        raise ValueError(f"a window of {window.extent} places goes round the ring of {places} more than once")


def output_paddings(name: str, output_padding: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """One output padding an axis.

    Raises:
        ValueError: if there are too few or too many.
    """
    numbers = tuple(output_padding) if isinstance(output_padding, Sequence) else (output_padding,) * axes
    if len(numbers) != axes:
        raise ValueError(f"{name}: output_padding must be one number or one an axis ({axes}), got {output_padding!r}")
    for number in numbers:
        check_integer(f"{name}: output_padding", number, 0)
    return numbers


def sizes_wished(name: str, output_size: Sequence[int], axes: int, ndim: int) -> Sequence[int]:
    """The spatial part of an output size.

    Raises:
        ValueError: if it has neither one entry an axis nor one for each axis of the input.
    """
    if len(output_size) not in (axes, ndim):
        raise ValueError(f"{name}: output_size must have {axes} or {ndim} entries, got {tuple(output_size)}")
    return output_size[len(output_size) - axes :]


def _extra(window: Window, n: int, wished: int) -> int:
    """The output padding that gives a wished size.

    Raises:
        ValueError: if none does.
    """
    most = max(window.stride, window.dilation) - 1
    largest = window.transposed_output_size(n, most)
    if not max(largest - most, 1) <= wished <= largest:
        raise ValueError(f"output_size must be from {max(largest - most, 1)} to {largest}, got {wished}")
    return wished - (largest - most)
