"""What the deformable layers of InternImage have in common."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate import geometry
from striate.geometry import Window
from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding, PaddingWord
from striate.nn._windowed import Size
from striate.ops._door import check_input, memory_format
from striate.ops.deform_aggregate.op import deform_aggregate2d
from striate.ops.deform_conv.checks import check_center, check_scale


class Aggregation2d(nn.Module):
    """Pictures added up at taps that are moved, with the names and the order of channels of the published layers."""

    # Where the published channels of the offsets and of the mask begin, and those of the next group; in taps.
    _layout: ClassVar[dict[str, tuple[int, int]]]
    padding: PaddingWord | tuple[Padding, ...]
    offset_order: Tensor
    mask_order: Tensor
    center_feature_scale_proj_weight: nn.Parameter | None
    center_feature_scale_proj_bias: nn.Parameter | None

    def __init__(
        self,
        channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Padding | Sequence[Padding],
        dilation: Size,
        groups: int,
        offset_scale: float,
        remove_center: bool,
        center_feature_scale: bool,
        device: torch.types.Device,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_integer("channels", channels, 1)
        check_integer("groups", groups, 1)
        if channels % groups:
            raise ValueError(f"channels must be a multiple of groups={groups}, got {channels}")
        check_bool("center_feature_scale", center_feature_scale)
        check_scale(name, offset_scale)
        along = geometry.windows(2, kernel_size, stride, padding, dilation)
        self.channels, self.groups = channels, groups
        self.kernel_size = tuple(window.kernel for window in along)
        self.stride = tuple(window.stride for window in along)
        self.padding = padding if isinstance(padding, str) else tuple(window.padding for window in along)
        self.dilation = tuple(window.dilation for window in along)
        self.offset_scale, self.center_feature_scale = float(offset_scale), center_feature_scale
        self.remove_center = check_center(name, self.kernel_size, remove_center)
        self.taps = math.prod(self.kernel_size) - self.remove_center
        for which, shape in (("weight", (groups, channels)), ("bias", (groups,))):
            values = nn.Parameter(torch.empty(shape, device=device, dtype=dtype)) if center_feature_scale else None
            self.register_parameter(f"center_feature_scale_proj_{which}", values)
        for which, each in (("offset", 2), ("mask", 1)):
            places = torch.empty(groups * self.taps * each, device=device, dtype=torch.int64)
            self.register_buffer(f"{which}_order", places, persistent=False)
        # A layer made without memory may be filled by a state dict alone, which does not hold the orders.
        self.register_load_state_dict_post_hook(_find_orders)  # type: ignore[no-untyped-call]

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows of the layer, one an axis."""
        return geometry.windows(2, self.kernel_size, self.stride, self.padding, self.dilation)

    def reset_parameters(self) -> None:
        """Draw all parameters anew; the shares of the input begin at a half."""
        for module in self.modules():
            reset = getattr(module, "reset_parameters", None)
            if module is not self and reset is not None:
                reset()
        for parameter in (self.center_feature_scale_proj_weight, self.center_feature_scale_proj_bias):
            if parameter is not None:
                nn.init.zeros_(parameter)
        _find_orders(self)

    def _batch(self, input: Tensor) -> Tensor:
        """The input as a batch.

        Raises:
            ValueError: if it has other channels than the layer.
        """
        name = type(self).__name__
        check_input(name, input, 2)
        if input.shape[-3] != self.channels:
            raise ValueError(
                f"{name}: input must be (N, {self.channels}, H, W) or ({self.channels}, H, W), got {tuple(input.shape)}"
            )
        return input if input.ndim == 4 else input.unsqueeze(0)

    def _at_centers(self, maps: Tensor) -> Tensor:
        """The places of `(N, H, W, ...)` in the middle of each window, or next to it where that lies outside."""
        for axis, window in enumerate(self.windows, 1):
            n = maps.shape[axis]
            low, high = window.pads(n)
            start = (window.extent - 1) // 2 - low
            if window.stride > 1 or start != 0 or low + high != window.extent - 1:
                places = torch.arange(window.output_size(n), device=maps.device) * window.stride + start
                maps = maps.index_select(axis, places.clamp(0, n - 1))
        return maps

    def _aggregate(self, value: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """Add up `(N, H, W, C)`; the last axis of offset and mask is in the published order."""
        offset = offset.movedim(-1, 1).index_select(1, self.offset_order)
        mask = mask.movedim(-1, 1).index_select(1, self.mask_order)
        result = deform_aggregate2d(
            value.movedim(-1, 1), offset, mask, self.kernel_size, self.stride, self.padding, self.dilation,
            groups=self.groups, offset_scale=self.offset_scale, remove_center=self.remove_center,
        )  # fmt: skip
        return result.movedim(1, -1)

    def _mix_centers(self, result: Tensor, query: Tensor, value: Tensor) -> Tensor:
        """Mix the picture itself into the sums, in shares that the query decides for each group."""
        if self.center_feature_scale_proj_weight is None:
            return result
        logits = functional.linear(query, self.center_feature_scale_proj_weight, self.center_feature_scale_proj_bias)
        share = logits.sigmoid().repeat_interleave(self.channels // self.groups, -1)
        return result * (1 - share) + self._at_centers(value) * share

    def _settings(self) -> dict[str, Any]:
        """The settings that are unusual, by their names."""
        usual = {"dilation": (1, 1), "offset_scale": 1.0, "remove_center": False, "center_feature_scale": False}
        return {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}

    def extra_repr(self) -> str:
        """The settings as arguments: those that every layer has, and those that are unusual."""
        names = ("kernel_size", "stride", "padding", "groups")
        shown = {name: getattr(self, name) for name in names} | self._settings()
        return ", ".join([str(self.channels), *(f"{name}={value!r}" for name, value in shown.items())])


def as_input(result: Tensor, input: Tensor) -> Tensor:
    """A batch `(N, H, W, C)` with the axes and the memory format of an input."""
    batch = result.movedim(-1, 1)
    if input.ndim == 3:
        return batch.squeeze(0).contiguous()
    return batch.contiguous(memory_format=memory_format(input))


def check_bool(name: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Raises:
        TypeError: if the value is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def check_kernel(name: str, kernel_size: Size) -> None:
    """Refuse what is no kernel size of pictures, under its own name.

    Raises:
        TypeError: if it is no integer.
        ValueError: if it is below 1, or there is not one an axis.
    """
    try:
        geometry.windows(2, kernel_size)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("kernel_size", name)) from error


def _find_orders(layer: Aggregation2d, incompatible_keys: object = None) -> None:
    """Find where the published layers have the channels of our offsets and masks.

    They go through the taps column by column, name x before y, and hold the groups one after the other.
    """
    height, width = layer.kernel_size
    ours = [(y, x) for y in range(height) for x in range(width)]
    theirs = [(y, x) for x in range(width) for y in range(height)]
    if layer.remove_center:
        del ours[len(ours) // 2], theirs[len(theirs) // 2]
    taps = [theirs.index(tap) for tap in ours]
    device = next(layer.parameters()).device
    for which, axes in (("offset", (1, 0)), ("mask", (0,))):
        first, step = layer._layout[which]
        order = [
            (group * step + first) * layer.taps + len(axes) * tap + axis
            for group in range(layer.groups)
            for tap in taps
            for axis in axes
        ]
        setattr(layer, f"{which}_order", torch.tensor(order, device=device))
