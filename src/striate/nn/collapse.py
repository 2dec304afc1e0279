"""Linear convolutions in a row as one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.geometry import Window, receptive_field
from striate.nn.conv import ConvNd, LayerPaddingMode, conv_from
from striate.nn.from_torch import as_conv

_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
_BATCH_NORMS: dict[type[nn.Module], int] = {nn.BatchNorm1d: 1, nn.BatchNorm2d: 2, nn.BatchNorm3d: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Linear:
    """A layer, or several in a row as one.

    Args:
        weight: `(out, in / groups, *kernel)`, in float64; of several layers with all taps one place apart.
        bias: `(out,)`, or None.
        windows: one an axis; of several layers with pairs as padding.
        groups: sets of channels that do not see one another.
        mode: what lies outside; None where nothing is padded yet.
        border: the values there, with "constant" and "learned".
    """

    weight: Tensor
    bias: Tensor | None
    windows: tuple[Window, ...]
    groups: int
    mode: LayerPaddingMode | None
    border: Tensor | None


def collapse(stack: Sequence[nn.Module] | nn.Sequential) -> ConvNd:
    """One convolution with exactly the outputs of linear layers in a row, up to rounding.

    Its window is the receptive field of the stack (`striate.geometry.receptive_field`) and its stride the jump: three
    3x3 convolutions are one 7x7 convolution, which is why layers need something non-linear between them.

    The padding of the first layer may be anything that does not depend on the input size. A later layer pads what the
    layers before it computed, and one convolution can do the same only

    - with zeros, along an axis where the layers before have one tap, and no bias: the zeros come from zeros;
    - with "reflect" or "replicate", along an axis where they have one tap, stride 1 and no padding;
    - with "circular", along an axis where they have stride 1 and keep the size by circular padding;
    - in the mode in which other axes have been padded before it.

    Everything else is refused: the outputs near the border would differ.

    Args:
        stack: the layers in order, the one nearest the input first: convolutions of `striate.nn` or `torch.nn` (not
            transposed) with any stride, dilation and groups, batch normalization in evaluation mode, `Identity`, and
            sequences of these, such as the separable convolutions of `striate.nn`. They are not changed.

    Returns:
        A `Conv1d`, `Conv2d` or `Conv3d` of `striate.nn` with parameters of its own, on the device and in the dtype of
        the first layer. Groups and dilation are the largest that all layers allow. Where it pads more circularly than
        any single layer does, it refuses inputs smaller than that.

    Raises:
        TypeError: if a layer is not linear, or of a kind that is not known.
        ValueError: if there are no layers, channels or axes do not fit, a batch normalization is in training mode, or
            a padding has no exact counterpart. The message names the layer.

    Source:
        Ding et al., "Diverse Branch Block", CVPR 2021, https://arxiv.org/abs/2103.13425, transforms I and III.

    Example:
        >>> stack = nn.Sequential(nn.Conv2d(3, 8, 3, padding=2), nn.Conv2d(8, 8, 3, stride=2), nn.Conv2d(8, 2, 3))
        >>> collapse(stack)
        Conv2d(3, 2, kernel_size=(9, 9), stride=(2, 2), padding=((2, 2), (2, 2)))
    """
    layers = list(_layers(stack))
    if not layers:
        raise ValueError("collapse: stack must hold at least one convolution or batch normalization, got none")
    (_, first, _), *_ = layers
    axes = len(first.windows)
    channels = first.weight.shape[1] * first.groups
    whole = _Linear(
        weight=torch.ones(channels, 1, *[1] * axes, dtype=torch.float64),
        bias=None,
        windows=(Window(1, padding=(0, 0)),) * axes,
        groups=channels,
        mode=None,
        border=None,
    )
    for position, (name, layer, _) in enumerate(layers):
        if len(layer.windows) != axes:
            raise ValueError(f"collapse: {name} has {len(layer.windows)} axes, the layers before it have {axes}")
        if layer.weight.shape[1] * layer.groups != whole.weight.shape[0]:
            raise ValueError(
                f"collapse: {name} takes {layer.weight.shape[1] * layer.groups} channels, the layers before it give "
                f"{whole.weight.shape[0]}"
            )
        layer = replace(layer, windows=tuple(_numbered(window, name) for window in layer.windows))
        if position > 0:
            _check_padding(whole, layer, name)
        whole = _joined(whole, layer)
    taps = (slice(None),) * 2 + tuple(slice(None, None, window.dilation) for window in whole.windows)
    return conv_from(
        whole.weight[taps],
        whole.bias,
        whole.windows,
        groups=whole.groups,
        padding_mode=whole.mode or "zeros",
        border=whole.border,
        like=layers[0][2],
    )


def _layers(stack: Sequence[nn.Module] | nn.Sequential, prefix: str = "") -> Iterator[tuple[str, _Linear, Tensor]]:
    """Each linear layer with its name and one of its own tensors.

    Raises:
        TypeError: if a layer is of a kind that is not known.
    """
    named = stack.named_children() if isinstance(stack, nn.Sequential) else enumerate(stack)
    for key, module in named:
        name = f"layer {prefix}{key} ({type(module).__qualname__})"
        conv = as_conv(module)
        if conv is not None:
            yield name, _of_conv(conv), conv.weight
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            yield name, *_of_batch_norm(module, name)
        elif isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            yield from _layers(module, f"{prefix}{key}.")
        elif type(module) is not nn.Identity:
            raise TypeError(
                f"collapse: {name} must be a convolution of striate.nn or torch.nn, a batch normalization, Identity or "
                "a sequence of these"
            )


def _exact(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float64)


def _of_conv(conv: ConvNd) -> _Linear:
    return _Linear(
        weight=_exact(conv.weight),
        bias=None if conv.bias is None else _exact(conv.bias),
        windows=conv.windows,
        groups=conv.groups,
        mode=conv.padding_mode,
        border=None if conv.border is None else _exact(conv.border),
    )


def _of_batch_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d, name: str) -> tuple[_Linear, Tensor]:
    """A depthwise convolution with one tap.

    Raises:
        ValueError: if the mean and variance are those of each batch.
    """
    mean, var = norm.running_mean, norm.running_var
    if norm.training or mean is None or var is None:
        raise ValueError(f"collapse: {name} must have running statistics and be in evaluation mode: call its eval()")
    axes = _BATCH_NORMS[type(norm)]
    scale = (_exact(var) + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * _exact(norm.weight)
    shift = -_exact(mean) * scale
    if norm.affine:
        shift = shift + _exact(norm.bias)
    linear = _Linear(
        weight=scale.view(-1, 1, *[1] * axes),
        bias=shift,
        windows=(Window(1),) * axes,
        groups=norm.num_features,
        mode="zeros",
        border=None,
    )
    return linear, mean


def _numbered(window: Window, name: str) -> Window:
    """The window with numbers for padding.

    Raises:
        ValueError: if they depend on the size of the input.
    """
    try:
        return replace(window, padding=window.pads())
    except ValueError as error:
        raise ValueError(
            f"collapse: {name} has padding {window.padding!r} with stride {window.stride}, which depends on the input "
            "size: only numbers can be collapsed"
        ) from error


def _check_padding(inner: _Linear, outer: _Linear, name: str) -> None:
    """See that what the outer layer pads has a counterpart before the inner ones.

    Raises:
        ValueError: if it has none.
    """
    for axis, window in enumerate(outer.windows):
        if any(window.pads()) and (reason := _obstacle(inner, outer, axis)):
            raise ValueError(
                f"collapse: {name} pads axis {axis} by {window.pads()} in mode {outer.mode!r}, which one convolution "
                f"cannot do in place of the layers before it: {reason}"
            )


def _obstacle(inner: _Linear, outer: _Linear, axis: int) -> str | None:
    """Why the padding of the outer layer along an axis has no counterpart before the inner one, if it has none."""
    window = inner.windows[axis]
    if inner.mode is not None and inner.mode != outer.mode:
        return f"they pad in mode {inner.mode!r}"
    low, high = window.pads()
    match outer.mode:
        case "zeros":
            if window.extent > 1:
                return f"they see {window.extent} places at once, so that outside the picture their outputs are not 0"
            if inner.bias is not None and inner.bias.any():
                return "they have a bias, so that outside the picture their outputs are not 0"
        case "circular":
            if window.stride > 1 or low + high != window.extent - 1:
                return "they do not keep the size with circular padding and stride 1"
        case "reflect" | "replicate":
            if window.extent > 1 or window.stride > 1 or low or high:
                return "they have more than one tap, a stride or padding of their own"
        case _:
            return "the values outside stand for their outputs, not for their inputs"
    return None


def _joined(inner: _Linear, outer: _Linear) -> _Linear:
    """Two layers as one."""
    groups = gcd(inner.groups, outer.groups)
    filters = _regrouped(outer, groups).chunk(groups)
    basis = _regrouped(inner, groups).chunk(groups)
    pairs = list(zip(inner.windows, outer.windows, strict=True))
    # Each tap of the outer kernel places a copy of the inner one, as a transposed convolution does.
    place = partial(_TRANSPOSED[len(pairs) - 1], stride=[after.dilation * before.stride for before, after in pairs])
    bias = outer.bias
    if inner.bias is not None:
        mixed = outer.weight.flatten(2).sum(2).view(outer.groups, -1, outer.weight.shape[1])
        bias = (mixed @ inner.bias.view(outer.groups, -1, 1)).flatten() + (0 if bias is None else bias)
    padding = outer if any(any(after.pads()) for _, after in pairs) else inner
    return _Linear(
        weight=torch.cat([place(*both) for both in zip(filters, basis, strict=True)]),
        bias=bias,
        windows=tuple(_joined_window(*pair) for pair in pairs),
        groups=groups,
        mode=padding.mode,
        border=padding.border,
    )


def _joined_window(inner: Window, outer: Window) -> Window:
    """The window of two layers, padded as far from the input's ends as the outer one sees beyond them."""
    field = receptive_field([inner, outer])
    (first_low, first_high), (low, high) = inner.pads(), outer.pads()
    distances = [inner.dilation * (inner.kernel > 1), outer.dilation * inner.stride * (outer.kernel > 1)]
    dilation = gcd(*distances) or 1
    return Window(
        (field.size - 1) // dilation + 1,
        int(field.jump),
        (first_low + low * inner.stride, first_high + high * inner.stride),
        dilation,
    )


def _regrouped(layer: _Linear, groups: int) -> Tensor:
    """The weight with fewer groups, a divisor of its own, and zeros between channels that do not see one another."""
    own = layer.groups // groups
    blocks = torch.unflatten(layer.weight, 0, (groups, own, -1))
    spread = torch.einsum("grop...,rs->grosp...", blocks, torch.eye(own, dtype=blocks.dtype))
    return spread.flatten(3, 4).flatten(0, 2)
