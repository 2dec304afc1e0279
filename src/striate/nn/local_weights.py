"""Locally connected layers of Keras 2, Flax and Torch7 as ours."""

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from striate import geometry
from striate.geometry import Window
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.nn._windowed import Size
from striate.nn.local_conv import LocalConv1d, LocalConv2d, LocalConv3d, LocalConvNd
from striate.ops._padding import PaddingMode

FlaxPadding: TypeAlias = Literal["SAME", "VALID", "CIRCULAR", "CAUSAL"] | int | Sequence[int | tuple[int, int]]

_LAYERS = (LocalConv1d, LocalConv2d, LocalConv3d)
_WORDS: dict[Any, Padding] = {"SAME": "same_upper", "VALID": "valid", "CAUSAL": "causal"}


def from_keras_local(
    kernel: Any,
    bias: Any = None,
    *,
    input_size: Sequence[int],
    kernel_size: Size,
    stride: Size = 1,
    padding: Literal["valid", "same"] = "valid",
    implementation: Literal[1, 2, 3] = 1,
    data_format: Literal["channels_last", "channels_first"] = "channels_last",
    filters: int | None = None,
) -> LocalConvNd:
    """A `LocallyConnected1D` or `LocallyConnected2D` of Keras 2 as a layer of ours.

    Each of Keras's implementations keeps the same numbers in another shape: the first as `(places, taps * in, filters)`
    or, with channels first, `(places, in * taps, filters)`; the second as `(*input, in, *output, filters)` or
    `(in, *input, filters, *output)`; the third as one row, output by output, of the inputs that each has.

    Args:
        kernel: the kernel, a tensor or an array.
        bias: `(*output sizes, filters)`, a tensor or an array, or None.
        input_size: sizes of the input, one an axis, and so one or two.
        kernel_size: taps; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis.
        padding: "valid" or "same", which in this layer of Keras begins `kernel_size // 2` places before the input.
        implementation: that of the layer, 1, 2 or 3.
        data_format: that of the layer, "channels_last" or "channels_first"; ours has its channels first.
        filters: output channels; they must be given with implementation 3 and no bias.

    Returns:
        The layer, in the kernel's dtype.

    Raises:
        TypeError: if kernel or bias do not hold floating-point numbers, or a setting has the wrong type.
        ValueError: if kernel or bias have not the shape that the settings make, or a setting is unknown or
            out of its range.

    Source:
        `locally_connected_utils.py` of Keras 2: `local_conv`, `conv_kernel_idxs`, `conv_connected_inputs`.

    Example:
        >>> from_keras_local(torch.ones(4, 2 * 3, 5), torch.zeros(4, 5), input_size=[5], kernel_size=2)
        LocalConv1d(3, 5, kernel_size=(2,), input_size=(5,), stride=(1,))
    """
    _check_sizes(input_size, (1, 2))
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(f"data_format must be 'channels_last' or 'channels_first', got {data_format!r}")
    if implementation not in (1, 2, 3):
        raise ValueError(f"implementation must be 1, 2 or 3, got {implementation!r}")
    values, added = _numbers("kernel", kernel), None if bias is None else _numbers("bias", bias)
    if filters is None and added is not None and added.ndim:
        filters = added.shape[-1]
    if filters is not None:
        check_integer("filters", filters, 1)
    along = _keras_windows(input_size, kernel_size, stride, padding)
    last = data_format == "channels_last"
    if implementation == 1:
        whole = _keras_places(values, along, input_size, last)
    elif implementation == 2:
        whole = _keras_dense(values, along, input_size, last)
    else:
        whole = _keras_sparse(values, along, input_size, last, filters)
    outputs = _outputs(along, input_size)
    kernels = [window.kernel for window in along]
    axes = len(outputs)
    apart = whole.reshape(*outputs, *kernels, *whole.shape[2:])
    weight = apart.permute(*range(axes), 2 * axes + 1, 2 * axes, *range(axes, 2 * axes))
    layer = _layer(weight, added, input_size, along)
    if filters not in (None, layer.out_channels):
        raise ValueError(f"filters must be {layer.out_channels}, as the kernel has, got {filters}")
    return layer


def from_flax_local(
    kernel: Any,
    bias: Any = None,
    *,
    input_size: Sequence[int],
    kernel_size: Size,
    stride: Size = 1,
    padding: FlaxPadding = "SAME",
    dilation: Size = 1,
) -> LocalConvNd:
    """A `ConvLocal` of `flax.linen` as a layer of ours.

    Flax keeps the kernel as `lax.conv_general_dilated_local` reads it: `(*output sizes, in * taps, features)`, the
    numbers of a window in the order of channels and then of taps.

    Args:
        kernel: the parameter "kernel", a tensor or an array.
        bias: the parameter "bias" `(*output sizes, features)`, a tensor or an array, or None.
        input_size: sizes of the input, one an axis.
        kernel_size: taps; one number or one an axis.
        stride: the layer's `strides`.
        padding: "SAME", "VALID", "CIRCULAR", "CAUSAL", a number, or numbers and pairs `(low, high)`, one an axis.
        dilation: the layer's `kernel_dilation`.

    Returns:
        The layer, in the kernel's dtype.

    Raises:
        TypeError: if kernel or bias do not hold floating-point numbers, or a setting has the wrong type.
        ValueError: if kernel or bias have not the shape that the settings make, or a setting is unknown or
            out of its range.

    Source:
        `_Conv` in flax/linen/linear.py; `conv_general_dilated_local` in jax/_src/lax/other.py.

    Example:
        >>> from_flax_local(torch.ones(5, 3 * 2, 4), input_size=[5], kernel_size=2)
        LocalConv1d(3, 4, kernel_size=(2,), input_size=(5,), stride=(1,), padding=('same_upper',), bias=False)
    """
    _check_sizes(input_size, (1, 2, 3))
    axes = len(input_size)
    mode: PaddingMode = "zeros"
    if isinstance(padding, str) and padding not in (*_WORDS, "CIRCULAR"):
        raise ValueError(f"padding must be 'CIRCULAR', {', '.join(map(repr, _WORDS))} or numbers, got {padding!r}")
    sides: Any = [_WORDS[padding]] * axes if padding in list(_WORDS) else padding
    if padding == "CIRCULAR":
        extents = [window.extent for window in geometry.windows(axes, kernel_size, stride, 0, dilation)]
        sides, mode = [((extent - 1) // 2, extent // 2) for extent in extents], "circular"
    along = geometry.windows(axes, kernel_size, stride, sides, dilation)
    outputs, kernels, values = _outputs(along, input_size), [w.kernel for w in along], _numbers("kernel", kernel)
    taps = math.prod(kernels)
    _check(values, outputs, f"(*{outputs}, in * {taps}, features)", axes + 2, axes, taps)
    apart = values.reshape(*outputs, -1, *kernels, values.shape[-1])
    added = None if bias is None else _numbers("bias", bias)
    return _layer(apart.movedim(-1, axes), added, input_size, along, mode)


def from_torch7_local(
    weight: Any,
    bias: Any = None,
    *,
    input_size: Sequence[int],
    stride: Size = 1,
    padding: Padding | Sequence[Padding] = 0,
) -> LocalConvNd:
    """A `SpatialConvolutionLocal` of Torch7 as a layer of ours.

    Args:
        weight: `(output height, output width, out, in, kernel height, kernel width)`, a tensor or an array.
        bias: `(out, output height, output width)`, a tensor or an array, or None.
        input_size: height and width of the input, in this order, `iH` and `iW`.
        stride: `dH` and `dW`; one number or both.
        padding: `padH` and `padW`; one number or both.

    Returns:
        The layer, in the weight's dtype.

    Raises:
        TypeError: if weight or bias do not hold floating-point numbers, or a setting has the wrong type.
        ValueError: if weight or bias have not the shape that the settings make, or a setting is out of its range.

    Source:
        SpatialConvolutionLocal.lua of torch/nn.

    Example:
        >>> from_torch7_local(torch.ones(4, 5, 8, 3, 2, 2), torch.ones(8, 4, 5), input_size=(5, 6))
        LocalConv2d(3, 8, kernel_size=(2, 2), input_size=(5, 6), stride=(1, 1))
    """
    _check_sizes(input_size, (2,))
    values, added = _numbers("weight", weight), None if bias is None else _numbers("bias", bias)
    if values.ndim != 6:
        axes = "output height, output width, out, in, kernel height, kernel width"
        raise ValueError(f"weight must have 6 axes ({axes}), got {tuple(values.shape)}")
    if added is not None:
        expected = (values.shape[2], *values.shape[:2])
        if added.shape != expected:
            raise ValueError(f"bias must be {expected}, got {tuple(added.shape)}")
        added = added.movedim(0, -1)
    along = geometry.windows(2, tuple(values.shape[4:]), stride, padding)
    return _layer(values, added, input_size, along)


def _check_sizes(input_size: Sequence[int], axes: Sequence[int]) -> None:
    """See that an input size has one number an axis, and as many as some layer has axes.

    Raises:
        TypeError: if it is no sequence of integers.
        ValueError: if it has others, or a number is below 1.
    """
    if not isinstance(input_size, Sequence) or isinstance(input_size, str):
        raise TypeError(f"input_size must be a sequence of integers, one an axis, got {input_size!r}")
    if len(input_size) not in axes:
        raise ValueError(f"input_size must have {' or '.join(map(str, axes))} entries, got {tuple(input_size)}")
    for n in input_size:
        check_integer("input_size", n, 1)


def _numbers(name: str, values: Any) -> Tensor:
    """What was given, a tensor or an array, as a tensor.

    Raises:
        TypeError: if it does not hold floating-point numbers.
    """
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be a tensor or an array, got {type(values).__name__}: {error}") from error
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, got {tensor.dtype}")
    return tensor


def _layer(
    weight: Tensor, bias: Tensor | None, input_size: Sequence[int], along: Sequence[Window], mode: PaddingMode = "zeros"
) -> LocalConvNd:
    """A layer with copies of these weights `(*outputs, out, in, *kernel)` and a bias `(*outputs, out)`.

    Raises:
        ValueError: if their shapes are others.
    """
    axes = len(along)
    out, into = weight.shape[axes : axes + 2]
    layer = _LAYERS[axes - 1](
        into, out, [window.kernel for window in along], tuple(input_size), [window.stride for window in along],
        [window.padding for window in along], [window.dilation for window in along],
        bias=False if bias is None else "unshared", padding_mode=mode, device=weight.device, dtype=weight.dtype,
    )  # fmt: skip
    for name, values in (("weight", weight), ("bias", bias)):
        if values is None:
            continue
        parameter = layer.get_parameter(name)
        if values.shape != parameter.shape:
            raise ValueError(f"{name} must be {tuple(parameter.shape)}, got {tuple(values.shape)}")
        with torch.no_grad():
            parameter.copy_(values)
    return layer


def _check(values: Tensor, outputs: Sequence[int], expected: str, ndim: int, at: int, taps: int) -> None:
    """See that a kernel begins with the sizes of the output, and has a multiple of the taps along another axis.

    Raises:
        ValueError: if it does not.
    """
    begins = values.ndim == ndim and tuple(values.shape[: len(outputs)]) == tuple(outputs)
    if not begins or not values.numel() or values.shape[at] % taps:
        raise ValueError(f"kernel must be {expected}, got {tuple(values.shape)}")


def _outputs(along: Sequence[Window], input_size: Sequence[int]) -> tuple[int, ...]:
    return tuple(window.output_size(n) for window, n in zip(along, input_size, strict=True))


def _keras_windows(input_size: Sequence[int], kernel_size: Size, stride: Size, padding: str) -> tuple[Window, ...]:
    """The windows of Keras's layer, whose "same" lays the middle of the kernel on the places of the stride.

    Raises:
        ValueError: if the padding is unknown.
    """
    along = geometry.windows(len(input_size), kernel_size, stride)
    if padding == "valid":
        return along
    if padding != "same":
        raise ValueError(f"padding must be 'valid' or 'same', got {padding!r}")
    sides = [
        (w.kernel // 2, max(0, (n - 1) // w.stride * w.stride + w.kernel - w.kernel // 2 - n))
        for w, n in zip(along, input_size, strict=True)
    ]
    return geometry.windows(len(input_size), kernel_size, stride, sides)


def _keras_places(values: Tensor, along: Sequence[Window], input_size: Sequence[int], last: bool) -> Tensor:
    """Implementation 1 as `(places, taps, in, filters)`."""
    places, taps = math.prod(_outputs(along, input_size)), math.prod(window.kernel for window in along)
    order = f"{taps} * in" if last else f"in * {taps}"
    _check(values, [places], f"({places}, {order}, filters)", 3, 1, taps)
    if last:
        return values.reshape(places, taps, -1, values.shape[-1])
    return values.reshape(places, -1, taps, values.shape[-1]).transpose(1, 2)


def _keras_dense(values: Tensor, along: Sequence[Window], input_size: Sequence[int], last: bool) -> Tensor:
    """Implementation 2 as `(places, taps, in, filters)`.

    Raises:
        ValueError: if the kernel is not one of all inputs and outputs.
    """
    axes, outputs = len(along), _outputs(along, input_size)
    # Axes of channels in and out, and where the sizes of input and output begin.
    into, out, first, second = (axes, 2 * axes + 1, 0, axes + 1) if last else (0, axes + 1, 1, axes + 2)
    sizes = tuple(values.shape[first : first + axes]) + tuple(values.shape[second : second + axes])
    if values.ndim != 2 * axes + 2 or sizes != (*input_size, *outputs):
        named = ["in", *map(str, input_size)], ["filters", *map(str, outputs)]
        expected = ", ".join(n for part in named for n in (part[1:] + part[:1] if last else part))
        raise ValueError(f"kernel must be ({expected}), got {tuple(values.shape)}")
    rows = values.permute(*range(first, first + axes), into, *range(second, second + axes), out)
    rows = rows.reshape(math.prod(input_size), values.shape[into], math.prod(outputs), values.shape[out])
    read, inside = _reads(along, input_size)
    windows = rows[read, :, torch.arange(len(read)).unsqueeze(1)]
    return windows * inside[..., None, None]


def _keras_sparse(
    values: Tensor, along: Sequence[Window], input_size: Sequence[int], last: bool, filters: int | None
) -> Tensor:
    """Implementation 3 as `(places, taps, in, filters)`.

    Raises:
        ValueError: if the filters are not known, or do not divide the numbers.
    """
    if filters is None:
        raise ValueError("filters, or a bias (*output sizes, filters), must be given with implementation 3")
    _, inside = _reads(along, input_size)
    each = filters * int(inside.sum())
    if values.ndim != 1 or not values.numel() or values.numel() % each:
        raise ValueError(f"kernel must be (in * {each},) for {filters} filters, got {tuple(values.shape)}")
    (places, taps), into = inside.shape, values.numel() // each
    order = (places, filters, taps, into) if last else (filters, places, into, taps)
    mask = inside[:, None, :, None] if last else inside[None, :, None, :]
    whole = values.new_zeros(order)
    whole[mask.expand(order)] = values
    return whole.permute(0, 2, 3, 1) if last else whole.permute(1, 3, 2, 0)


def _reads(along: Sequence[Window], input_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The flat index that each tap of each place reads, `(places, taps)`, and whether it is inside of the input."""
    read, inside = torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.bool)
    for window, n in zip(along, input_size, strict=True):
        at = torch.tensor([list(placed) for placed in window.placements(n)])
        read = (read[:, None, :, None] * n + at.clamp(0, n - 1)[:, None, :]).flatten(2).flatten(0, 1)
        within = (at >= 0) & (at < n)
        inside = (inside[:, None, :, None] & within[:, None, :]).flatten(2).flatten(0, 1)
    return read, inside
