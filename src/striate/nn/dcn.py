"""The deformable layers of InternImage and FlashInternImage."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from striate.geometry.padding import Padding
from striate.nn._aggregation import Aggregation2d, as_input, check_bool, check_kernel
from striate.nn._precision import outside_autocast
from striate.nn._windowed import Size
from striate.nn.conv import DepthwiseConv2d

Activation: TypeAlias = Literal["gelu", "relu", "silu"]
Norm: TypeAlias = Literal["layer", "batch"]

_ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU}


class DCNv3(Aggregation2d):
    """InternImage's layer: every group of channels is averaged at taps that move, with learned shares for the taps.

    `output = output_proj(deform_aggregate2d(input_proj(input), offset, mask))`, where `dw_conv`, a depthwise
    convolution with a norm and an activation, looks at the input, and two linear maps of its features, `offset` and
    `mask`, give the offsets and, after a softmax over the taps of each group, the mask. `offset` and `mask` begin at
    zero, and so each window as a plain mean. With `center_feature_scale`, a learned share of the projected input, one a
    group, stands instead of as much of the sum.

    The layer takes and gives `(N, C, H, W)`, where the published one has `(N, H, W, C)`. It holds the published layer's
    parameters under the published names, so that state dicts go both ways unchanged; the published order of channels, x
    before y and taps column by column, is changed into that of `striate.deform_aggregate2d` as the layer is called. The
    published layer works with a stride of 1 and as much padding as keeps the size; here the offsets of a window are
    those found at its middle, or at the place next to that if it lies outside the input.

    Under autocast offsets and masks are computed in the precision of the parameters.

    Args:
        channels: channels of input and output.
        kernel_size: taps of the window; one number or one an axis.
        stride: places from one window to the next, at least 1.
        padding: as in `Conv2d`.
        dilation: places from one tap to the next, at least 1.
        groups: sets of channels that share offsets and masks.
        offset_scale: the factor by which windows and offsets grow, finite.
        remove_center: leave out the tap in the middle; for odd kernel sizes.
        center_feature_scale: whether a learned share of the projected input is mixed in.
        dw_kernel_size: taps of `dw_conv`; None for `kernel_size`.
        activation: after `dw_conv`: "gelu", "relu" or "silu".
        norm: in `dw_conv`: "layer" over the channels of each place, or "batch".
        device: where the parameters are.
        dtype: their type.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, or channels are no multiple of the groups.

    Source:
        Wang et al., "InternImage: exploring large-scale vision foundation models with deformable convolutions", 2023,
        https://arxiv.org/abs/2211.05778; names and order: ops_dcnv3/modules/dcnv3.py and functions/dcnv3_func.py in
        https://github.com/OpenGVLab/InternImage.

    Example:
        >>> layer = DCNv3(16, groups=4)
        >>> layer(torch.zeros(1, 16, 7, 7)).shape
        torch.Size([1, 16, 7, 7])
        >>> [name for name, _ in layer.named_children()]
        ['dw_conv', 'offset', 'mask', 'input_proj', 'output_proj']
    """

    _layout = {"offset": (0, 2), "mask": (0, 1)}

    def __init__(
        self,
        channels: int,
        kernel_size: Size = 3,
        stride: Size = 1,
        padding: Padding | Sequence[Padding] = 1,
        dilation: Size = 1,
        groups: int = 4,
        *,
        offset_scale: float = 1.0,
        remove_center: bool = False,
        center_feature_scale: bool = False,
        dw_kernel_size: Size | None = None,
        activation: Activation = "gelu",
        norm: Norm = "layer",
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            channels, kernel_size, stride, padding, dilation, groups, offset_scale, remove_center,
            center_feature_scale, device, dtype,
        )  # fmt: skip
        if dw_kernel_size is not None:
            check_kernel("dw_kernel_size", dw_kernel_size)
        if not isinstance(activation, str) or activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(_ACTIVATIONS)}, got {activation!r}")
        if norm not in ("layer", "batch"):
            raise ValueError(f"norm must be 'layer' or 'batch', got {norm!r}")
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        conv = DepthwiseConv2d(
            channels, kernel_size if dw_kernel_size is None else dw_kernel_size, padding="same", **place
        )
        # As published, so that the names fit: the norm comes with a change of the order of axes.
        turned = nn.Sequential(_ChannelsLast(), nn.LayerNorm(channels, eps=1e-6, **place))
        if norm == "batch":
            turned = nn.Sequential(nn.BatchNorm2d(channels, **place), _ChannelsLast())
        self.dw_kernel_size, self.activation, self.norm = conv.kernel_size, activation, norm
        self.dw_conv = nn.Sequential(conv, turned, _ACTIVATIONS[activation]())
        self.offset = nn.Linear(channels, groups * self.taps * 2, **place)
        self.mask = nn.Linear(channels, groups * self.taps, **place)
        self.input_proj = nn.Linear(channels, channels, **place)
        self.output_proj = nn.Linear(channels, channels, **place)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as the published layer draws them; offsets and masks begin at zero."""
        super().reset_parameters()
        _start_at_zero(self.offset, self.mask)
        _draw(self.input_proj, self.output_proj)

    def forward(self, input: Tensor) -> Tensor:
        """Average at moved taps.

        Args:
            input: `(N, channels, H, W)` or `(channels, H, W)`.

        Returns:
            `(N, channels, *output sizes)` or `(channels, *output sizes)`, in the input's memory format.
        """
        batch = self._batch(input)
        value = self.input_proj(batch.movedim(1, -1))
        features = self._at_centers(self.dw_conv(batch))
        offset = outside_autocast(self.offset, features)
        mask = outside_autocast(self.mask, features)
        mask = mask.view(*mask.shape[:-1], self.groups, self.taps).softmax(-1).flatten(-2)
        result = self._aggregate(value, offset, mask)
        return as_input(self.output_proj(self._mix_centers(result, features, value)), input)

    def _settings(self) -> dict[str, Any]:
        usual = {"dw_kernel_size": self.kernel_size, "activation": "gelu", "norm": "layer"}
        own = {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}
        return super()._settings() | own


class DCNv4(Aggregation2d):
    """FlashInternImage's layer: every group of channels is summed at taps that move, with learned factors for the taps.

    `output = output_proj(deform_aggregate2d(value_proj(input), offset, mask))`. One linear map of the input,
    `offset_mask`, gives offsets and mask, which is taken as it comes, without DCNv3's softmax. With `dw_kernel_size` a
    depthwise convolution `offset_mask_dw` looks around before it. `offset_mask` begins at zero, and with it, as
    published, the sum, so that a residual block begins as the identity. With `center_feature_scale`, a learned share of
    the projected input, one a group, stands instead of as much of the sum.

    The layer takes and gives `(N, C, H, W)`, where the published one has `(N, H * W, C)` and the sizes. It holds the
    published layer's parameters under the published names, so that state dicts go both ways unchanged. `offset_mask` is
    as wide as published, the next multiple of 8: group by group the offsets of all taps, then their factors, and unused
    numbers at the end. The published order of channels, x before y and taps column by column, is changed into that of
    `striate.deform_aggregate2d` as the layer is called. The published layer works with a stride of 1 and as much
    padding as keeps the size; here the offsets of a window are those found at its middle, or at the place next to that
    if it lies outside the input.

    Under autocast offsets and masks are computed in the precision of the parameters.

    Args:
        channels: channels of input and output.
        kernel_size: taps of the window; one number or one an axis. The published kernels have 3x3.
        stride: places from one window to the next, at least 1.
        padding: as in `Conv2d`.
        dilation: places from one tap to the next, at least 1.
        groups: sets of channels that share offsets and masks.
        offset_scale: the factor by which windows and offsets grow, finite.
        remove_center: leave out the tap in the middle; for odd kernel sizes.
        center_feature_scale: whether a learned share of the projected input is mixed in.
        dw_kernel_size: taps of `offset_mask_dw`; None for a layer without it.
        output_bias: whether `output_proj` has a bias.
        without_pointwise: leave out `value_proj` and `output_proj`.
        device: where the parameters are.
        dtype: their type.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, or channels are no multiple of the groups.

    Source:
        Xiong et al., "Efficient deformable ConvNets: rethinking dynamic and sparse operator for vision applications",
        2024, https://arxiv.org/abs/2401.06197; names and order: DCNv4_op/DCNv4/modules/dcnv4.py and
        src/cuda/dcnv4_im2col_cuda.cuh in https://github.com/OpenGVLab/DCNv4.

    Example:
        >>> layer = DCNv4(16, groups=4)
        >>> layer(torch.ones(1, 16, 7, 7)).abs().max()
        tensor(0., grad_fn=<MaxBackward1>)
        >>> layer.offset_mask.out_features, 4 * 9 * 3
        (112, 108)
    """

    _layout = {"offset": (0, 3), "mask": (2, 3)}

    def __init__(
        self,
        channels: int,
        kernel_size: Size = 3,
        stride: Size = 1,
        padding: Padding | Sequence[Padding] = 1,
        dilation: Size = 1,
        groups: int = 4,
        *,
        offset_scale: float = 1.0,
        remove_center: bool = False,
        center_feature_scale: bool = False,
        dw_kernel_size: Size | None = None,
        output_bias: bool = True,
        without_pointwise: bool = False,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            channels, kernel_size, stride, padding, dilation, groups, offset_scale, remove_center,
            center_feature_scale, device, dtype,
        )  # fmt: skip
        check_bool("output_bias", output_bias)
        check_bool("without_pointwise", without_pointwise)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.output_bias, self.without_pointwise = output_bias, without_pointwise
        self.offset_mask_dw = self.value_proj = self.output_proj = None
        if dw_kernel_size is not None:
            check_kernel("dw_kernel_size", dw_kernel_size)
            self.offset_mask_dw = DepthwiseConv2d(channels, dw_kernel_size, padding="same", **place)
        self.dw_kernel_size = None if self.offset_mask_dw is None else self.offset_mask_dw.kernel_size
        self.offset_mask = nn.Linear(channels, -(-groups * self.taps * 3 // 8) * 8, **place)
        if not without_pointwise:
            self.value_proj = nn.Linear(channels, channels, **place)
            self.output_proj = nn.Linear(channels, channels, bias=output_bias, **place)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as the published layer draws them; offsets and masks begin at zero."""
        super().reset_parameters()
        _start_at_zero(self.offset_mask)
        if self.value_proj is not None and self.output_proj is not None:
            _draw(self.value_proj, self.output_proj)

    def forward(self, input: Tensor) -> Tensor:
        """Sum at moved taps.

        Args:
            input: `(N, channels, H, W)` or `(channels, H, W)`.

        Returns:
            `(N, channels, *output sizes)` or `(channels, *output sizes)`, in the input's memory format.
        """
        batch = self._batch(input)
        places = batch.movedim(1, -1)
        value = places if self.value_proj is None else self.value_proj(places)
        features = places if self.offset_mask_dw is None else self.offset_mask_dw(batch).movedim(1, -1)
        predicted = outside_autocast(self.offset_mask, self._at_centers(features))
        result = self._aggregate(value, predicted, predicted)
        result = self._mix_centers(result, result, value)
        return as_input(result if self.output_proj is None else self.output_proj(result), input)

    def _settings(self) -> dict[str, Any]:
        usual = {"dw_kernel_size": None, "output_bias": True, "without_pointwise": False}
        own = {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}
        return super()._settings() | own


class _ChannelsLast(nn.Module):
    """From `(N, C, H, W)` to `(N, H, W, C)`."""

    def forward(self, input: Tensor) -> Tensor:
        return input.movedim(1, -1)


def _start_at_zero(*layers: nn.Linear) -> None:
    """Layers that give zeros."""
    for layer in layers:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


def _draw(*layers: nn.Linear) -> None:
    """Weights as Glorot and Bengio draw them, and no bias."""
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
