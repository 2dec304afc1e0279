"""The windows that an operation places over its input, and where that input was padded before."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.geometry import Window, windows
from striate.inspection.tracing.trace import Operation, Trace, Value


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """An operation with windows.

    Args:
        input: what they read.
        windows: one an axis.
        first: the dimension of the input that the first of them lies along.
        mode: how an input is padded by the operation itself: "zeros", "reflect", "replicate", "circular", "constant".
        transposed: whether they lie over the output, and each place of the input is spread over one.
    """

    input: Value
    windows: tuple[Window, ...]
    first: int
    mode: str = "zeros"
    transposed: bool = False


def placed(operation: Operation) -> Placed | None:
    """The windows of an operation.

    Adaptive pooling, which reads all of its input, has none.

    Args:
        operation: any; of the parts of an operation of Striate ask the whole.

    Returns:
        The windows, or None if it has none.
    """
    if operation.name.endswith("()"):
        return _of_striate(operation)
    rule = _RULES.get(operation.name)
    return None if rule is None else rule(*operation.args, **operation.kwargs)


def _convolution(
    input: Value, weight: Value, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, *_: Any
) -> Placed:
    return _placed(input, weight.shape[2:], stride, padding, dilation, transposed=transposed)


def _max_pool(
    input: Value, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Placed:
    return _placed(input, kernel, stride or kernel, padding, dilation, ceil_mode)


def _avg_pool(
    input: Value, kernel: Any, stride: Any = (), padding: Any = 0, ceil_mode: bool = False, *_: Any, **__: Any
) -> Placed:
    return _placed(input, kernel, stride or kernel, padding, 1, ceil_mode)


def _im2col(input: Value, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Placed:
    return _placed(input, kernel, stride, padding, dilation)


def _unfold(input: Value, dimension: int, size: int, step: int) -> Placed:
    return Placed(input, (Window(size, step),), dimension % len(input.shape))


def _torchvision_deform(
    input: Value, weight: Value, offset: Any, mask: Any, bias: Any, *settings: int | bool
) -> Placed:
    numbers = [int(setting) for setting in settings]
    return _placed(input, weight.shape[2:], numbers[0:2], numbers[2:4], numbers[4:6])


_RULES: dict[str, Callable[..., Placed]] = {
    "aten.convolution": _convolution,
    "aten._convolution": _convolution,
    "aten.im2col": _im2col,
    "aten.unfold": _unfold,
    "torchvision.deform_conv2d": _torchvision_deform,
}
for _axes in "123":
    _RULES[f"aten.max_pool{_axes}d"] = _RULES[f"aten.max_pool{_axes}d_with_indices"] = _max_pool
    _RULES[f"aten.avg_pool{_axes}d"] = _avg_pool

_TRANSPOSED = ("conv_transpose", "local_conv_transpose")
_BY_WEIGHT = ("conv", "local_conv", "table_conv", "deform_conv", *_TRANSPOSED)
_BY_KERNEL = ("avg_pool", "max_pool", "lp_pool", "blur_pool", "gaussian_pool", "im2col", "deform_aggregate")


def _of_striate(operation: Operation) -> Placed | None:
    """The windows of a public function of Striate, from its arguments."""
    name = operation.name.removeprefix("striate.").removesuffix("()")
    stem = name[:-2] if name[-1] == "d" and name[-2:-1].isdigit() else ""
    if name not in ("correlate", "convolve") and stem not in (*_BY_WEIGHT, *_BY_KERNEL):
        return None
    bound = _signature(operation.function).bind(*operation.args, **operation.kwargs)
    bound.apply_defaults()
    given = bound.arguments
    if not stem:
        kernel: Sequence[int] | int = given["kernel"].shape
        axes = len(given["kernel"].shape)
    else:
        axes = int(name[-2])
        kernel = given["weight"].shape[-axes:] if stem in _BY_WEIGHT else given["kernel_size"]
    stride = kernel if given["stride"] is None else given["stride"]
    dilation, ceil_mode = given.get("dilation", 1), given.get("ceil_mode", False)
    along = windows(axes, kernel, stride, given["padding"], dilation, ceil_mode)
    first, mode = len(given["input"].shape) - axes, given.get("padding_mode", "zeros")
    return Placed(given["input"], along, first, mode, stem in _TRANSPOSED)


@functools.lru_cache(256)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _placed(
    input: Value,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool = False,
    transposed: bool = False,
) -> Placed:
    axes = len(kernel)
    # One number in a list stands for all axes.
    settings = (
        (value[0] if len(value) == 1 else tuple(value)) if isinstance(value, Sequence) else value
        for value in (stride, padding, dilation)
    )
    along = _windows(axes, tuple(kernel), *settings, ceil_mode)
    return Placed(input, along, len(input.shape) - axes, transposed=transposed)


_windows = functools.lru_cache(1024)(windows)
Places = NDArray[np.int64]
"""For each place along an axis of a padded tensor the place it was copied from, -1 where nothing was."""

_NUMPY = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
_MODES = {"constant_pad_nd": "zeros"}
for _axes in "123":
    _MODES[f"reflection_pad{_axes}d"], _MODES[f"replication_pad{_axes}d"] = "reflect", "replicate"


def padded_places(n: int, low: int, high: int, mode: str) -> Places:
    """Where each place of a padded axis comes from.

    Args:
        n: the size before.
        low: places added before it; fewer than none take away.
        high: places added behind it.
        mode: "zeros", "constant", "reflect", "replicate" or "circular".

    Returns:
        ``low + n + high`` indices below n; -1 for padding that is no copy.
    """
    kept = np.arange(n)[max(-low, 0) : n + min(high, 0)]
    sides = (max(low, 0), max(high, 0))
    if mode in _NUMPY:
        return np.pad(kept, sides, mode=_NUMPY[mode])  # type: ignore[call-overload,no-any-return]
    return np.pad(kept, sides, constant_values=-1)


class Padding:
    """Which tensors of a run are padded ones of others.

    Args:
        trace: of a network.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        # By memory, as a tensor that was written in place is another value.
        self._padded: dict[int, tuple[Value, Value, dict[int, Places]]] = {}
        for place, operation in enumerate(trace.operations):
            self._add(place, operation)

    def of(self, value: Value) -> tuple[Value, dict[int, Places]]:
        """What a tensor was made of by padding.

        Args:
            value: any.

        Returns:
            The tensor before its padding, itself if it has none, and the places by dimension, counted from the end as
            -1, -2, ...; of dimensions that were not padded there are none.
        """
        found = self._padded.get(id(value.memory))
        if found is None:
            return value, {}
        padded, source, places = found
        same = all(-axis <= len(value.shape) and value.shape[axis] == padded.shape[axis] for axis in places)
        return (source, places) if same else (value, {})

    def _add(self, place: int, operation: Operation) -> None:
        name = operation.name.removeprefix("aten.")
        mode = _MODES.get(name)
        if mode is not None:
            source, amounts = operation.args[0], operation.args[1]
            sides = {-1 - axis: tuple(amounts[2 * axis : 2 * axis + 2]) for axis in range(len(amounts) // 2)}
            self._pad(operation.outputs[0], source, sides, mode)
        elif name == "new_empty" and operation.args:
            self._wrapped(place, operation)

    def _pad(self, padded: Value, source: Value, sides: Mapping[int, tuple[int, ...]], mode: str) -> None:
        origin, before = self.of(source)
        found = dict(before)
        for axis, (low, high) in sides.items():
            if low or high:
                places = padded_places(source.shape[axis], low, high, mode)
                found[axis] = _through(places, before[axis]) if axis in before else places
        self._padded[id(padded.memory)] = padded, origin, found

    def _wrapped(self, place: int, operation: Operation) -> None:
        """Circular padding, which PyTorch composes: an empty tensor, then copies of slices into slices of it."""
        padded, source = operation.outputs[0], operation.args[0]
        starts: dict[int, int] = {}
        for step in self._trace.operations[place + 1 :]:
            if step.name == "aten.copy_":
                break
            if step.name != "aten.slice" or len(step.args) < 4:
                return
            if step.args[0].memory is padded.memory:
                starts[step.args[1] - len(padded.shape)] = step.args[2]
            elif step.args[0].memory is not source.memory:
                return
        sides = {
            axis: (start, padded.shape[axis] - start - source.shape[axis])
            for axis, start in starts.items()
            if padded.shape[axis] != source.shape[axis]
        }
        if sides:
            self._pad(padded, source, sides, "circular")


def _through(places: Places, before: Places) -> Places:
    """Places of places."""
    found = before[np.maximum(places, 0)]
    found[places < 0] = -1
    return found
