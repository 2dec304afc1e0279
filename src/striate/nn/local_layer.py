"""What the unshared layers have in common: weights for every place, made for one size of input."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter, is_lazy

from striate import geometry
from striate.geometry import Window
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding, PaddingWord
from striate.nn._windowed import Size
from striate.ops._door import check_input

LocalBias: TypeAlias = Literal["unshared", "shared", False]


class LocalNd(LazyModuleMixin, nn.Module):
    """Weight, bias and settings; without an input size, both parameters wait for the first input or state dict."""

    _axes: ClassVar[int]
    input_size: tuple[int, ...] | None
    padding: PaddingWord | tuple[Padding, ...]
    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Padding | Sequence[Padding],
        dilation: Size,
        groups: int,
        bias: LocalBias,
        device: torch.types.Device,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            check_integer(name, value, 1)
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels)):
            if value % groups:
                raise ValueError(f"{name} must be a multiple of groups={groups}, got {value}")
        if bias is not False and bias not in ("unshared", "shared"):
            raise ValueError(f"bias must be 'unshared', 'shared' or False, got {bias!r}")
        along = geometry.windows(self._axes, kernel_size, stride, padding, dilation)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = tuple(window.kernel for window in along)
        self.stride = tuple(window.stride for window in along)
        self.padding = padding if isinstance(padding, str) else tuple(window.padding for window in along)
        self.dilation = tuple(window.dilation for window in along)
        self.bias_places = bias
        self.input_size = None
        waiting: Any = UninitializedParameter
        self.weight = waiting(device=device, dtype=dtype)
        self.register_parameter("bias", waiting(device=device, dtype=dtype) if bias else None)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows of the layer, one an axis."""
        return geometry.windows(self._axes, self.kernel_size, self.stride, self.padding, self.dilation)

    def _shapes(self, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shape of the weight for an input of these sizes, and the sizes of the output."""
        raise NotImplementedError

    def _begin(self, input_size: Size | None) -> None:
        """Make the parameters, if it is known for what size; else at the first call.

        Raises:
            ValueError: if the layer cannot have such an input.
        """
        if input_size is None:
            return
        sizes = tuple(input_size) if isinstance(input_size, Sequence) else (input_size,) * self._axes
        if len(sizes) != self._axes:
            raise ValueError(f"input_size must be one number or one an axis ({self._axes}), got {input_size!r}")
        for size in sizes:
            check_integer("input_size", size, 1)
        self._make(sizes)
        self._initialize_hook.remove()
        self._load_hook.remove()
        del self._initialize_hook, self._load_hook

    def _make(self, sizes: tuple[int, ...]) -> None:
        """Make the parameters that have not been loaded, for inputs of these sizes.

        Raises:
            ValueError: if what was loaded is for others.
        """
        weight, outputs = self._shapes(sizes)
        bias = (self.out_channels,) if self.bias_places == "shared" else (*outputs, self.out_channels)
        waiting: list[tuple[Any, tuple[int, ...]]] = []
        for name, shape in (("weight", weight), ("bias", bias)):
            parameter: Any = getattr(self, name)
            if is_lazy(parameter):
                waiting.append((parameter, shape))
            elif parameter is not None and parameter.shape != shape:
                raise ValueError(
                    f"{name} must be {shape} for an input of {sizes}, but {tuple(parameter.shape)} was loaded"
                )
        self.input_size = sizes
        for parameter, shape in waiting:
            parameter.materialize(shape)
            self._draw(parameter)

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Make the parameters for inputs of the size of this one; PyTorch calls it before the first forward.

        Args:
            input: `(N, in_channels, *sizes)` or `(in_channels, *sizes)`.
            args: not read.
            kwargs: not read.

        Raises:
            TypeError: if the input does not hold floating-point numbers.
            ValueError: if it has other channels, or the layer cannot have such an input.
        """
        name = type(self).__name__
        check_input(name, input, self._axes)
        if input.shape[-1 - self._axes] != self.in_channels:
            raise ValueError(f"{name}: input must have {self.in_channels} channels, got {tuple(input.shape)}")
        self._make(tuple(input.shape[-self._axes :]))

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniformly below `1 / sqrt(in_channels / groups * taps)`.

        This is PyTorch's rule for a convolution. Its own functions would take the places of these weights for channels.
        """
        for parameter in (self.weight, self.bias):
            if parameter is not None and not is_lazy(parameter):
                self._draw(parameter)

    def _draw(self, parameter: nn.Parameter) -> None:
        bound = 1 / math.sqrt(self.in_channels // self.groups * math.prod(self.kernel_size))
        nn.init.uniform_(parameter, -bound, bound)

    def _check_size(self, input: Tensor) -> None:
        """See that the weights are those of the places of an input.

        Raises:
            TypeError: if the input does not hold floating-point numbers.
            ValueError: if they are not.
        """
        name = type(self).__name__
        check_input(name, input, self._axes)
        sizes = tuple(input.shape[-self._axes :])
        if sizes != self.input_size:
            raise ValueError(f"{name}: the weights are made for an input of {self.input_size}, got {sizes}")

    def extra_repr(self) -> str:
        """The settings as PyTorch's layers show them: those that every layer has, and those that are unusual."""
        shown = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        shown.append(f"input_size={self.input_size}, stride={self.stride}")
        for name, value in {"padding": (0,), "dilation": (1,), "output_padding": (0,)}.items():
            if getattr(self, name, value) not in (value, value * self._axes):
                shown.append(f"{name}={getattr(self, name)}")
        if self.groups != 1:
            shown.append(f"groups={self.groups}")
        if self.bias_places != "unshared":
            shown.append(f"bias={self.bias_places}")
        if getattr(self, "padding_mode", "zeros") != "zeros":
            shown.append(f"padding_mode={self.padding_mode}")
        return ", ".join(shown)
