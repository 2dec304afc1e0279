"""The words of the notation: layers with weights; the others are in `plain_words`."""

from typing import Any

import torch
from torch import nn

from striate import nn as layers
from striate import tables
from striate.models.notation.plain_words import PLAIN, module_of
from striate.models.notation.recipe import Recipe, Table
from striate.models.notation.settings import MODES, PADDING_WORDS, Given, Word
from striate.models.notation.syntax import Pads

_LINKS = 10_000_000
_TABLES: dict[str, Any] = {"lenet5_c3": tables.lenet5_c3, "all": tables.full, "one_to_one": tables.one_to_one}


def _settings(given: Given, transposed: bool = False) -> dict[str, Any]:
    """The settings of a window and of a convolution that are not the usual ones."""
    given.maps()
    if not transposed:
        for window, size in zip(given.windows(), given.sizes, strict=True):
            # Where it does not fit, the geometry says by how much; PyTorch would say it in other words.
            window.output_size(size)
    found = {name: given.along(name, 1) for name in ("stride", "dilation")}
    usual = {name: value for name, value in found.items() if value != 1}
    if given.padding != 0:
        usual["padding"] = given.padding
    if given.values.get("groups", 1) != 1:
        usual["groups"] = given.values["groups"]
    if "nobias" in given.flags:
        usual["bias"] = False
    mode = [flag for flag in given.flags if flag in MODES]
    if len(mode) > 1:
        given.fail(f"one of {', '.join(mode)} can lie outside the input")
    if mode:
        usual["padding_mode"] = mode[0]
    return usual


def _conv(given: Given) -> Recipe:
    settings = _settings(given)
    args = (given.channels, given.values["filters"], given.along("kernel"))
    pads = given.even_pads()
    if pads is None or settings.get("padding_mode") == "learned":
        return given.recipe(module_of("Conv", given.axes), *args, **settings)
    settings.pop("padding", None)
    return given.recipe(module_of("Conv", given.axes, nn), *args, **settings, **({"padding": pads} if pads else {}))


def _depthwise(given: Given) -> Recipe:
    settings = _settings(given)
    if "multiplier" in given.values:
        settings["multiplier"] = given.values["multiplier"]
    return given.recipe(module_of("DepthwiseConv", given.axes), given.channels, given.along("kernel"), **settings)


def _filters(family: str, **fixed: Any) -> Any:
    def make(given: Given) -> Recipe:
        settings = _settings(given) | fixed
        for word, setting in (("multiplier", "multiplier"), ("offsetgroups", "offset_groups")):
            if word in given.values:
                settings[setting] = given.values[word]
        if "nomask" in given.flags:
            settings["mask"] = False
        kind = module_of(family, given.axes)
        return given.recipe(kind, given.channels, given.values["filters"], given.along("kernel"), **settings)

    return make


def _spatial(given: Given) -> Recipe:
    if given.maps() != 2:
        given.fail(f"spatial reads pictures, of 2 axes, got {given.axes}")
    return given.recipe(layers.SpatiallySeparableConv2d, given.channels, given.values["filters"], given.along("kernel"),
        **_settings(given),
    )  # fmt: skip


def _local(given: Given) -> Recipe:
    settings = _settings(given)
    if "sharedbias" in given.flags:
        settings["bias"] = "shared"
    args = (given.channels, given.values["filters"], given.along("kernel"), given.sizes)
    return given.recipe(module_of("LocalConv", given.axes), *args, **settings)


def _transposed(given: Given) -> Recipe:
    settings = _settings(given, transposed=True)
    windows = given.windows()
    if "outpad" in given.values:
        more = settings["output_padding"] = given.along("outpad")
        if isinstance(more, Pads):
            given.fail("outpad of transposed is a number or a size as 1x2", "outpad")
        each = more if isinstance(more, tuple) else (more,) * given.axes
        if any(side >= max(window.stride, window.dilation) for side, window in zip(each, windows, strict=True)):
            given.fail("outpad must be less than the stride or the dilation", "outpad")
    crops = [window.crops() for window in windows]
    args = (given.channels, given.values["filters"], given.along("kernel"))
    if all(low == high >= 0 for low, high in crops) and "padding_mode" not in settings:
        pads = tuple(low for low, _ in crops)
        settings["padding"] = pads[0] if len(set(pads)) == 1 else pads
        return given.recipe(module_of("ConvTranspose", given.axes, nn), *args, **settings)
    return given.recipe(module_of("ConvTranspose", given.axes), *args, **settings)


def _table(given: Given) -> Recipe:
    settings = _settings(given) | {"in_channels": given.channels}
    name, below, above = given.values["table"], given.channels, given.values["filters"]
    links = given.values.get("links", below)
    if below * above > _LINKS:
        given.fail(f"a table has at most {_LINKS:,} links, got {below} x {above} maps")
    if name == "random":
        if "links" not in given.values:
            given.fail("a random table wants links N: how many maps each map reads", "table")
        seed = given.values.get("seed", 0)
        generator = torch.Generator("cpu").manual_seed(seed)
        with torch.device("cpu"):
            found = tables.random(below, above, links, generator=generator)
        code = f'tables.random({below}, {above}, {links}, generator=torch.Generator("cpu").manual_seed({seed}))'
    elif name in _TABLES:
        function, args = _TABLES[name], {"lenet5_c3": (), "all": (below, above), "one_to_one": (below,)}[name]
        with torch.device("cpu"):
            found = function(*args)
        code = f"tables.{function.__name__}({', '.join(map(str, args))})"
    else:
        given.fail(f"there is no table {name}: expected {', '.join(_TABLES)} or random", "table")
    return given.recipe(
        module_of("TableConv", given.axes), Table(code, found), above, given.along("kernel"), **settings
    )


def _linear(given: Given) -> Recipe:
    if given.axes:
        given.fail("linear reads numbers in a row, but maps come: write flatten or globalavg before it")
    bias = {"bias": False} if "nobias" in given.flags else {}
    return given.recipe(nn.Linear, given.channels, given.values["units"], **bias)


_BANK = ("filters:count", "kernel:size")
_SURROUNDED = ("nobias", *MODES)

WORDS: dict[str, Word] = {
    "conv": Word(make=_conv, takes=_BANK, keywords={"groups": "count"}, flags=_SURROUNDED, windowed=True),
    "depthwise": Word(
        make=_depthwise, takes=("kernel:size",), keywords={"multiplier": "count"}, flags=_SURROUNDED, windowed=True
    ),
    "separable": Word(
        make=_filters("DepthwiseSeparableConv"), takes=_BANK, keywords={"multiplier": "count"}, flags=_SURROUNDED,
        windowed=True,
    ),
    "spatial": Word(
        make=_spatial, takes=_BANK, keywords={"groups": "count"}, flags=("nobias", *MODES[:3]), windowed=True
    ),
    "local": Word(
        make=_local, takes=_BANK, keywords={"groups": "count"}, flags=("nobias", "sharedbias", *MODES[:3]),
        windowed=True,
    ),
    "table": Word(
        make=_table, takes=(*_BANK, "table:table"), keywords={"links": "count", "seed": "whole"}, flags=("nobias",),
        windowed=True,
    ),
    "deform": Word(
        make=_filters("DeformConv", predict=True), takes=_BANK,
        keywords={"groups": "count", "offsetgroups": "count"}, flags=("nobias", "nomask"), windowed=True,
    ),
    "transposed": Word(
        make=_transposed, takes=_BANK, keywords={"groups": "count", "outpad": "pads"}, flags=("nobias", "circular"),
        windowed=True,
    ),
    "linear": Word(make=_linear, takes=("units:count",), flags=("nobias",)),
    **PLAIN,
}  # fmt: skip

OPTIONS = frozenset((*PADDING_WORDS, *(option for word in WORDS.values() for option in word.options)))
"""All words that may stand behind others."""
