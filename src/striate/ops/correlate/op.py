"""Correlation and convolution of planes: the door."""

from collections.abc import Sequence

import torch
from torch import Tensor

from striate.geometry.padding import Padding
from striate.ops._docs import documented_like
from striate.ops._door import announced, cast, check_alike, memory_format, place
from striate.ops._padding import PaddingMode, pad
from striate.ops.correlate import reference
from striate.ops.correlate.planes import correlate_planes


@announced
def correlate(
    input: Tensor,
    kernel: Tensor,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = "valid",
    dilation: int | Sequence[int] = 1,
    padding_mode: PaddingMode = "zeros",
    border: float | Tensor | None = None,
) -> Tensor:
    """Lay a kernel over a series, a plane or a volume as it is, and sum the products under it.

    `output[i] = sum over taps k of kernel[k] * input[i * stride + k * dilation - low]`, for one index an axis. The axes
    of the kernel are the last axes of the input; axes before them are a batch, each entry by itself.

    SciPy's mode "valid" is "valid" here and "full" is "full"; its "same" is "same_lower", which differs from "same" for
    kernels of even size. SciPy's correlation takes the complex conjugate; complex numbers are refused here.

    Args:
        input: `(..., *sizes)`, floating-point, or integers, which are summed exactly in int64.
        kernel: `(*kernel)` with 1 to 3 axes, of the input's dtype; for integers any integer dtype.
        stride: places from one window to the next, at least 1; one number or one an axis.
        padding: places added around the input: a number, a tuple of numbers or of pairs `(low, high)`, one an axis, or
            a word: "valid", "same", "same_upper", "same_lower", "half", "full", "causal"; see
            `striate.geometry.Window`.
        dilation: places from one tap to the next, at least 1; one number or one an axis.
        padding_mode: what lies outside the input: "zeros", "reflect", "replicate", "circular", or "constant" for
            `border`.
        border: the value outside the input, with "constant" only; a number, or a tensor without axes to have its
            gradient.

    Returns:
        `(..., *output sizes)` in the input's dtype and memory format, int64 for integers.

    Raises:
        TypeError: if the numbers are complex, or dtypes differ, also that of the border.
        ValueError: if ranks, devices or sizes do not fit, the kernel is larger than the padded input, or a setting is
            out of its range.

    Source:
        Goodfellow, Bengio and Courville, "Deep Learning", 2016, section 9.1, https://www.deeplearningbook.org.

    Example:
        >>> import torch
        >>> correlate(torch.tensor([1, 2, -1, 1, -3]), torch.tensor([1, 0, -1]), padding=1)
        tensor([-2,  2,  1,  2,  1])
    """
    return _correlate("correlate", input, kernel, stride, padding, dilation, padding_mode, border, flipped=False)


@announced
@documented_like(correlate)
def convolve(
    input: Tensor,
    kernel: Tensor,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = "valid",
    dilation: int | Sequence[int] = 1,
    padding_mode: PaddingMode = "zeros",
    border: float | Tensor | None = None,
) -> Tensor:
    """Convolve a series, a plane or a volume with a kernel: `correlate` with the kernel flipped along every axis.

    With "full" padding this is the convolution of mathematics, `output[i] = sum over k of kernel[k] * input[i - k]`, in
    which input and kernel may change places. The other words take a part of it: "valid" where all of the kernel lies on
    the input, "causal" the first as many as the input has, "same_lower" the middle, as SciPy's mode "same" does ("same"
    differs from it for kernels of even size).

    Example:
        >>> import torch
        >>> picture = torch.tensor([[0, 80, 40], [20, 40, 0], [0, 0, 40]])
        >>> convolve(picture, torch.tensor([[0, 1], [2, 4]])) / 4
        tensor([[ 45., 110.],
                [ 40.,  40.]])
    """
    return _correlate("convolve", input, kernel, stride, padding, dilation, padding_mode, border, flipped=True)


def _correlate(
    name: str,
    input: Tensor,
    kernel: Tensor,
    stride: int | Sequence[int],
    padding: Padding | Sequence[Padding],
    dilation: int | Sequence[int],
    padding_mode: PaddingMode,
    border: float | Tensor | None,
    *,
    flipped: bool,
) -> Tensor:
    axes = kernel.ndim
    if not 1 <= axes <= 3 or min(kernel.shape) < 1:
        raise ValueError(f"{name}: kernel must have 1 to 3 axes, none of size 0, got {tuple(kernel.shape)}")
    if input.ndim < axes:
        raise ValueError(f"{name}: input must have the {axes} axes of the kernel or more, got {tuple(input.shape)}")
    outside = _border(name, border, input)
    input, kernel, outside = cast(*_numbers(name, input, kernel, outside))
    check_alike(name, input=input, kernel=kernel, border=outside)
    batch, sizes = input.shape[: input.ndim - axes], input.shape[input.ndim - axes :]
    along, low, high = place(name, axes, kernel.shape, stride, padding, dilation, sizes)
    planes = input.unsqueeze(0).flatten(0, len(batch))
    if padding_mode != "zeros" or outside is not None:
        planes = pad(name, planes.unsqueeze(1), low, high, padding_mode, outside).squeeze(1)
        low = high = (0,) * axes
    if flipped:
        kernel = kernel.flip(tuple(range(axes)))
    strides, dilations = [window.stride for window in along], [window.dilation for window in along]
    if input.is_floating_point():
        result = correlate_planes(planes, kernel.unsqueeze(0), strides, low, high, dilations).squeeze(1)
    else:
        # PyTorch has no convolution of integers on every device.
        result = reference.correlate(planes, kernel, strides, low, high, dilations)
    return result.reshape(*batch, *result.shape[1:]).contiguous(memory_format=memory_format(input))


def _border(name: str, border: float | Tensor | None, input: Tensor) -> Tensor | None:
    """The value outside the planes, as the one of their one channel.

    Raises:
        TypeError: if it is a fraction, and the input holds integers.
        ValueError: if it has axes.
    """
    if border is None:
        return None
    if isinstance(border, Tensor):
        if border.ndim:
            raise ValueError(f"{name}: border must be a number or a tensor without axes, got {tuple(border.shape)}")
        return border.view(1)
    if isinstance(border, float) and not input.is_floating_point():
        raise TypeError(f"{name}: border must be an integer where the input holds integers, got {border}")
    dtype = input.dtype if input.is_floating_point() else torch.int64
    return torch.full((1,), border, dtype=dtype, device=input.device)


def _numbers(name: str, *tensors: Tensor | None) -> list[Tensor | None]:
    """Floating-point numbers as they are, integers and truth values as int64.

    Raises:
        TypeError: if the numbers are complex.
    """
    for tensor in tensors:
        if tensor is not None and tensor.is_complex():
            raise TypeError(f"{name}: numbers must be real, got {tensor.dtype}")
    return [tensor if tensor is None or tensor.is_floating_point() else tensor.long() for tensor in tensors]
