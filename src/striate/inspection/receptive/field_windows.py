"""How the axes of an input go through operations with windows."""

from collections.abc import Mapping, Sequence
from typing import Any

from striate.geometry import Window, windows
from striate.inspection.receptive.layout import Factor, Layout, along, everything, merged, mixed, plain, without
from striate.inspection.receptive.propagate import Propagation, Result, by_unit, rule, settings
from striate.inspection.receptive.relation import Relation, adaptive, resized, slid, spread, wrapped
from striate.inspection.tracing.placed import placed
from striate.inspection.tracing.record import Operation

_AXES = (1, 2, 3)


def _named(*names: str, axes: Sequence[int] = _AXES) -> list[str]:
    return [f"striate.{name}{number}d()" for name in names for number in axes]


def _numbers(value: int | Sequence[int], axes: int) -> list[int]:
    """One number an axis."""
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * axes if len(numbers) == 1 else numbers


def _slid(run: Propagation, operation: Operation, relations: Sequence[Relation], over: bool = False) -> Result:
    """Windows over the last dimensions; `over` says that all channels are read."""
    layout = run.layout(operation.args[0])
    shape = operation.outputs[0].shape
    if layout is None:
        return by_unit(run, operation)
    first = len(layout.dims) - len(relations)
    if over and layout.dims[first - 1]:
        layout = mixed(layout, [first - 1])
    layout = along(layout, {first + place: relation for place, relation in enumerate(relations)})
    if over:
        layout = Layout((*layout.dims[: first - 1], plain(shape[first - 1]), *layout.dims[first:]), layout.gone)
    return layout


@rule(
    "aten.convolution", "aten._convolution",
    *_named("conv", axes=(1, 2, 3, 4)), *_named("local_conv", "table_conv", "conv_transpose", "local_conv_transpose"),
    "striate.correlate()", "striate.convolve()",
)  # fmt: skip
def _convolution(run: Propagation, operation: Operation) -> Result:
    # What has one kernel by itself has no channels.
    channels = operation.name not in ("striate.correlate()", "striate.convolve()")
    return _slid(run, operation, _relations(operation), over=channels)


@rule(
    *(f"aten.{name}_pool{axes}d{rest}" for name in ("max", "avg") for axes in _AXES for rest in ("", "_with_indices")),
    *_named("max_pool", "avg_pool", "lp_pool", "blur_pool", "gaussian_pool"),
)
def _pool(run: Propagation, operation: Operation) -> Result:
    return _slid(run, operation, _relations(operation))


def _relations(operation: Operation) -> list[Relation]:
    """What an operation with windows reads along each of their axes."""
    found = placed(operation)
    assert found is not None
    axes = range(-len(found.windows), 0)
    if found.transposed:
        return [
            spread(window, operation.outputs[0].shape[axis]) for window, axis in zip(found.windows, axes, strict=True)
        ]
    return [
        _placed(window, found.input.shape[axis], found.mode) for window, axis in zip(found.windows, axes, strict=True)
    ]


def _axes(operation: Operation) -> int:
    """The number in an operation's name, as in "max_pool2d"."""
    return int(next(letter for letter in operation.name if letter.isdigit()))


@rule(*(f"aten.{form}adaptive_{kind}_pool{axes}d" for form in ("", "_") for kind in ("avg", "max") for axes in _AXES))
def _adaptive(run: Propagation, operation: Operation) -> Result:
    return _adapted(run, operation, _axes(operation))


@rule("aten.fractional_max_pool2d", "aten.fractional_max_pool3d")
def _fractional(run: Propagation, operation: Operation) -> Result:
    return _adapted(run, operation, _axes(operation), exact=False)


def _adapted(run: Propagation, operation: Operation, axes: int, exact: bool = True) -> Result:
    """Adaptive pooling; to one unit, it is the mean or maximum of everything."""
    layout = run.layout(operation.args[0])
    before, after = operation.args[0].shape, operation.outputs[0].shape
    if layout is None:
        return None
    dims = range(len(before) - axes, len(before))
    layout = without(layout, [dim for dim in dims if after[dim] == 1 < before[dim]], keep=True)
    return along(
        layout,
        {dim: adaptive(before[dim], after[dim], exact) for dim in dims if after[dim] > 1},
    )


@rule("aten.max_unpool2d", "aten.max_unpool3d")
def _unpool(run: Propagation, operation: Operation) -> Result:
    return _enlarged(run, operation, 1, False, _axes(operation), exact=False)


def _enlarged(
    run: Propagation,
    operation: Operation,
    taps: int,
    corners: bool,
    axes: int,
    scales: Sequence[float | None] = (None, None, None),
    smooth: bool = False,
    exact: bool = True,
) -> Result:
    """A picture of another size."""
    layouts = run.layouts(operation)
    layout = run.layout(operation.args[0]) or everything(layouts[0], operation.args[0].shape)
    before, after = operation.args[0].shape, operation.outputs[0].shape
    relations = {}
    for place in range(axes):
        dim = len(before) - axes + place
        if before[dim] != after[dim] or scales[place] not in (None, 1):
            relations[dim] = resized(before[dim], after[dim], taps, corners, scales[place], smooth)
    found = along(layout, relations)
    if not exact:
        found = _loose(found)
    return found


def _loose(layout: Layout) -> Layout:
    dims = tuple(
        tuple(Factor(f.size, tuple((a, seen.loosened()) for a, seen in f.carried), f.whole) for f in dim)
        for dim in layout.dims
    )
    return Layout(dims, {axis: seen.loosened() for axis, seen in layout.gone.items()})


_TAPS = {"nearest": 0, "_exact": 1, "linear": 2, "cubic": 4}


@rule(
    *(f"aten.{name}{axes}d" for name in ("upsample_nearest", "_upsample_nearest_exact") for axes in _AXES),
    "aten.upsample_linear1d", "aten.upsample_bilinear2d", "aten.upsample_trilinear3d", "aten.upsample_bicubic2d",
    "aten._upsample_bilinear2d_aa", "aten._upsample_bicubic2d_aa",
)  # fmt: skip
def _upsample(run: Propagation, operation: Operation) -> Result:
    given, axes, name = settings(operation), _axes(operation), operation.name
    taps = next(taps for word, taps in reversed(_TAPS.items()) if word in name)
    scales: list[Any] = [given.get(f"scales{side}") for side in ("_d", "_h", "_w")[3 - axes :]]
    if axes == 1:
        scales = [given.get("scales")]
    if given.get("scale_factors"):
        scales = list(given["scale_factors"])
    return _enlarged(run, operation, taps, bool(given.get("align_corners")), axes, scales, name.endswith("_aa"))


@rule("aten.grid_sampler_2d", "aten.grid_sampler_3d", "aten.grid_sampler")
def _grid(run: Propagation, operation: Operation) -> Result:
    # Points may lie anywhere; taken are those of a picture that is only resized, and all that the points depend on.
    axes = len(operation.outputs[0].shape) - 2
    found = _enlarged(run, operation, 2, False, axes, exact=False)
    points = run.layout(operation.args[1])
    if points is None or not isinstance(found, Layout):
        return found
    points = without(points, [-1], keep=False)
    return merged([found, Layout((points.dims[0], (), *points.dims[1:]), points.gone)], operation.outputs[0].shape)


@rule("aten.im2col", *_named("im2col"))
def _columns(run: Propagation, operation: Operation) -> Result:
    """What lies under every placement of a window, one column each."""
    before, after, relations = operation.args[0].shape, operation.outputs[0].shape, _relations(operation)
    layout = _slid(run, operation, relations, over=True)
    if not isinstance(layout, Layout):
        return layout
    first = len(before) - len(relations)
    places = tuple(factor for dim in layout.dims[first:] for factor in dim)
    return Layout((*layout.dims[: first - 1], plain(after[-2]), places), layout.gone)


def _placed(window: Window, n: int, mode: str) -> Relation:
    """A window on an input with padding of some kind."""
    relation = slid(window, n)
    kinds = {"reflect": "reflection", "replicate": "replication", "circular": "circular"}
    return wrapped(relation, n, kinds[mode]) if mode in kinds and any(window.pads(n)) else relation


@rule("aten.col2im")
def _col2im(run: Propagation, operation: Operation) -> Result:
    given = settings(operation)
    over = [
        Window(*setting)
        for setting in zip(given["kernel_size"], given["stride"], given["padding"], given["dilation"], strict=True)
    ]
    return _folded(run, operation, over, given["output_size"])


def _folded(run: Propagation, operation: Operation, over: Sequence[Window], size: Sequence[int]) -> Result:
    """Columns added up where they came from."""
    layout = run.layout(operation.args[0])
    shape = operation.outputs[0].shape
    if layout is None:
        return None
    layout = mixed(layout, [-2])
    places = layout.dims[-1]
    counts = [window.output_size(n) for window, n in zip(over, size, strict=True)]
    if tuple(f.size for f in places if f.size > 1) != tuple(n for n in counts if n > 1):
        return everything(layout, shape)
    left = [factor for factor in places if factor.size > 1]
    dims = [(left.pop(0),) if n > 1 else () for n in counts]
    apart = Layout((*layout.dims[:-2], plain(shape[-len(over) - 1]), *dims), layout.gone)
    first = len(shape) - len(over)
    return along(apart, {first + p: spread(window, size[p]) for p, window in enumerate(over)})


def _windows(given: Mapping[str, Any], kernel: Sequence[int]) -> tuple[Window, ...]:
    """The windows of a function of Striate."""
    stride = given.get("stride", 1)
    return windows(
        len(kernel),
        tuple(kernel),
        tuple(kernel) if stride is None else _plain(stride),
        _plain(given.get("padding", 0)),
        _plain(given.get("dilation", 1)),
        bool(given.get("ceil_mode", False)),
    )


def _plain(value: Any) -> Any:
    """Lists as tuples."""
    return tuple(_plain(item) for item in value) if isinstance(value, (list, tuple)) else value


@rule(*_named("adaptive_max_pool", "adaptive_avg_pool"))
def _striate_adaptive(run: Propagation, operation: Operation) -> Result:
    return _adapted(run, operation, _axes(operation))


@rule(*_named("spatial_pyramid_pool"))
def _pyramid(run: Propagation, operation: Operation) -> Result:
    layout = run.layout(operation.args[0])
    return layout and everything(layout, operation.outputs[0].shape, exact=True)


@rule(*_named("max_unpool"))
def _striate_unpool(run: Propagation, operation: Operation) -> Result:
    return _enlarged(run, operation, 1, False, _axes(operation), exact=False)


@rule(*_named("deform_conv", "deform_aggregate"), "torchvision.deform_conv2d")
def _deform(run: Propagation, operation: Operation) -> Result:
    # The taps may lie anywhere; taken is the window that nothing has deformed, and all that offsets and mask depend on.
    given, shape, relations = settings(operation), operation.outputs[0].shape, _relations(operation)
    first = len(shape) - len(relations)
    found = _slid(run, operation, relations, over=True)
    layouts = [_loose(found)] if isinstance(found, Layout) and run.layout(operation.args[0]) is not None else []
    for guide in (given["offset"], given["mask"]):
        layout = None if guide is None else run.layout(guide)
        if layout is not None:
            layout = mixed(layout, [first - 1])
            layouts.append(Layout((*layout.dims[: first - 1], (), *layout.dims[first:]), layout.gone))
    return merged(layouts, shape)


@rule(*_named("col2im"))
def _striate_fold(run: Propagation, operation: Operation) -> Result:
    given, axes = settings(operation), _axes(operation)
    over = _windows(given, _numbers(_plain(given["kernel_size"]), axes))
    return _folded(run, operation, over, _numbers(_plain(given["output_size"]), axes))


@rule("striate.local_contrast_norm()", "striate.subtractive_norm()", "striate.divisive_norm()")
def _contrast(run: Propagation, operation: Operation) -> Result:
    # What is subtracted is a mean over a window, and what is divided by is one over such means.
    layout, given, shape = run.layout(operation.args[0]), settings(operation), operation.outputs[0].shape
    if layout is None:
        return None
    sizes = given["kernel_size"]
    axes = len(shape) - 2 if isinstance(sizes, int) else len(sizes)
    rounds = 2 if operation.name == "striate.local_contrast_norm()" else 1
    layout = mixed(layout, [len(shape) - axes - 1])
    for _ in range(rounds):
        over = windows(axes, _plain(sizes), padding="half")
        relations = {len(shape) - axes + p: slid(w, shape[p - axes]) for p, w in enumerate(over)}
        layout = along(layout, relations)
    return layout


@rule("striate.local_response_norm()")
def _response(run: Propagation, operation: Operation) -> Result:
    layout, given, shape = run.layout(operation.args[0]), settings(operation), operation.outputs[0].shape
    if layout is None or not given["within_channel"]:
        return layout and mixed(layout, [1])
    size = given["size"]
    low = size // 2 if given["even"] == "torch" else (size - 1) // 2
    over = (Window(size, padding=(low, size - 1 - low)),) * (len(shape) - 2)
    return along(layout, {p + 2: slid(w, shape[p + 2]) for p, w in enumerate(over)})


@rule("striate.abs_rectify()", "striate.scaled_tanh()")
def _by_unit(run: Propagation, operation: Operation) -> Result:
    return by_unit(run, operation)


@rule("striate.maxout()")
def _maxout(run: Propagation, operation: Operation) -> Result:
    layout, shape = run.layout(operation.args[0]), operation.outputs[0].shape
    if layout is None:
        return None
    given = settings(operation)
    dim = given["dim"] % len(shape)
    layout = mixed(layout, [dim]) if any(f.carried for f in layout.dims[dim]) else layout
    return Layout((*layout.dims[:dim], plain(shape[dim]), *layout.dims[dim + 1 :]), layout.gone)
