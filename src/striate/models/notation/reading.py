"""From modules to the notation: the layers of PyTorch and of Striate that have a word."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from striate import nn as layers
from striate import tables
from striate.models.notation.branches import Concat, Residual, Sum
from striate.models.notation.parsing import parse
from striate.models.notation.syntax import NotationError, text_of

_AXES = (1, 2, 3)
_BARE: dict[type, str] = {
    nn.ReLU: "relu", nn.ReLU6: "relu6", nn.SELU: "selu", nn.SiLU: "silu", nn.Mish: "mish", nn.Sigmoid: "sigmoid",
    nn.Hardsigmoid: "hardsigmoid", nn.Hardswish: "hardswish", nn.Tanh: "tanh", nn.Identity: "identity",
    layers.AbsRectify: "abs", nn.Softplus: "softplus",
}  # fmt: skip


def read(module: nn.Module) -> str:
    """The text of a layer, or of a stack of layers.

    Raises:
        TypeError: if there is no word for a layer, or none for one of its settings.
    """
    if isinstance(module, Residual | Concat | Sum):
        return f"{type(module).__name__.lower()}({' | '.join(map(_stack, module))})"
    if type(module) in _BARE:
        return _BARE[type(module)]
    if type(module) in _READERS:
        return _READERS[type(module)](module)
    if type(module) is nn.Sequential:
        parts = list(module)
        if len(parts) == 2 and isinstance(parts[1], nn.Flatten) and _is_global(parts[0]):
            return "globalavg" if "Avg" in type(parts[0]).__name__ else "globalmax"
        return f"({_stack(module)})"
    raise TypeError(f"the notation has no word for {type(module).__name__}")


def read_stack(module: nn.Sequential) -> str:
    """The canonical text of a stack of layers.

    Raises:
        TypeError: if there is no word for a layer, or none for one of its settings, or no layer.
    """
    try:
        return text_of(parse(_stack(module)))
    except NotationError as error:
        raise TypeError(f"the notation has no words for this: {error.fault}") from error


def _stack(module: nn.Module) -> str:
    """Layers one after another, with the names that are not numbers."""
    if not isinstance(module, nn.Sequential) or type(module) in _READERS or isinstance(module, Residual | Concat | Sum):
        return read(module)
    if not len(module):
        return "identity"
    return ", ".join(
        read(child) if name.isdecimal() else f"{name}: {read(child)}" for name, child in module.named_children()
    )


def _is_global(module: nn.Module) -> bool:
    return type(module).__name__.startswith("Adaptive") and getattr(module, "output_size", None) in (1, (1, 1), (1,))


def _size(value: Any) -> str:
    """One number, or one an axis."""
    if isinstance(value, int):
        return str(value)
    return str(value[0]) if len(set(value)) == 1 else "x".join(map(str, value))


def _padding(padding: Any) -> str:
    """As the notation has it; empty for none.

    Raises:
        TypeError: if it has no words for it.
    """
    if isinstance(padding, str):
        return f" {padding}"
    each = (padding,) if isinstance(padding, int) else tuple(padding)
    if all(side == 0 for side in each):
        return ""
    if all(isinstance(side, str) for side in each):
        return "".join(f" {side}" for side in (each[:1] if len(set(each)) == 1 else each))
    if any(isinstance(side, str) for side in each):
        raise TypeError(f"the notation has no words for padding {padding!r}")
    if any(isinstance(side, tuple) for side in each):
        pairs = [side if isinstance(side, tuple) else (side, side) for side in each]
        return " pad " + "x".join(f"{low}:{high}" for low, high in pairs)
    return f" pad {_size(each)}"


def _refuse(module: Any, **usual: Any) -> None:
    """See that settings without a word are as they usually are.

    Raises:
        TypeError: if one is not.
    """
    for name, value in usual.items():
        if getattr(module, name, value) != value:
            shown = f"{name}={getattr(module, name)!r}"
            raise TypeError(f"the notation has no words for {type(module).__name__} with {shown}")


def _window(module: Any, stride: Any = 1) -> str:
    """Stride, padding and dilation, where they are not the usual ones."""
    text = "" if _size(module.stride) == _size(stride) else f" /{_size(module.stride)}"
    text += _padding(getattr(module, "padding", 0))
    return text if _size(getattr(module, "dilation", 1)) == "1" else f"{text} dilation {_size(module.dilation)}"


def _surroundings(module: Any) -> str:
    mode = getattr(module, "padding_mode", "zeros")
    if mode == "constant":
        _refuse(module, padding_mode="zeros")
    return "" if mode == "zeros" else f" {mode}"


def _conv(word: str) -> Callable[[Any], str]:
    def text(module: Any) -> str:
        if word == "transposed":
            _refuse(module, padding_mode="zeros") if module.padding_mode != "circular" else None
        groups = f" groups {module.groups}" if module.groups != 1 else ""
        bias = " nobias" if module.bias is None else ""
        extra = ""
        if word == "transposed" and any(module.output_padding):
            extra = f" outpad {_size(module.output_padding)}"
        if word == "local" and module.bias_places == "shared":
            bias = " sharedbias"
        if word == "deform":
            _refuse(module, predict=True, mask_init=0.5)
            extra = f" offsetgroups {module.offset_groups}" if module.offset_groups != 1 else ""
            extra += "" if module.mask else " nomask"
        bank = f"{word} {module.out_channels} {_size(module.kernel_size)}"
        return f"{bank}{_window(module)}{groups}{extra}{bias}{_surroundings(module)}"

    return text


def _depthwise(module: Any) -> str:
    multiplier = module.out_channels // module.in_channels
    more = f" multiplier {multiplier}" if multiplier != 1 else ""
    bias = " nobias" if module.bias is None else ""
    return f"depthwise {_size(module.kernel_size)}{_window(module)}{more}{bias}{_surroundings(module)}"


def _separable(module: Any) -> str:
    first, second = module.depthwise, module.pointwise
    multiplier = first.out_channels // first.in_channels
    more = f" multiplier {multiplier}" if multiplier != 1 else ""
    bias = " nobias" if second.bias is None else ""
    text = f"separable {second.out_channels} {_size(first.kernel_size)}{_window(first)}"
    return f"{text}{more}{bias}{_surroundings(first)}"


def _table(module: Any) -> str:
    below, above, table = module.in_channels, module.out_channels, module.table.cpu()
    bias = " nobias" if module.bias is None else ""
    known = {"all": tables.full(below, above), "lenet5_c3": tables.lenet5_c3()}
    if below == above:
        known["one_to_one"] = tables.one_to_one(below)
    links = len(table) // above
    if 0 < links <= below:
        drawn = tables.random(below, above, links, generator=torch.Generator("cpu").manual_seed(0))
        known[f"random links {links}"] = drawn
    for name, other in known.items():
        if torch.equal(table, other):
            return f"table {above} {_size(module.kernel_size)}{_window(module)} {name}{bias}"
    raise TypeError("the notation has no words for this connection table")


def _pool(word: str) -> Callable[[Any], str]:
    def text(module: Any) -> str:
        _refuse(module, return_indices=False, divisor_override=None)
        norm = f"{module.norm_type} " if word == "lppool" else ""
        kernel, stride = module.kernel_size, module.stride
        flags = " ceil" if getattr(module, "ceil_mode", False) else ""
        flags += " nocount" if not getattr(module, "count_include_pad", True) else ""
        step = "" if stride is None or _size(stride) == _size(kernel) else f" /{_size(stride)}"
        dilation = getattr(module, "dilation", 1)
        dilated = "" if _size(dilation) == "1" else f" dilation {_size(dilation)}"
        return f"{word} {norm}{_size(kernel)}{step}{_padding(getattr(module, 'padding', 0))}{dilated}{flags}"

    return text


def _gaussian(module: Any) -> str:
    usual = tuple(window.kernel / 4 for window in module.windows)
    if module.log_sigma is not None or (module.sigma != usual and len(set(module.sigma)) > 1):
        raise TypeError("the notation has no words for a GaussianPool with a learned sigma, or one an axis")
    return _pool("gaussianpool")(module) + ("" if module.sigma == usual else f" sigma {module.sigma[0]!r}")


def _blur(module: Any) -> str:
    _refuse(module, padding_mode="reflect")
    step = "" if _size(module.stride) == "2" else f" /{_size(module.stride)}"
    # Its own default, same, is no padding word of the text.
    same = "" if module.padding == "same" else _padding(module.padding) or " valid"
    return f"blurpool {_size(module.kernel_size)}{step}{same}"


def _contrast(word: str) -> Callable[[Any], str]:
    def text(module: Any) -> str:
        settings = "".join(
            f" {name} {getattr(module, name)!r}"
            for name in ("sigma", "floor")
            if getattr(module, name, None) is not None
        )
        mode = " torch7" if getattr(module, "mode", "jarrett2009") == "torch7" else ""
        border = " zeros" if module.border == "zeros" else ""
        return f"{word} {_size(module.kernel_size)}{settings}{mode}{border}"

    return text


def _spatial(module: Any) -> str:
    """Its two passes as one window."""
    column, row = module.column, module.row
    first, second = column.windows[0], row.windows[1]
    size = f"{first.kernel}x{second.kernel}" if first.kernel != second.kernel else f"{first.kernel}"
    text = f"spatial {row.out_channels} {size}"
    steps = (first.stride, second.stride)
    text += f" /{_size(steps)}" if steps != (1, 1) else ""
    text += _padding((first.padding, second.padding))
    dilations = (first.dilation, second.dilation)
    text += f" dilation {_size(dilations)}" if dilations != (1, 1) else ""
    text += f" groups {column.groups}" if column.groups != 1 else ""
    return f"{text}{' nobias' if row.bias is None else ''}{_surroundings(column)}"


def _adaptive(word: str) -> Callable[[Any], str]:
    def text(module: Any) -> str:
        size = module.output_size
        if size is None or (isinstance(size, Sequence) and None in size):
            _refuse(module, output_size=1)
        return f"{word} {_size(size)}"

    return text


def _eps(module: Any, usual: float = 1e-5) -> str:
    return f" eps {module.eps!r}" if module.eps != usual else ""


def _batch_norm(module: Any) -> str:
    _refuse(module, affine=True, track_running_stats=True)
    if module.momentum is None:
        _refuse(module, momentum=0.1)
    return f"bn{_eps(module)}" + (f" momentum {module.momentum!r}" if module.momentum != 0.1 else "")


def _group_norm(module: Any) -> str:
    _refuse(module, affine=True)
    return f"gn {module.num_groups}{_eps(module)}"


def _layer_norm(module: Any) -> str:
    _refuse(module, elementwise_affine=True)
    if module.bias is None:
        raise TypeError("the notation has no words for LayerNorm with bias=False")
    return f"ln{_eps(module)}"


def _instance_norm(module: Any) -> str:
    _refuse(module, track_running_stats=False)
    return f"in{_eps(module)}{' affine' if module.affine else ''}"


def _response_norm(module: Any) -> str:
    _refuse(module, even="torch")
    text = f"lrn {module.size}"
    for word, name, usual in (("alpha", "alpha", 1e-4), ("beta", "beta", 0.75), ("plus", "k", 1.0)):
        text += f" {word} {getattr(module, name)!r}" if getattr(module, name) != usual else ""
    total = " total" if getattr(module, "alpha_mode", "mean") == "sum" else ""
    return f"{text}{total}{' within' if getattr(module, 'within_channel', False) else ''}"


def _scaled_tanh(module: Any) -> str:
    if module.channels is None:
        _refuse(module, channels=1)
    _refuse(module, dim=1)
    return "tanh gain" + (f" {module._first_gain!r}" if module._first_gain != 1 else "")


def _numbered(word: str, name: str, usual: float) -> Callable[[Any], str]:
    return lambda module: word if getattr(module, name) == usual else f"{word} {getattr(module, name)!r}"


def _linear(module: Any) -> str:
    return f"linear {module.out_features}{' nobias' if module.bias is None else ''}"


def _flatten(module: Any) -> str:
    _refuse(module, start_dim=1, end_dim=-1)
    return "flatten"


def _upsample(module: Any) -> str:
    _refuse(module, size=None, align_corners=None)
    factor = module.scale_factor
    whole = [int(one) for one in (factor if isinstance(factor, tuple) else (factor,))]
    if tuple(map(float, whole)) != (factor if isinstance(factor, tuple) else (float(factor),)):
        _refuse(module, scale_factor=2)
    return f"upsample {_size(tuple(whole))} {module.mode}"


def _prelu(module: Any) -> str:
    return "prelu" if module.num_parameters == 1 else "prelu maps"


def _pyramid(module: Any) -> str:
    if any(not isinstance(level, int) for level in module.levels):
        _refuse(module, levels=())
    levels = " ".join(map(str, module.levels))
    return f"spp {levels}{' average' if module.reduction == 'average' else ''}"


def _gelu(module: Any) -> str:
    _refuse(module, approximate="none")
    return "gelu"


def _softmax(word: str) -> Callable[[Any], str]:
    def text(module: Any) -> str:
        _refuse(module, dim=1)
        return word

    return text


def _families(readers: dict[str, Callable[[Any], str]], *homes: Any) -> dict[type, Callable[[Any], str]]:
    """Readers for 1, 2 and 3 axes."""
    return {
        getattr(home, f"{family}{axes}d"): reader
        for home in homes
        for family, reader in readers.items()
        for axes in _AXES
    }


_READERS: dict[type, Callable[[Any], str]] = {
    **_families(
        {
            "Conv": _conv("conv"), "ConvTranspose": _conv("transposed"), "MaxPool": _pool("maxpool"),
            "AvgPool": _pool("avgpool"), "AdaptiveAvgPool": _adaptive("adaptiveavg"),
            "AdaptiveMaxPool": _adaptive("adaptivemax"),
        }, nn, layers,
    ),
    **_families(
        {
            "LocalConv": _conv("local"), "DeformConv": _conv("deform"), "DepthwiseConv": _depthwise,
            "DepthwiseSeparableConv": _separable, "TableConv": _table, "LPPool": _pool("lppool"),
            "SpatialPyramidPool": _pyramid, "GaussianPool": _gaussian, "BlurPool": _blur,
        }, layers,
    ),
    **_families(
        {
            "BatchNorm": _batch_norm, "InstanceNorm": _instance_norm,
            "Dropout": lambda module: f"dropout {float(module.p)!r} maps",
        }, nn,
    ),
    layers.SpatiallySeparableConv2d: _spatial,
    layers.LocalContrastNorm: _contrast("lcn"),
    layers.SubtractiveNorm: _contrast("subtractive"), layers.DivisiveNorm: _contrast("divisive"),
    nn.Linear: _linear, nn.Flatten: _flatten, nn.GroupNorm: _group_norm, nn.LayerNorm: _layer_norm,
    nn.LocalResponseNorm: _response_norm, layers.LocalResponseNorm: _response_norm, layers.ScaledTanh: _scaled_tanh,
    layers.Maxout: lambda module: f"maxout {module.pieces}",
    nn.Dropout: lambda module: f"dropout {float(module.p)!r}",
    nn.LeakyReLU: _numbered("leaky", "negative_slope", 0.01), nn.ELU: _numbered("elu", "alpha", 1.0),
    nn.PReLU: _prelu, nn.GELU: _gelu, nn.Upsample: _upsample, nn.Softmax: _softmax("softmax"),
    nn.LogSoftmax: _softmax("logsoftmax"), nn.PixelShuffle: lambda module: f"pixelshuffle {module.upscale_factor}",
}  # fmt: skip
