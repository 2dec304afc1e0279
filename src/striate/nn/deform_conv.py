"""Deformable convolution as layers, with offsets given or predicted."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from striate.geometry.checks import check_integer
from striate.geometry.padding import Padding
from striate.nn._aggregation import check_bool
from striate.nn._precision import outside_autocast
from striate.nn._windowed import Size, WindowedNd
from striate.nn.conv import CONVOLUTIONS, ConvNd
from striate.ops._docs import documented_like
from striate.ops._door import check_input
from striate.ops.deform_conv.op import deform_conv1d, deform_conv2d, deform_conv3d

_FUNCTIONS = (deform_conv1d, deform_conv2d, deform_conv3d)


class DeformConvNd(WindowedNd):
    """Deformable convolution along any number of axes."""

    conv_offset: ConvNd | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding | Sequence[Padding] = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        predict: bool = False,
        offset_groups: int = 1,
        mask: bool = True,
        mask_init: float = 0.5,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        for name, value in (("bias", bias), ("predict", predict), ("mask", mask)):
            check_bool(name, value)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype,
            transposed=False,
        )  # fmt: skip
        if not predict and (offset_groups, mask, mask_init) != (1, True, 0.5):
            raise ValueError(
                "offset_groups, mask and mask_init go with predict=True, got predict=False with "
                f"offset_groups={offset_groups}, mask={mask}, mask_init={mask_init}"
            )
        _check_prediction(in_channels, offset_groups, mask, mask_init)
        self.predict, self.offset_groups, self.mask, self.mask_init = predict, offset_groups, mask, mask_init
        self.conv_offset = None
        if predict:
            each = offset_groups * math.prod(self.kernel_size)
            # On no device first: what it begins with is zero, and drawing it would move the seeds of later layers.
            predictor = CONVOLUTIONS[self._axes - 1](
                in_channels, each * (self._axes + mask), kernel_size, stride, padding, dilation, device="meta",
                dtype=dtype,
            )  # fmt: skip
            self.conv_offset = predictor.to_empty(device=self.weight.device)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, as PyTorch's layer would with the same seed; the predictor begins at zero."""
        super().reset_parameters()
        if self.conv_offset is not None:
            for parameter in self.conv_offset.parameters():
                nn.init.zeros_(parameter)

    def offsets(self, input: Tensor) -> tuple[Tensor, Tensor | None]:
        """Predict the offsets and masks with which `forward` convolves, in float32 under autocast too.

        Args:
            input: `(N, in_channels, *sizes)` or `(in_channels, *sizes)`.

        Returns:
            The offsets `(N, offset_groups * taps * axes, *output sizes)` in places and the masks
            `(N, offset_groups * taps, *output sizes)` from 0 to `2 * mask_init`, or None if the layer has none; without
            N if the input has none. Their channels are those of `striate.deform_conv2d`.

        Raises:
            TypeError: if the input is no floating-point tensor.
            ValueError: if the layer does not predict, or the input has another number of axes.
        """
        if self.conv_offset is None:
            raise ValueError("this layer predicts no offsets: build it with predict=True")
        check_input(type(self).__name__, input, self._axes)
        predicted = outside_autocast(self.conv_offset, input)
        if not self.mask:
            return predicted, None
        each = self.offset_groups * math.prod(self.kernel_size)
        offset, logits = torch.tensor_split(predicted, (each * self._axes,), dim=-1 - self._axes)
        return offset, 2 * self.mask_init * logits.sigmoid()

    def forward(self, input: Tensor, offset: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Convolve with moved taps.

        Args:
            input: `(N, in_channels, *sizes)` or `(in_channels, *sizes)`.
            offset: `(N, offset groups * taps * axes, *output sizes)`, the channels as `striate.deform_conv2d` has them;
                none with `predict=True`.
            mask: `(N, offset groups * taps, *output sizes)` or None; none with `predict=True`.

        Returns:
            `(N, out_channels, *output sizes)` or `(out_channels, *output sizes)`.

        Raises:
            TypeError: if there is no offset, and the layer does not predict it.
            ValueError: if there are offsets or masks, and the layer predicts them.
        """
        if self.predict:
            if offset is not None or mask is not None:
                raise ValueError(
                    "a layer with predict=True predicts offset and mask itself, and none must be given, got "
                    f"{'offset' if mask is None else 'mask' if offset is None else 'offset and mask'}"
                )
            offset, mask = self.offsets(input)
        elif offset is None:
            raise TypeError(
                "offset must be a tensor, got None: give offsets, zeros for an ordinary convolution, or build the "
                "layer with predict=True"
            )
        return _FUNCTIONS[self._axes - 1](
            input, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask
        )

    def extra_repr(self) -> str:
        """The settings as PyTorch's layers show them, and those of the prediction where there is one."""
        shown = [super().extra_repr()]
        if self.predict:
            shown.append("predict=True")
            for name, usual in (("offset_groups", 1), ("mask", True), ("mask_init", 0.5)):
                if getattr(self, name) != usual:
                    shown.append(f"{name}={getattr(self, name)}")
        return ", ".join(shown)


def _check_prediction(in_channels: int, offset_groups: int, mask: bool, mask_init: float) -> None:
    """See that the settings of the predictor are in their ranges.

    Raises:
        TypeError: if `mask_init` is no number.
        ValueError: if a setting is out of its range.
    """
    check_integer("offset_groups", offset_groups, 1)
    if in_channels % offset_groups:
        raise ValueError(f"in_channels must be a multiple of offset_groups={offset_groups}, got {in_channels}")
    if isinstance(mask_init, bool) or not isinstance(mask_init, int | float):
        raise TypeError(f"mask_init must be a number above 0, got {mask_init!r}")
    if not 0 < mask_init < math.inf:
        raise ValueError(f"mask_init must be a number above 0, got {mask_init}")
    if not mask and mask_init != 0.5:
        raise ValueError(f"mask_init goes with mask=True, got mask=False with mask_init={mask_init}")


class DeformConv2d(DeformConvNd):
    """A bank of filters over pictures whose taps are moved at every output: `striate.deform_conv2d` with parameters.

    As it stands it is torchvision's `DeformConv2d` in arguments, names, initialisation and state dict, and takes the
    offsets with the input: `layer(input, offset, mask)`.

    With `predict=True` it is a layer like any other, `layer(input)`: a convolution `conv_offset` with the kernel,
    stride, padding and dilation of the layer predicts `offset_groups * taps * 2` offsets and then, with `mask`,
    `offset_groups * taps` numbers z, of which the masks are `2 * mask_init * sigmoid(z)`. It begins with zeros, so that
    the offsets begin at 0 and the masks at `mask_init`: the layer begins as an ordinary convolution, with
    `mask_init=1.0` at full strength, with 0.5 at half, as published. `Conv2d`'s state dict loads with `strict=False`.
    Under autocast the predictor runs in the precision of its parameters: offsets in bfloat16 are 1/8 place apart from
    16 places on. A layer that is itself in bfloat16 predicts in bfloat16.

    With `predict=True` and `mask_init=0.5` the state dict is that of mmcv's `ModulatedDeformConv2dPack`; with
    `mask=False` and `bias=False` too, that of its `DeformConv2dPack`. Old checkpoints, in which the predictor of
    `conv2` is called `conv2_offset`, load by way of `from_mmcv`.

    Args:
        in_channels: channels of the input.
        out_channels: filters, and so channels of the output.
        kernel_size: taps; one number or one an axis.
        stride: places from one window to the next, at least 1.
        padding: as in `Conv2d`.
        dilation: places from one tap to the next, at least 1.
        groups: sets of channels that do not see one another.
        bias: whether each filter adds a learned number.
        predict: whether the layer predicts offsets and masks itself; what follows needs it.
        offset_groups: sets of input channels that move apart from one another.
        mask: whether there is a factor for each sample.
        mask_init: what the masks begin with, above 0; they stay between 0 and twice that.
        device: where the parameters are.
        dtype: their type.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, channels are no multiple of the groups, or a setting of the
            prediction comes without `predict`.

    Source:
        Dai et al., "Deformable convolutional networks", 2017, https://arxiv.org/abs/1703.06211; with a mask: Zhu et
        al., "Deformable ConvNets v2", 2019, https://arxiv.org/abs/1811.11168. The state dicts are those of
        torchvision/ops/deform_conv.py, and of mmcv/ops/deform_conv.py and modulated_deform_conv.py.

    Example:
        >>> layer = DeformConv2d(3, 8, 3, padding=1, predict=True, mask_init=1.0)
        >>> picture = torch.randn(1, 3, 7, 7)
        >>> plain = nn.functional.conv2d(picture, layer.weight, layer.bias, padding=1)
        >>> torch.allclose(layer(picture), plain, atol=1e-6)
        True
        >>> sorted(layer.state_dict())
        ['bias', 'conv_offset.bias', 'conv_offset.weight', 'weight']
        >>> DeformConv2d(3, 8, 3)(picture, offset=torch.zeros(1, 2 * 9, 5, 5)).shape
        torch.Size([1, 8, 5, 5])
    """

    _axes = 2


@documented_like(DeformConv2d)
class DeformConv1d(DeformConvNd):
    """A bank of filters over series whose taps are moved: `striate.deform_conv1d` with parameters.

    It is `DeformConv2d` along one axis, and predicts `offset_groups * taps` offsets.

    Example:
        >>> DeformConv1d(2, 4, 3, padding="causal", predict=True)(torch.zeros(1, 2, 10)).shape
        torch.Size([1, 4, 10])
    """

    _axes = 1


@documented_like(DeformConv2d)
class DeformConv3d(DeformConvNd):
    """A bank of filters over volumes or clips whose taps are moved: `striate.deform_conv3d` with parameters.

    It is `DeformConv2d` along three axes, and predicts `offset_groups * taps * 3` offsets.

    Example:
        >>> DeformConv3d(1, 4, 3, padding=1, predict=True)(torch.zeros(1, 1, 4, 8, 8)).shape
        torch.Size([1, 4, 4, 8, 8])
    """

    _axes = 3
