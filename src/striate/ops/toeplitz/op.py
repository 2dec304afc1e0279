"""A convolution layer as a matrix: the door."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from striate.geometry import Window, windows
from striate.geometry.padding import Padding
from striate.ops._door import announced, check_fits


@announced
def toeplitz(
    kernel: Tensor,
    input_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: int | Sequence[int] = 1,
    *,
    groups: int = 1,
    padding_mode: Literal["zeros", "circular"] = "zeros",
    sparse: bool = False,
) -> Tensor:
    """Write a convolution as the matrix that it is: one row an output, one column an input, both in the order of rows.

    `toeplitz(kernel, x.shape) @ x.flatten()` is `correlate(x, kernel).flatten()`, and the transposed matrix is the
    transposed convolution. Each row holds the taps at the inputs that its window reads. Along one axis with stride 1
    every row is the one above it moved by one place; with "circular" and "same" the matrix is a circulant.

    Args:
        kernel: `(*kernel)` with 1 to 3 axes, or a layer's weight `(out, in / groups, *kernel)`; any dtype.
        input_size: the sizes of the input, one an axis of the kernel; a number for one axis.
        stride: places from one window to the next, at least 1; one number or one an axis.
        padding: places added around the input: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid", "same", "same_upper", "same_lower", "half", "full", "causal"; see
            `striate.geometry.Window`.
        dilation: places from one tap to the next, at least 1; one number or one an axis.
        groups: sets of channels of a layer that do not see one another; divides `out`.
        padding_mode: what lies outside the input: "zeros", or "circular" for the input over and over again.
        sparse: whether to hold only the entries that a tap is written to. A dense matrix of a picture is large: 64
            by 64 pixels make 64 MB in float32.

    Returns:
        `(out * outputs, in * inputs)` in the kernel's dtype, under autocast, too; dense, or a coalesced
        `torch.sparse_coo` tensor.

    Raises:
        ValueError: if the kernel does not go with `input_size` or `groups`, the window is larger than the padded input,
            or a setting is out of its range.

    Source:
        Gray, "Toeplitz and Circulant Matrices: A Review", 2006, https://doi.org/10.1561/0100000006.

    Example:
        >>> toeplitz(torch.tensor([1, 2, 3]), 4, padding="same")
        tensor([[2, 3, 0, 0],
                [1, 2, 3, 0],
                [0, 1, 2, 3],
                [0, 0, 1, 2]])
    """
    sizes = tuple(input_size) if isinstance(input_size, Sequence) else (input_size,)
    weight = _weight(kernel, sizes, groups)
    if padding_mode not in ("zeros", "circular"):
        raise ValueError(f"toeplitz: padding_mode must be zeros or circular, got {padding_mode!r}")
    along = windows(len(sizes), tuple(weight.shape[2:]), stride, padding, dilation)
    check_fits("toeplitz", along, sizes)
    columns, inside = _places(along, sizes, circular=padding_mode == "circular")
    columns, inside = columns.to(kernel.device), inside.to(kernel.device)
    placed, inputs = len(columns), math.prod(sizes)
    out, into = weight.shape[:2]
    channel = torch.arange(out, device=kernel.device)
    rows = channel.view(-1, 1, 1, 1) * placed + torch.arange(placed, device=kernel.device)[:, None]
    reads = (channel // (out // groups) * into)[:, None] + torch.arange(into, device=kernel.device)
    columns = reads[:, :, None, None] * inputs + columns
    values = weight.flatten(2).unsqueeze(2)
    entries = out, into, placed, weight[0, 0].numel()
    rows, columns, inside, values = (part.expand(entries) for part in (rows, columns, inside, values))
    shape = out * placed, groups * into * inputs
    if sparse:
        indices = torch.stack([rows[inside], columns[inside]])
        return torch.sparse_coo_tensor(indices, values[inside], shape, check_invariants=False).coalesce()
    # A tap in the padding adds a zero, somewhere.
    return kernel.new_zeros(shape).index_put((rows, columns), torch.where(inside, values, 0), accumulate=True)


def _weight(kernel: Tensor, sizes: tuple[int, ...], groups: int) -> Tensor:
    """The kernel as the weight of a layer.

    Raises:
        ValueError: if it does not go with the sizes of the input or the groups.
    """
    axes = len(sizes)
    if not 1 <= axes <= 3 or kernel.ndim not in (axes, axes + 2) or min(kernel.shape) < 1:
        raise ValueError(
            f"toeplitz: kernel must have the axes of input_size {sizes}, 1 to 3, or be (out, in / groups, *kernel) "
            f"with them, none of size 0, got {tuple(kernel.shape)}"
        )
    weight = kernel if kernel.ndim == axes + 2 else kernel[None, None]
    if groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"toeplitz: groups must be at least 1 and divide the {weight.shape[0]} outputs, got {groups}")
    return weight


def _places(along: Sequence[Window], sizes: Sequence[int], *, circular: bool) -> tuple[Tensor, Tensor]:
    """The flat index of the input that each tap reads, and whether there is one: both `(placements, taps)`."""
    index, inside = torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.bool)
    for window, n in zip(along, sizes, strict=True):
        places = torch.tensor([list(placement) for placement in window.placements(n)])
        real = (places >= 0) & (places < n) | circular
        places = places % n
        index = (index[:, None, :, None] * n + places[:, None, :]).flatten(2).flatten(0, 1)
        inside = (inside[:, None, :, None] & real[:, None, :]).flatten(2).flatten(0, 1)
    return index, inside
