"""Layers that are given what they do not take: the sizes on both sides, and edits."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from striate import geometry
from striate.inspection.faults.case import Case, Reason, axes_of
from striate.inspection.faults.searches import SMALL, input_for_features, least_input
from striate.inspection.rows import _LAYERS
from striate.inspection.tracing.trace import Value


def by_layer(case: Case) -> Reason | None:
    """What the layer that failed refuses.

    Args:
        case: the run.

    Returns:
        The reason; None if its settings do not tell.
    """
    if case.given is None or case.given.parameter:
        return None
    if not f"{type(case.call.module).__module__}.".startswith(_LAYERS):
        return None
    for rule in _RULES:
        reason = rule(case, case.call.module, case.given)
        if reason is not None:
            return reason
    return None


def _rank(case: Case, module: Any, value: Value) -> Reason | None:
    shape = value.shape
    axes, normal = axes_of(module), "BatchNorm" in type(module).__name__
    if not axes or isinstance(module, nn.Flatten):
        return None
    usual = (2, 3) if normal and axes == 1 else (axes + 2,) if normal else (axes + 1, axes + 2)
    channels = _channels(module)
    # With a batch and channels, and an axis too few.
    short = len(shape) == axes + 1 and not normal and shape[0] != channels == shape[1]
    if len(shape) in usual and not short:
        return None
    kind, letters = type(module).__name__, ", ".join(("N", "C", *("T", "D", "H", "W")[4 - axes :]))
    text = f"{case.name} expects ({letters}){', or that without N' if len(usual) > 1 and axes + 1 in usual else ''}; "
    text += _gets(case, shape)
    fixes = []
    if case.from_outside:
        whole = len(shape) > axes or (len(shape) == axes and shape[0] != channels)
        sides = shape[-axes:] if whole and not short else shape[-1:] * axes
        fixes.append(f"give input_size={(1, channels or 1, *sides)}")
    rank = len(shape) - 2
    if 1 <= rank <= 3:
        fixes.append(f"use {kind[:-2]}{rank}d in place of {kind}")
    elif len(shape) == 2 and normal:
        fixes.append(f"use {kind[:-2]}1d({shape[1]}) in place of {kind}, or put it before the flattening")
    elif len(shape) == 2 and not case.from_outside:
        fixes.append(f"put it before the flattening, or nn.Unflatten(1, (C, {', '.join('DHW'[3 - axes :])})) before it")
    return Reason(text, tuple(fixes), {"expected": list(usual), "got": list(shape)})


def _gets(case: Case, shape: object) -> str:
    """What came, and from where."""
    verb = "the input is" if case.from_outside else f"{case.origin} gives" if case.origin else "it gets"
    return f"{verb} {shape}"


def _has(case: Case, number: int, shape: tuple[int, ...]) -> str:
    """How many channels or features came, and from where."""
    verb = "the input has" if case.from_outside else f"{case.origin} gives" if case.origin else "it gets"
    return f"{verb} {number}: {shape}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _channels(module: Any) -> int | None:
    for name in ("in_channels", "num_features", "num_channels", "channels"):
        value = getattr(module, name, None)
        if isinstance(value, int):
            return value
    return None


def _numbers_type(case: Case, module: Any, value: Value) -> Reason | None:
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        if not value.dtype.is_floating_point:
            return None
        text = f"{case.name} expects whole numbers, indices below {module.num_embeddings}, gets {_dtype(value.dtype)}"
        size = case.trace.inputs[0].shape
        return Reason(text, (f"give inputs=[torch.zeros({size}, dtype=torch.long)]", "turn them with x.long()"))
    weight = next((p for p in module.parameters(recurse=False) if p.is_floating_point()), None)
    if weight is None or weight.dtype == value.dtype or "type" not in str(case.failure):
        return None
    wished, got = _dtype(weight.dtype), _dtype(value.dtype)
    fixes = [f"turn it with x.to(torch.{wished}) before it"]
    if case.from_outside:
        fixes.insert(0, f"give inputs=[torch.zeros({case.trace.inputs[0].shape}, dtype=torch.{wished})]")
    if value.dtype.is_floating_point:
        fixes.append(f"turn the weights{case.of_it} with .to(torch.{got})")
    return Reason(f"{case.name} holds {wished} numbers, gets {got}", tuple(fixes), {"expected": wished, "got": got})


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _maps(case: Case, module: Any, value: Value) -> Reason | None:
    """Channels of convolutions and normalisations."""
    shape = value.shape
    name, expected = next(
        (
            (name, getattr(module, name))
            for name in ("in_channels", "num_features", "num_channels", "num_parameters")
            if isinstance(getattr(module, name, None), int)
        ),
        ("", 0),
    )
    if not expected or (name == "num_parameters" and expected == 1) or len(shape) < 2:
        return None
    axes = axes_of(module)
    at = len(shape) - axes - 1 if axes and "BatchNorm" not in type(module).__name__ else 1
    got = shape[at]
    if got == expected:
        return None
    wish = f"expects {_count(expected, 'channel')}"
    if name == "num_parameters":
        wish = f"holds {expected} slopes, one a channel"
    text = f"{case.name} {wish}, {_has(case, got, shape)}"
    fixes = [_own_edit(case, module, name, got)]
    if case.from_outside:
        fixes.insert(0, f"give an input of {_count(expected, 'channel')}: {case.enlarged(at, expected)}")
    source = case.source(value)
    if source is not None and isinstance(getattr(source.module, "out_channels", None), int):
        fixes.append(f"set out_channels={expected} of `{source.name}`")
    return Reason(text, tuple(fixes), {"expected": expected, "got": got})


def _own_edit(case: Case, module: Any, name: str, got: int) -> str:
    """The edit of the layer itself that takes as many channels as come."""
    edit = f"set {name}={got}{case.of_it}"
    groups = getattr(module, "groups", getattr(module, "num_groups", 1))
    if not isinstance(groups, int) or got % groups == 0:
        return edit
    word = "num_groups" if hasattr(module, "num_groups") else "groups"
    if word == "groups" and groups == module.in_channels:
        multiplier = module.out_channels // groups
        return f"set in_channels={got}, out_channels={got * multiplier}, groups={got}{case.of_it}"
    out = getattr(module, "out_channels", got)
    return f"{edit} and {word}={math.gcd(got, groups, out)}, as {groups} groups do not divide {got}"


def _features(case: Case, module: Any, value: Value) -> Reason | None:
    """Features of a fully connected layer."""
    shape = value.shape
    expected = getattr(module, "in_features", None)
    if not isinstance(expected, int) or not shape or shape[-1] == expected:
        return None
    got = shape[-1]
    text = f"{case.name} expects {_count(expected, 'feature')}"
    own = f"set in_features={got}{case.of_it}"
    if len(shape) > 2:
        flat = math.prod(shape[1:])
        text += f", {_has(case, got, shape)}"
        edit = "" if flat == expected else f" and set in_features={flat}{case.of_it}"
        fixes = [f"put nn.Flatten() before it{edit}", *_pooled(shape[1:], expected, case)]
        if len(shape) == 3:
            # A series of features: each step is a sample.
            fixes = [own, fixes[0]]
        return Reason(text, tuple(fixes), {"expected": expected, "got": got})
    before = case.map_before(value)
    if before is None:
        text += f", {_has(case, got, shape)}"
        fixes = [own]
        if case.from_outside:
            fixes.append(f"give an input of {_count(expected, 'feature')}: {case.enlarged(-1, expected)}")
        source = case.source(value)
        if source is not None and hasattr(source.module, "out_features"):
            fixes.append(f"set out_features={expected} of `{source.name}`")
        return Reason(text, tuple(fixes), {"expected": expected, "got": got})
    maker, maps = before
    text += f", {maker or 'it'} gives {'×'.join(map(str, maps))} = {got}"
    wished = input_for_features(case, expected)
    fixes = [own, *_pooled(maps, expected, case)]
    if wished:
        fixes.insert(1, f"give an input of {wished}")
    return Reason(text, tuple(fixes), {"expected": expected, "got": got, "maps": list(maps)})


def _pooled(maps: Sequence[int], expected: int, case: Case) -> list[str]:
    """Pooling of maps `(C, *sizes)` to as many features as a layer expects."""
    channels, axes = maps[0], len(maps) - 1
    if not 1 <= axes <= 3:
        return []
    side = round((expected / channels) ** (1 / axes))
    if side >= 1 and channels * side**axes == expected and side < min(maps[1:]):
        size = "×".join([str(side)] * axes)
        return [f"pool to {size} before the flattening: nn.AdaptiveAvgPool{axes}d({side})"]
    size = "×".join(["1"] * axes)
    return [
        f"pool to {size} before the flattening, nn.AdaptiveAvgPool{axes}d(1), "
        f"and set in_features={channels}{case.of_it}"
    ]


def _larger(case: Case, module: Any, value: Value) -> Reason | None:
    """A window that is larger than its input."""
    shape = value.shape
    axes, kernel = axes_of(module), getattr(module, "kernel_size", None)
    if not axes or kernel is None or getattr(module, "transposed", False) or "npool" in type(module).__name__:
        return None
    if not SMALL.search(str(case.failure)):
        return None
    stride = getattr(module, "stride", None) or 1
    padding, dilation = getattr(module, "padding", 0), getattr(module, "dilation", 1)
    along = geometry.windows(axes, kernel, stride, padding, dilation, bool(getattr(module, "ceil_mode", False)))
    sizes = shape[-axes:]
    bad = [axis for axis, (window, n) in enumerate(zip(along, sizes, strict=True)) if n < 1 or not window.fits(n)]
    if not bad:
        return None
    covers = "×".join(str(window.extent) for window in along)
    low = max(max(0, window.extent - n - sum(window.pads(n))) for window, n in zip(along, sizes, strict=True) if n)
    text = f"the window of {case.name} covers {covers}, {_gets(case, '×'.join(map(str, sizes)))}"
    least = least_input(case)
    fixes = [f"give an input of at least {least}"] if least else []
    fixes.append(f"set kernel_size={min(_fitting(window, n) for window, n in zip(along, sizes, strict=True))} or less")
    more = max(sum(along[axis].pads(sizes[axis])) for axis in bad) // 2 + -(-low // 2)
    if not _is_pool(module) or more * 2 <= along[0].kernel:
        fixes.append(f"set padding={more} or more")
    return Reason(text, tuple(fixes), {"expected": [window.extent for window in along], "got": list(sizes)})


def _fitting(window: geometry.Window, n: int) -> int:
    """The largest kernel that fits."""
    return max(1, (n + sum(window.pads(n)) - 1) // window.dilation + 1)


def _is_pool(module: nn.Module) -> bool:
    return "Pool" in type(module).__name__ and type(module).__module__.startswith("torch.")


def _batch_of_one(case: Case, module: Any, value: Value) -> Reason | None:
    shape = value.shape
    if "more than 1 value per channel" not in str(case.failure) and "more than 1 spatial element" not in str(
        case.failure
    ):
        return None
    text = f"{case.name} normalises over one value a channel, {_gets(case, shape)}: their deviation is 0"
    return Reason(text, (f"give a batch of 2 or more: {case.enlarged(0, 2)}", "inspect it in evaluation mode: .eval()"))


def _last_axis(case: Case, module: Any, value: Value) -> Reason | None:
    """Layers that say how long the last axis is."""
    shape = value.shape
    for name in ("input_size", "embed_dim", "normalized_shape", "d_model"):
        expected = getattr(module, name, None)
        if name == "input_size" and axes_of(module):
            return None
        sizes = (expected,) if isinstance(expected, int) else tuple(expected) if expected else ()
        got = shape[-len(sizes) :] if sizes else ()
        if sizes and got != sizes:
            want, came = (", ".join(map(str, part)) for part in (sizes, got))
            text = f"{case.name} expects a last size of {want}, {_gets(case, shape)}"
            fixes = [f"set {name}={came if len(got) == 1 else tuple(got)}{case.of_it}"]
            if case.from_outside and len(sizes) == 1:
                fixes.append(f"give {case.enlarged(-1, sizes[0])}")
            return Reason(text, tuple(fixes), {"expected": list(sizes), "got": list(got)})
    return None


def _places(case: Case, module: Any, value: Value) -> Reason | None:
    """Layers whose weights belong to places, as unshared ones."""
    shape = value.shape
    axes, wished = axes_of(module), getattr(module, "input_size", None)
    if not axes or not isinstance(wished, tuple) or tuple(wished) == shape[-axes:]:
        return None
    want, came = ("×".join(map(str, part)) for part in (wished, shape[-axes:]))
    text = f"{case.name} has weights for the places of {want}, {_gets(case, shape)}: {came}"
    fixes = [f"set input_size={shape[-axes:]}{case.of_it}", f"pool or resize to {want} before it"]
    if case.from_outside:
        fixes.insert(0, f"give input_size={(*shape[:-axes], *wished)}")
    return Reason(text, tuple(fixes), {"expected": list(wished), "got": list(shape[-axes:])})


def _reflected(case: Case, module: Any, value: Value) -> Reason | None:
    """Padding by reflection, which needs more places than it pads."""
    shape = value.shape
    pads = re.search(r"Padding size should be less .* padding \((\d+), (\d+)\) at dimension (\d+)", str(case.failure))
    if pads is None:
        return None
    n, wide = shape[int(pads[3])], max(int(pads[1]), int(pads[2]))
    text = f"{case.name} reflects {wide} places of an axis of {n}, {_gets(case, shape)}: at most {n - 1} can be"
    least = least_input(case)
    fixes = [f"give an input of at least {least}"] if least else []
    fixes.append(f"set padding={n - 1} or less")
    if hasattr(module, "padding_mode"):
        fixes.append('set padding_mode="zeros" or "replicate"')
    return Reason(text, tuple(fixes), {"expected": n - 1, "got": wide})


def _shuffled(case: Case, module: Any, value: Value) -> Reason | None:
    shape = value.shape
    factor = getattr(module, "upscale_factor", None)
    if not isinstance(factor, int) or len(shape) < 3 or shape[-3] % factor**2 == 0:
        return None
    group = factor**2
    text = f"{case.name} makes one channel of {group}, {_gets(case, shape)}: {shape[-3]} is no multiple"
    near = -(-shape[-3] // group) * group
    fixes = [f"give it {near} channels"]
    source = case.source(value)
    if source is not None and hasattr(source.module, "out_channels"):
        fixes[0] = f"set out_channels={near} of `{source.name}`"
    return Reason(text, tuple(fixes), {"expected": near, "got": shape[-3]})


_RULES: tuple[Callable[[Case, Any, Value], Reason | None], ...] = (
    _rank, _numbers_type, _places, _maps, _features, _last_axis, _larger, _batch_of_one, _reflected, _shuffled,
)  # fmt: skip
