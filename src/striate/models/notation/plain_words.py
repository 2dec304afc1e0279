"""The words of the notation for what lies between layers with weights."""

from typing import Any

from torch import nn

from striate import nn as layers
from striate.models.notation.recipe import Recipe
from striate.models.notation.settings import Given, Word


def module_of(family: str, axes: int, home: Any = layers) -> Any:
    """The class of a family for so many axes."""
    return getattr(home, f"{family}{axes}d")


def _activation(kind: Any, *settings: str) -> Word:
    """An activation whose settings are numbers behind it, in PyTorch's order."""

    def make(given: Given) -> Recipe:
        return given.recipe(kind, *(given.values[name] for name in settings if name in given.values))

    return Word(make=make, takes=tuple(f"{name}:real?" for name in settings))


def _scores(kind: Any) -> Word:
    return Word(make=lambda given: given.recipe(kind, dim=1))


def _tanh(given: Given) -> Recipe:
    if "gain" not in given.flags:
        if given.values:
            given.fail("tanh takes no number: a learned gain for each map is tanh gain, or tanh gain 1.7", "start")
        return given.recipe(nn.Tanh)
    gain = {"gain": float(given.values["start"])} if given.values else {}
    return given.recipe(layers.ScaledTanh, given.channels, **gain)


def _pool(family: str, first: tuple[str, ...] = ()) -> Any:
    """A pooling by its window; PyTorch's where that is the same."""

    def make(given: Given) -> Recipe:
        axes = given.maps()
        kernel = given.along("kernel")
        args = [given.values[name] for name in first]
        settings: dict[str, Any] = {}
        stride = given.along("stride")
        if stride is not None and stride != kernel:
            settings["stride"] = stride
        if given.along("dilation", 1) != 1:
            settings["dilation"] = given.along("dilation")
        for flag in given.flags:
            settings[{"ceil": "ceil_mode", "nocount": "count_include_pad"}[flag]] = flag == "ceil"
        home: Any = layers
        if family in ("MaxPool", "AvgPool"):
            pads = given.even_pads(stride=kernel)
            least = min(kernel) if isinstance(kernel, tuple) else kernel
            most = None if pads is None else max(pads) if isinstance(pads, tuple) else pads
            dilated = "dilation" in settings and family == "AvgPool"
            if most is not None and 2 * most <= least and not dilated:
                home = nn
                settings |= {"padding": pads} if pads else {}
        if home is layers and given.padding != 0:
            settings["padding"] = given.padding
        if "sigma" in given.values:
            settings["sigma"] = given.values["sigma"]
        return given.recipe(module_of(family, axes, home), *args, kernel, **settings)

    return make


def _blur(given: Given) -> Recipe:
    axes = given.maps()
    settings: dict[str, Any] = {"stride": given.along("stride", 2)}
    if given.padding != 0:
        settings["padding"] = given.padding
    return given.recipe(module_of("BlurPool", axes), given.along("kernel", 3), **settings)


def _adaptive(family: str) -> Any:
    return lambda given: given.recipe(module_of(family, given.maps(), nn), given.along("size"))


def _global(family: str) -> Any:
    """One number a channel, in a row."""

    def make(given: Given) -> Recipe:
        pool = given.recipe(module_of(family, given.maps(), nn), 1)
        return Recipe(nn.Sequential, children=(("0", pool), ("1", Recipe(nn.Flatten))), sizes=given.sizes)

    return make


def _pyramid(given: Given) -> Recipe:
    axes, levels = given.maps(), tuple(given.values.get("levels", ()))
    if not levels:
        given.fail("spp wants the levels of the pyramid behind it, as spp 4 2 1")
    if sum(level**axes for level in levels) > 1_000_000:
        given.fail("a pyramid has at most 1,000,000 places")
    average = {"reduction": "average"} if "average" in given.flags else {}
    return given.recipe(module_of("SpatialPyramidPool", axes), levels, **average)


def _real_settings(given: Given, **names: str) -> dict[str, Any]:
    return {setting: given.values[word] for word, setting in names.items() if word in given.values}


def _batch_norm(given: Given) -> Recipe:
    settings = _real_settings(given, eps="eps", momentum="momentum")
    return given.recipe(module_of("BatchNorm", max(1, given.axes), nn), given.channels, **settings)


def _group_norm(given: Given) -> Recipe:
    return given.recipe(nn.GroupNorm, given.values["groups"], given.channels, **_real_settings(given, eps="eps"))


def _instance_norm(given: Given) -> Recipe:
    affine = {"affine": True} if "affine" in given.flags else {}
    kind = module_of("InstanceNorm", given.maps(), nn)
    return given.recipe(kind, given.channels, **_real_settings(given, eps="eps"), **affine)


def _layer_norm(given: Given) -> Recipe:
    return given.recipe(nn.LayerNorm, given.shape, **_real_settings(given, eps="eps"))


def _response_norm(given: Given) -> Recipe:
    settings = _real_settings(given, alpha="alpha", beta="beta", plus="k")
    if "total" in given.flags:
        settings["alpha_mode"] = "sum"
    if "within" in given.flags:
        settings["within_channel"] = True
    return given.recipe(layers.LocalResponseNorm, given.values["size"], **settings)


def _contrast(kind: Any, moded: bool) -> Any:
    def make(given: Given) -> Recipe:
        if given.maps() != 2:
            given.fail(f"{given.word} reads pictures, of 2 axes, got {given.axes}")
        settings = _real_settings(given, sigma="sigma", floor="floor")
        if moded and "torch7" in given.flags:
            settings["mode"] = "torch7"
        if "zeros" in given.flags:
            settings["border"] = "zeros"
        return given.recipe(kind, given.along("kernel", 7), **settings)

    return make


def _upsample(given: Given) -> Recipe:
    axes = given.maps()
    smooth = {1: "linear", 2: "bilinear", 3: "trilinear"}[axes]
    mode = given.flags[-1] if given.flags else "nearest"
    if mode not in ("nearest", smooth) and not (mode == "bicubic" and axes == 2):
        given.fail(f"along {axes} axes upsample is nearest or {smooth}, got {mode}")
    scale = given.along("scale")
    return given.recipe(nn.Upsample, scale_factor=scale, mode=mode)


def _shuffle(given: Given) -> Recipe:
    if given.maps() != 2:
        given.fail(f"pixelshuffle reads pictures, of 2 axes, got {given.axes}")
    return given.recipe(nn.PixelShuffle, given.values["scale"])


def _dropout(given: Given) -> Recipe:
    kind = module_of("Dropout", given.maps(), nn) if "maps" in given.flags else nn.Dropout
    return given.recipe(kind, float(given.values.get("p", 0.5)))


def _plain(kind: Any, *names: str) -> Any:
    return lambda given: given.recipe(kind, *(given.values[name] for name in names))


_EPS = {"eps": "real"}
_CONTRAST = {"sigma": "real", "floor": "real"}
_KERNEL = ("kernel:size",)

PLAIN: dict[str, Word] = {
    "maxpool": Word(make=_pool("MaxPool"), takes=_KERNEL, flags=("ceil",), windowed=True),
    "avgpool": Word(make=_pool("AvgPool"), takes=_KERNEL, flags=("ceil", "nocount"), windowed=True),
    "lppool": Word(make=_pool("LPPool", ("norm",)), takes=("norm:real", *_KERNEL), flags=("ceil",), windowed=True),
    "gaussianpool": Word(make=_pool("GaussianPool"), takes=_KERNEL, keywords={"sigma": "real"}, windowed=True),
    "blurpool": Word(make=_blur, takes=("kernel:size?",), windowed=True),
    "adaptiveavg": Word(make=_adaptive("AdaptiveAvgPool"), takes=("size:size",)),
    "adaptivemax": Word(make=_adaptive("AdaptiveMaxPool"), takes=("size:size",)),
    "globalavg": Word(make=_global("AdaptiveAvgPool")),
    "globalmax": Word(make=_global("AdaptiveMaxPool")),
    "spp": Word(make=_pyramid, takes=("levels:count*",), flags=("average",)),
    "bn": Word(make=_batch_norm, keywords={"eps": "real", "momentum": "real"}),
    "gn": Word(make=_group_norm, takes=("groups:count",), keywords=_EPS),
    "in": Word(make=_instance_norm, keywords=_EPS, flags=("affine",)),
    "ln": Word(make=_layer_norm, keywords=_EPS),
    "lrn": Word(
        make=_response_norm, takes=("size:count",), keywords={"alpha": "real", "beta": "real", "plus": "real"},
        flags=("total", "within"),
    ),
    "lcn": Word(
        make=_contrast(layers.LocalContrastNorm, True), takes=("kernel:size?",), keywords=_CONTRAST,
        flags=("torch7", "zeros"),
    ),
    "subtractive": Word(
        make=_contrast(layers.SubtractiveNorm, False), takes=("kernel:size?",), keywords={"sigma": "real"},
        flags=("zeros",),
    ),
    "divisive": Word(
        make=_contrast(layers.DivisiveNorm, True), takes=("kernel:size?",), keywords=_CONTRAST,
        flags=("torch7", "zeros"),
    ),
    "relu": _activation(nn.ReLU),
    "relu6": _activation(nn.ReLU6),
    "leaky": _activation(nn.LeakyReLU, "slope"),
    "prelu": Word(
        make=lambda given: given.recipe(nn.PReLU, given.channels if "maps" in given.flags else 1), flags=("maps",)
    ),
    "elu": _activation(nn.ELU, "alpha"),
    "selu": _activation(nn.SELU),
    "gelu": _activation(nn.GELU),
    "silu": _activation(nn.SiLU),
    "mish": _activation(nn.Mish),
    "softplus": _activation(nn.Softplus),
    "sigmoid": _activation(nn.Sigmoid),
    "hardsigmoid": _activation(nn.Hardsigmoid),
    "hardswish": _activation(nn.Hardswish),
    "tanh": Word(make=_tanh, takes=("start:real?",), flags=("gain",)),
    "abs": _activation(layers.AbsRectify),
    "maxout": Word(make=_plain(layers.Maxout, "pieces"), takes=("pieces:count",)),
    "softmax": _scores(nn.Softmax),
    "logsoftmax": _scores(nn.LogSoftmax),
    "dropout": Word(make=_dropout, takes=("p:real?",), flags=("maps",)),
    "flatten": _activation(nn.Flatten),
    "identity": _activation(nn.Identity),
    "upsample": Word(
        make=_upsample, takes=("scale:size",), flags=("nearest", "linear", "bilinear", "trilinear", "bicubic")
    ),
    "pixelshuffle": Word(make=_shuffle, takes=("scale:count",)),
    "input": Word(make=_plain(nn.Identity), takes=("size:size",)),
}  # fmt: skip
