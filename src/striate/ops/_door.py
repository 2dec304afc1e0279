"""What every door does before an operator's rooms are entered: shared checks, autocast, transforms."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from striate.geometry import Window, windows
from striate.geometry.padding import Padding

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Watcher = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
_watcher: contextvars.ContextVar[_Watcher | None] = contextvars.ContextVar("watcher", default=None)
_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def announced(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Tell a call of a public function to who watches in this thread, as `striate.inspection` does."""

    @functools.wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        if not torch.compiler.is_compiling():
            watcher = _watcher.get()
            if watcher is not None:
                result: _Result = watcher(function, args, kwargs)
                return result
        return function(*args, **kwargs)

    return call


@contextlib.contextmanager
def watched(watcher: _Watcher) -> Iterator[None]:
    """Call the public functions of this thread by way of a watcher, given the function and its arguments."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def check_tensor(operator: str, name: str, value: object) -> None:
    """See that an argument is a tensor, and a dense one.

    Raises:
        TypeError: if it is not.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{operator}: {name} must be a tensor, got {type(value).__name__}")
    if value.layout != torch.strided:
        raise TypeError(f"{operator}: {name} must be a dense tensor, got {value.layout}")


def check_input(operator: str, input: Tensor, axes: int) -> None:
    """See that an input is a batch of maps, or one.

    Raises:
        TypeError: if the input is no tensor, or does not hold floating-point numbers.
        ValueError: if it has another number of axes.
    """
    check_tensor(operator, "input", input)
    if input.dtype not in _DTYPES:
        bits = " of 16 to 64 bits" if input.is_floating_point() else ""
        raise TypeError(f"{operator}: input must hold floating-point numbers{bits}, got {input.dtype}")
    if input.ndim not in (axes + 1, axes + 2):
        shape = ", ".join(("C", *("T", "D", "H", "W")[4 - axes :]))
        raise ValueError(f"{operator}: input must be (N, {shape}) or ({shape}), got {tuple(input.shape)}")


def check_alike(operator: str, **tensors: Tensor | None) -> None:
    """See that tensors have the dtype and the device of the first.

    Raises:
        TypeError: if one is no tensor, or their dtypes differ.
        ValueError: if their devices differ.
    """
    (first_name, first), *others = ((name, tensor) for name, tensor in tensors.items() if tensor is not None)
    for name, tensor in others:
        check_tensor(operator, name, tensor)
        if tensor.dtype != first.dtype:
            raise TypeError(
                f"{operator}: {name} must have the dtype of {first_name}, {first.dtype}, got {tensor.dtype}"
            )
        if tensor.device != first.device:
            raise ValueError(
                f"{operator}: {name} must be on the device of {first_name}, {first.device}, got {tensor.device}"
            )


def check_filters(operator: str, input: Tensor, weight: Tensor, channels: str) -> None:
    """See that a weight has the axes of the input, none of them empty; `channels` names its first two in the error.

    Raises:
        TypeError: if it is no tensor.
        ValueError: if it has not.
    """
    check_tensor(operator, "weight", weight)
    if weight.ndim != input.ndim or min(weight.shape) < 1:
        sizes = ", ".join(f"k{axis}" for axis in range(1, input.ndim - 1))
        raise ValueError(f"{operator}: weight must be ({channels}, {sizes}), none 0, got {tuple(weight.shape)}")


def check_fits(operator: str, along: Sequence[Window], sizes: Sequence[int]) -> tuple[list[int], list[int]]:
    """See that each window has a place on the padded input; returns the padding, low and high, by axis.

    Raises:
        ValueError: if one is larger, or the input is empty.
    """
    low: list[int] = []
    high: list[int] = []
    for axis, (window, n) in enumerate(zip(along, sizes, strict=True)):
        try:
            window.output_size(n)
        except ValueError as error:
            raise ValueError(f"{operator}: axis {axis}: {error}") from error
        for sides, places in zip((low, high), window.pads(n), strict=True):
            sides.append(places)
    return low, high


def remembered(function: Callable[..., _Result]) -> Callable[..., _Result]:
    """Work out a pure function of settings once for each of them: that takes longer than a small convolution.

    Args:
        function: takes numbers, words and tuples of them by position; returns what nobody changes.

    Returns:
        The same function. Compiled code calls it as it is, and so do lists and sizes that a tracer does not know.
    """
    lookup = functools.lru_cache(1024)(lambda kinds, *settings: function(*settings))

    @functools.wraps(function)
    def call(*settings: Any) -> _Result:
        if not torch.compiler.is_compiling():
            try:
                return lookup(_kinds(settings), *settings)
            except TypeError:
                # No key, or a setting of the wrong type, which the function itself refuses.
                pass
        return function(*settings)

    return call


def _kinds(settings: tuple[object, ...]) -> object:
    """Types, inside of tuples, too: 1, 1.0 and True are equal, but not all of them are strides."""
    return tuple([_kinds(setting) if type(setting) is tuple else type(setting) for setting in settings])


@remembered
def place(
    operator: str,
    axes: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int],
    padding: Padding | Sequence[Padding],
    dilation: int | Sequence[int],
    sizes: Sequence[int],
    ceil_mode: bool = False,
) -> tuple[tuple[Window, ...], tuple[int, ...], tuple[int, ...]]:
    """The windows of an operator on an input of these sizes, and the padding, low and high, by axis.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, a window is larger than the padded input, or that is empty.
    """
    along = windows(axes, kernel_size, stride, padding, dilation, ceil_mode)
    low, high = check_fits(operator, along, sizes)
    return along, tuple(low), tuple(high)


def under_autocast(tensor: Tensor) -> bool:
    """Whether autocast is on for the device of a tensor."""
    device = tensor.device.type
    if torch.compiler.is_compiling():
        # PyTorch 2.11 cannot trace the question that is asked below.
        return device in ("cpu", "cuda", "mps", "xpu") and torch.is_autocast_enabled(device)
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def cast(*tensors: Tensor | None) -> Sequence[Any]:
    """The tensors in the dtype that autocast asks for, if it is on; float64 is left alone, as PyTorch leaves it.

    What is no tensor is left for the checks to refuse.
    """
    if not isinstance(tensors[0], Tensor):
        return tensors
    if not under_autocast(tensors[0]):
        return tensors
    dtype = torch.get_autocast_dtype(tensors[0].device.type)
    return [
        tensor.to(dtype)
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.dtype != torch.float64
        else tensor
        for tensor in tensors
    ]


def memory_format(tensor: Tensor) -> torch.memory_format:
    """Channels-last for a tensor that lies so and not in PyTorch's ordinary order as well; nothing else under vmap."""
    if not _batched(tensor) and not tensor.is_contiguous():
        for axes, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
            if tensor.ndim == axes and tensor.is_contiguous(memory_format=layout):
                return layout
    return torch.contiguous_format


def _batched(tensor: Tensor) -> bool:
    """Whether `torch.func.vmap` is under way, which cannot say how a tensor lies."""
    if torch.compiler.is_compiling():
        return False
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        if functorch.is_batchedtensor(tensor):
            return True
        tensor = functorch.get_unwrapped(tensor)
    return False


def in_transform() -> bool:
    """Whether a `torch.func` transform or forward-mode differentiation is under way.

    A custom operator would give tangents that are zero in silence there, so that a door calls something that PyTorch
    differentiates by itself.
    """
    if torch.compiler.is_compiling():
        return False
    level: int | None = torch._C._functorch.maybe_current_level()
    return level is not None or torch.autograd.forward_ad._current_level >= 0


def second_order(plain: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, ...]]:
    """The gradient of a gradient, to any order, from a plain definition that PyTorch differentiates by itself.

    Args:
        plain: the operator as a function of its tensors.

    Returns:
        A function of (gradients of the first gradients, gradient of the output, *tensors) that gives the gradients of
        the output's gradient and of the tensors.
    """

    def first(grad: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        gradients: tuple[Tensor, ...] = torch.func.vjp(plain, *tensors)[1](grad)
        return gradients

    def second(grads: tuple[Tensor, ...], grad: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        gradients: tuple[Tensor, ...] = torch.func.vjp(first, grad, *tensors)[1](grads)
        return gradients

    return second
