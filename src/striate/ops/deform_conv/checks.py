"""What the deformable operators ask of offsets and masks."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from striate.ops._door import check_tensor

_MOST = torch.finfo(torch.float32).max


def check_precision(name: str, input: Tensor, **tensors: Tensor) -> None:
    """See that offsets and masks have the dtype of the input, or float32 beside a lower one, and its device.

    Raises:
        TypeError: if one is no tensor, or a dtype is another.
        ValueError: if a device is.
    """
    low = input.dtype in (torch.bfloat16, torch.float16)
    for which, tensor in tensors.items():
        check_tensor(name, which, tensor)
        if tensor.dtype != input.dtype and not (low and tensor.dtype == torch.float32):
            also = " or torch.float32" if low else ""
            raise TypeError(f"{name}: {which} must have the dtype of input, {input.dtype}{also}, got {tensor.dtype}")
        if tensor.device != input.device:
            raise ValueError(f"{name}: {which} must be on the device of input, {input.device}, got {tensor.device}")


def check_offset(
    name: str, input: Tensor, offset: Tensor, taps: int, outputs: Sequence[int], groups: int | None = None
) -> int:
    """See that there is one coordinate an axis for each tap of each group at each output; returns the groups.

    Raises:
        ValueError: if there is not, or the groups do not divide the channels of the input.
    """
    axes = len(outputs)
    channels, batch = input.shape[-1 - axes], list(input.shape[: -1 - axes])
    each = taps * axes
    found = groups
    if found is None:
        found = offset.shape[-1 - axes] // each if offset.ndim > axes else 0
    if offset.ndim != input.ndim or list(offset.shape) != [*batch, found * each, *outputs] or found < 1:
        wished = f"{each} * groups" if groups is None else f"{each * groups}"
        raise ValueError(
            f"{name}: offset must be {_shape(*batch, wished, *outputs)}, {axes} for each of {taps} taps, "
            f"got {tuple(offset.shape)}"
        )
    if channels % found:
        raise ValueError(
            f"{name}: the groups of offset must divide the {channels} channels of input, got {found} groups "
            f"from {tuple(offset.shape)}"
        )
    return found


def check_mask(name: str, input: Tensor, mask: Tensor, taps: int, outputs: Sequence[int], groups: int) -> None:
    """See that there is one number for each tap of each group at each output.

    Raises:
        ValueError: if there is not.
    """
    wished = [*input.shape[: -1 - len(outputs)], groups * taps, *outputs]
    if list(mask.shape) != wished:
        raise ValueError(
            f"{name}: mask must be {_shape(*wished)}, one for each of {taps} taps in {groups} groups, "
            f"got {tuple(mask.shape)}"
        )


def _shape(*sizes: object) -> str:
    return f"({', '.join(map(str, sizes))})"


def check_scale(name: str, scale: object) -> None:
    """See that the factor of windows and offsets is a finite number, in float32 too.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is not finite.
    """
    if isinstance(scale, bool) or not isinstance(scale, int | float):
        raise TypeError(f"{name}: offset_scale must be a finite number, got {scale!r}")
    # Not `math.isfinite`, which `torch.compile` cannot trace for a number that changes.
    if not -_MOST <= scale <= _MOST:
        raise ValueError(f"{name}: offset_scale must be a finite number, got {scale}, which is none in float32")


def check_center(name: str, kernel_size: Sequence[int], remove_center: object) -> bool:
    """Whether the tap in the middle is removed; see that there is one, and others.

    Raises:
        TypeError: if `remove_center` is not a bool.
        ValueError: if a kernel size is even, or there is one tap only.
    """
    if not isinstance(remove_center, bool):
        raise TypeError(f"{name}: remove_center must be True or False, got {remove_center!r}")
    taps = math.prod(kernel_size)
    if remove_center and (taps % 2 == 0 or taps == 1):
        raise ValueError(
            f"{name}: remove_center wants odd kernel sizes and more than one tap, got kernel_size {tuple(kernel_size)}"
        )
    return remove_center
