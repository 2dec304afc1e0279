"""A network as PyTorch code, which runs without Striate where PyTorch has the layers."""

import math
import textwrap
from typing import Any

from striate import nn as layers
from striate.geometry import windows as windows_along
from striate.models.notation import layer_sources
from striate.models.notation.branches import Concat, Residual, Sum
from striate.models.notation.building import Plan
from striate.models.notation.recipe import Recipe, Table

_CONVOLUTIONS: dict[type, int] = {getattr(layers, f"Conv{axes}d"): axes for axes in (1, 2, 3)}
_DEPTHWISE: dict[type, int] = {getattr(layers, f"DepthwiseConv{axes}d"): axes for axes in (1, 2, 3)}
_SEPARABLE: dict[type, int] = {getattr(layers, f"DepthwiseSeparableConv{axes}d"): axes for axes in (1, 2, 3)}
_POOLS: dict[type, int] = {
    getattr(layers, f"{family}{axes}d"): axes for family in ("MaxPool", "AvgPool") for axes in (1, 2, 3)
}
_BRANCHES = (Residual, Concat, Sum)
_OWN = (layers.AbsRectify, layers.Maxout, layers.ScaledTanh)


def write(plan: Plan, text: str) -> str:
    """The source of a module with a class `Network`, whose state dict is that of the network.

    Args:
        plan: the network.
        text: of the notation, which the code repeats.
    """
    writer = _Writer()
    body = [f'                ("{child.name}", {writer.layer(child.recipe)}),\n' for child in plan.children]
    shape = ", ".join(map(str, plan.shape))
    about = textwrap.fill(text, 110)
    lines = [
        f'"""A network that Striate wrote as PyTorch code.\n\n{about}\n"""\n\n',
        "from collections import OrderedDict\n\n",
    ]
    if writer.tables or any("torch." in source for source in writer.helpers.values()):
        lines += ["import torch\n"]
    lines += ["from torch import Tensor, nn\n"] + (["from torch.nn import functional as F\n"] if writer.pads else [])
    if writer.ours:
        lines += [f"\n# Striate's, as PyTorch has none that does the same: {', '.join(sorted(writer.ours))}.\n"]
        lines += ["import striate.nn\n"] + (["from striate import tables\n"] if writer.tables else [])
    lines += [f"\n\n{source}" for source in writer.helpers.values()]
    lines += [layer_sources.NETWORK.format(shape=shape, body="".join(body))]
    return "".join(lines)


class _Writer:
    """Writes layers, and notes which helpers and which layers of ours they need."""

    def __init__(self) -> None:
        self.helpers: dict[str, str] = {}
        self.ours: set[str] = set()
        self.pads = self.tables = False

    def layer(self, recipe: Recipe) -> str:
        """The expression that makes a layer."""
        kind, settings = recipe.kind, dict(recipe.settings)
        if recipe.children:
            return self._container(recipe)
        if kind.__module__.startswith("torch.nn"):
            return _call(f"nn.{kind.__name__}", recipe.args, settings)
        if kind in _CONVOLUTIONS and settings.get("padding_mode") != "learned":
            return self._conv(_CONVOLUTIONS[kind], recipe.args, settings, recipe.sizes)
        if kind in _DEPTHWISE and settings.get("padding_mode") != "learned":
            return self._depthwise(_DEPTHWISE[kind], recipe.args, settings, recipe.sizes)
        if kind in _SEPARABLE and settings.get("padding_mode") != "learned":
            return self._separable(_SEPARABLE[kind], recipe, settings)
        if kind is layers.SpatiallySeparableConv2d:
            return self._spatial(recipe, settings)
        if kind in _POOLS and not settings.keys() & {"ceil_mode", "count_include_pad"}:
            if kind.__name__.startswith("Max") or "dilation" not in settings:
                return self._pool(_POOLS[kind], kind.__name__, recipe, settings)
        if kind in _OWN:
            return self._helper(kind.__name__, getattr(layer_sources, kind.__name__.upper()), recipe.args, settings)
        # PyTorch's takes no numbers in a row.
        if kind is layers.LocalResponseNorm and recipe.sizes and not settings.get("within_channel"):
            factor = recipe.args[0] if settings.pop("alpha_mode", "mean") == "sum" else 1
            return _call(
                "nn.LocalResponseNorm", recipe.args, {**settings, "alpha": settings.get("alpha", 1e-4) * factor}
            )
        self.ours.add(kind.__name__)
        self.tables |= any(isinstance(arg, Table) for arg in recipe.args)
        return _call(f"striate.nn.{kind.__name__}", recipe.args, settings)

    def _helper(self, name: str, source: str, args: Any, settings: dict[str, Any]) -> str:
        self.helpers[name] = source
        return _call(name, args, settings)

    def _container(self, recipe: Recipe) -> str:
        name = recipe.kind.__name__
        inner = ", ".join(f'("{child}", {self.layer(made)})' for child, made in recipe.children)
        if recipe.kind in _BRANCHES:
            self.helpers[name] = getattr(layer_sources, name.upper())
            return f"{name}(OrderedDict([{inner}]))"
        return f"nn.Sequential(OrderedDict([{inner}]))"

    def _conv(self, axes: int, args: Any, settings: dict[str, Any], sizes: Any) -> str:
        along = windows_along(
            axes, args[2], settings.get("stride", 1), settings.get("padding", 0), settings.get("dilation", 1)
        )
        pads = [window.pads(size) for window, size in zip(along, sizes, strict=True)]
        rest = {name: value for name, value in settings.items() if name != "padding"}
        if all(low == high for low, high in pads):
            even = {"padding": tuple(low for low, _ in pads)} if any(low for low, _ in pads) else {}
            return _call(f"nn.Conv{axes}d", args, {**rest, **even})
        mode = rest.pop("padding_mode", "constant")
        self.pads = True
        return self._helper(
            f"PaddedConv{axes}d",
            layer_sources.PADDED_CONV.format(axes=axes),
            args,
            {**rest, "pads": _flat(pads), "mode": mode},
        )

    def _depthwise(self, axes: int, args: Any, settings: dict[str, Any], sizes: Any) -> str:
        channels, kernel = args
        rest = {name: value for name, value in settings.items() if name != "multiplier"}
        above = channels * settings.get("multiplier", 1)
        return self._conv(axes, (channels, above, kernel), {**rest, "groups": channels}, sizes)

    def _separable(self, axes: int, recipe: Recipe, settings: dict[str, Any]) -> str:
        channels, filters, kernel = recipe.args
        bias = {"bias": settings.pop("bias")} if "bias" in settings else {}
        between = channels * settings.get("multiplier", 1)
        depthwise = self._depthwise(axes, (channels, kernel), {**settings, "bias": False}, recipe.sizes)
        pointwise = _call(f"nn.Conv{axes}d", (between, filters, 1), bias)
        return f'nn.Sequential(OrderedDict([("depthwise", {depthwise}), ("pointwise", {pointwise})]))'

    def _spatial(self, recipe: Recipe, settings: dict[str, Any]) -> str:
        channels, filters, kernel = recipe.args
        y, x = windows_along(
            2, kernel, settings.get("stride", 1), settings.get("padding", 0), settings.get("dilation", 1)
        )
        mode = {"padding_mode": settings["padding_mode"]} if "padding_mode" in settings else {}
        first = {"stride": (y.stride, 1), "padding": (y.padding, 0), "dilation": (y.dilation, 1), "bias": False, **mode}
        first |= {"groups": settings["groups"]} if "groups" in settings else {}
        second = {"stride": (1, x.stride), "padding": (0, x.padding), "dilation": (1, x.dilation), **mode}
        second |= {"bias": False} if settings.get("bias") is False else {}
        column = self._conv(2, (channels, filters, (y.kernel, 1)), first, recipe.sizes)
        between = (y.output_size(recipe.sizes[0]), recipe.sizes[1])
        row = self._depthwise(2, (filters, (1, x.kernel)), second, between)
        return f'nn.Sequential(OrderedDict([("column", {column}), ("row", {row})]))'

    def _pool(self, axes: int, kind: str, recipe: Recipe, settings: dict[str, Any]) -> str:
        kernel = recipe.args[0]
        along = windows_along(
            axes, kernel, settings.get("stride", kernel), settings.get("padding", 0), settings.get("dilation", 1)
        )
        pads = [window.pads(size) for window, size in zip(along, recipe.sizes, strict=True)]
        rest = {name: value for name, value in settings.items() if name != "padding"}
        value = -math.inf if kind.startswith("Max") else 0.0
        self.pads = True
        source = layer_sources.PADDED_POOL.format(kind=kind)
        return self._helper(f"Padded{kind}", source, (kernel,), {**rest, "pads": _flat(pads), "value": value})


def _flat(pads: list[tuple[int, int]]) -> tuple[int, ...]:
    """As `F.pad` takes them: the last axis first."""
    return tuple(places for pair in reversed(pads) for places in pair)


def _call(name: str, args: Any, settings: dict[str, Any]) -> str:
    shown = [_literal(arg) for arg in args] + [f"{key}={_literal(value)}" for key, value in settings.items()]
    return f"{name}({', '.join(shown)})"


def _literal(value: Any) -> str:
    if isinstance(value, Table):
        return value.code
    if isinstance(value, float) and math.isinf(value):
        return f'float("{value}")'
    return f'"{value}"' if isinstance(value, str) else repr(value)
