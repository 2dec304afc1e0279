"""How the axes of an input go through operations that reorder, reduce and repeat."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from striate.inspection.receptive.layout import (
    Dim,
    Factor,
    Layout,
    along,
    collapse,
    everything,
    merged,
    mixed,
    plain,
    size_of,
    split,
    viewed,
    without,
)
from striate.inspection.receptive.propagate import Propagation, Result, by_unit, rule, settings
from striate.inspection.receptive.relation import Relation, bordered, repeated, shifted
from striate.inspection.tracing.record import Operation, Value


def _of(run: Propagation, operation: Operation) -> Layout:
    """The layout of the first input, which has one: operations of which no input has are not asked about."""
    found = run.layout(operation.args[0])
    return found if found is not None else merged(run.layouts(operation), operation.args[0].shape)


@rule("aten.clone", "aten.alias", "aten.detach", "aten.contiguous", "aten._to_copy", "aten.lift_fresh", "aten.to",
      "aten.channel_shuffle", "aten.native_channel_shuffle", "aten.native_dropout", "aten.view_as_real")  # fmt: skip
def _same(run: Propagation, operation: Operation) -> Result:
    layout = _of(run, operation)
    return [Layout((*layout.dims, *map(plain, v.shape[len(layout.dims) :])), layout.gone) for v in operation.outputs]


@rule("aten.copy_")
def _copy(run: Propagation, operation: Operation) -> Result:
    given = run.layout(operation.args[1])
    return None if given is None else merged([given], operation.outputs[0].shape)


@rule("aten.view", "aten._unsafe_view", "aten.reshape", "aten._reshape_alias", "aten.flatten")
def _view(run: Propagation, operation: Operation) -> Result:
    return viewed(_of(run, operation), operation.outputs[0].shape)


@rule("aten.as_strided")
def _strided(run: Propagation, operation: Operation) -> Result:
    layout, shape = _of(run, operation), operation.outputs[0].shape
    return layout if operation.args[0].shape == shape else everything(layout, shape)


def _ordered(layout: Layout, order: Sequence[int]) -> Layout:
    return Layout(tuple(layout.dims[place] for place in order), layout.gone)


@rule("aten.permute")
def _permute(run: Propagation, operation: Operation) -> Result:
    return _ordered(_of(run, operation), operation.args[1])


@rule("aten.transpose", "aten.t", "aten.swapaxes")
def _transpose(run: Propagation, operation: Operation) -> Result:
    layout = _of(run, operation)
    order = list(range(len(layout.dims)))
    if order:
        first, second = operation.args[1:] or (0, -1)
        order[first], order[second] = order[second], order[first]
    return _ordered(layout, order)


@rule("aten.unsqueeze")
def _unsqueeze(run: Propagation, operation: Operation) -> Result:
    layout = _of(run, operation)
    dim = operation.args[1] % (len(layout.dims) + 1)
    return Layout((*layout.dims[:dim], (), *layout.dims[dim:]), layout.gone)


@rule("aten.squeeze")
def _squeeze(run: Propagation, operation: Operation) -> Result:
    layout = _of(run, operation)
    rank = len(layout.dims)
    asked = operation.args[1] if len(operation.args) > 1 else range(rank)
    dims = {dim % rank for dim in ([asked] if isinstance(asked, int) else asked)}
    shape = operation.args[0].shape
    return _dropped(layout, {dim for dim in dims if shape[dim] == 1})


def _dropped(layout: Layout, dims: set[int]) -> Layout:
    """A layout without dimensions of one unit."""
    gone = dict(layout.gone)
    for dim in dims:
        gone.update({axis: seen for factor in layout.dims[dim] for axis, seen in factor.carried})
    return Layout(tuple(dim for place, dim in enumerate(layout.dims) if place not in dims), gone)


@rule("aten.expand", "aten.broadcast_to")
def _expand(run: Propagation, operation: Operation) -> Result:
    return merged([_of(run, operation)], operation.outputs[0].shape)


@rule("aten.repeat")
def _repeat(run: Propagation, operation: Operation) -> Result:
    layout, times = _of(run, operation), operation.args[1]
    dims: list[Dim] = [()] * (len(times) - len(layout.dims)) + list(layout.dims)
    return Layout(tuple((Factor(n), *dim) if n > 1 else dim for n, dim in zip(times, dims, strict=True)), layout.gone)


@rule("aten.slice")
def _slice(run: Propagation, operation: Operation) -> Result:
    given = settings(operation)
    whole, output, dim = operation.args[0], operation.outputs[0], given["dim"]
    dim %= len(whole.shape)
    n, begin = whole.shape[dim], given["start"] or 0
    begin = max(begin + n, 0) if begin < 0 else min(begin, n)
    run.cut(output, whole, dim, begin, given["step"])
    layout = run.layout(whole)
    if layout is None or (begin == 0 and output.shape[dim] == n):
        return layout
    return along(layout, {dim: shifted(begin, output.shape[dim], given["step"])})


@rule("aten.select")
def _select(run: Propagation, operation: Operation) -> Result:
    whole, dim, index = operation.args
    dim %= len(whole.shape)
    run.cut(operation.outputs[0], whole, dim, index % whole.shape[dim], 0)
    layout = run.layout(whole)
    return None if layout is None else _dropped(_at(layout, dim, index % whole.shape[dim], 1), {dim})


def _at(layout: Layout, dim: int, begin: int, count: int) -> Layout:
    return along(layout, {dim: shifted(begin, count)})


@rule("aten.split", "aten.split_with_sizes", "aten.unsafe_split", "aten.unsafe_split_with_sizes", "aten.chunk",
      "aten.unsafe_chunk", "aten.tensor_split", "aten.split_copy", "aten.split_with_sizes_copy")  # fmt: skip
def _split(run: Propagation, operation: Operation) -> Result:
    layout = _of(run, operation)
    dim = settings(operation)["dim"] % len(layout.dims)
    parts, begin = [], 0
    for output in operation.outputs:
        run.cut(output, operation.args[0], dim, begin, 1)
        parts.append(_at(layout, dim, begin, output.shape[dim]))
        begin += output.shape[dim]
    return parts


@rule("aten.unbind")
def _unbind(run: Propagation, operation: Operation) -> Result:
    layout = _of(run, operation)
    dim = settings(operation)["dim"] % len(layout.dims)
    return [_dropped(_at(layout, dim, place, 1), {dim}) for place in range(len(operation.outputs))]


@rule("aten.cat", "aten.concat")
def _cat(run: Propagation, operation: Operation) -> Result:
    shape = operation.outputs[0].shape
    dim = settings(operation)["dim"] % len(shape)
    parts = [value for value in operation.args[0] if len(value.shape) == len(shape)]
    return _joined([(run.layout(value), value.shape[dim]) for value in parts], dim, shape)


@rule("aten.stack")
def _stack(run: Propagation, operation: Operation) -> Result:
    shape = operation.outputs[0].shape
    dim = settings(operation)["dim"] % len(shape)
    parts: list[tuple[Layout | None, int]] = []
    for value in operation.args[0]:
        layout = run.layout(value)
        parts.append((layout and Layout((*layout.dims[:dim], (), *layout.dims[dim:]), layout.gone), 1))
    return _joined(parts, dim, shape)


def _joined(parts: Sequence[tuple[Layout | None, int]], dim: int, shape: tuple[int, ...]) -> Layout:
    """Parts one after another along a dimension."""
    held = [layout for layout, _ in parts if layout is not None]
    axes: dict[int, None] = {}
    for layout in held:
        axes.update((axis, None) for factor in layout.dims[dim] for axis, _ in factor.carried)
    if all(n == 1 for _, n in parts) and len(parts) == len(held) > 1:
        # Steps of a row, each with what it has seen: the row has an axis again where the steps see different things.
        first = held[0].gone
        axes.update(
            (axis, None) for axis in first if any(layout.gone.get(axis) is not first[axis] for layout in held)
            and all(axis in layout.gone for layout in held)
        )  # fmt: skip
    rest = merged([_unjoined(layout, dim, axes) for layout in held], (*shape[:dim], 1, *shape[dim + 1 :]))
    carried = []
    for axis in axes:
        rows = [(None if layout is None else _along(layout, dim, axis), n) for layout, n in parts]
        seen = next(row for row, _ in rows if row is not None)
        carried.append((axis, seen.joined(rows)))
    run_of = (Factor(shape[dim], tuple(carried)),) if carried else plain(shape[dim])
    return Layout((*rest.dims[:dim], run_of, *rest.dims[dim + 1 :]), rest.gone)


def _unjoined(layout: Layout, dim: int, axes: dict[int, None]) -> Layout:
    gone = {axis: seen for axis, seen in layout.gone.items() if axis not in axes}
    return Layout((*layout.dims[:dim], (), *layout.dims[dim + 1 :]), gone)


def _along(layout: Layout, dim: int, axis: int) -> Any:
    """What the units along a dimension see of an axis; None if nothing."""
    if layout.dims[dim]:
        found = dict(collapse(layout.dims[dim]).carried).get(axis)
        if found is not None:
            return found
    found = layout.gone.get(axis)
    size = size_of(layout.dims[dim])
    return found if found is None or size == 1 else found.moved(shifted(0, 1)).moved(Relation(size, 0, ((0,),)))


@rule("aten.constant_pad_nd", "aten.pad")
def _pad(run: Propagation, operation: Operation) -> Result:
    layout, places, shape = _of(run, operation), operation.args[1], operation.outputs[0].shape
    pads = {len(shape) - 1 - place // 2: places[place] for place in range(0, len(places), 2)}
    return along(
        layout,
        {
            dim: shifted(-low, shape[dim])
            for dim, low in pads.items()
            if low or shape[dim] != operation.args[0].shape[dim]
        },
    )


@rule(*(f"aten.{kind}_pad{axes}d" for kind in ("reflection", "replication") for axes in (1, 2, 3)))
def _border(run: Propagation, operation: Operation) -> Result:
    layout, places = _of(run, operation), operation.args[1]
    before, after = operation.args[0].shape, operation.outputs[0].shape
    kind = operation.name.removeprefix("aten.").partition("_")[0]
    relations = {}
    for place in range(0, len(places), 2):
        dim = len(after) - 1 - place // 2
        relations[dim] = bordered(places[place], before[dim], after[dim], kind)
    return along(layout, relations)


@rule("aten.roll")
def _roll(run: Propagation, operation: Operation) -> Result:
    layout, given = _of(run, operation), settings(operation)
    if not given["dims"]:
        return everything(layout, operation.outputs[0].shape, exact=True)
    shape = operation.outputs[0].shape
    moves = zip(given["dims"], given["shifts"], strict=True)
    return along(layout, {dim % len(shape): bordered(by, shape[dim], shape[dim], "circular") for dim, by in moves})


@rule("aten.flip")
def _flip(run: Propagation, operation: Operation) -> Result:
    shape = operation.outputs[0].shape
    dims = [dim % len(shape) for dim in operation.args[1]]
    return along(_of(run, operation), {dim: shifted(shape[dim] - 1, shape[dim], backward=True) for dim in dims})


@rule("aten.unfold")
def _unfold(run: Propagation, operation: Operation) -> Result:
    value, dim, size, step = operation.args
    dim %= max(len(value.shape), 1)
    count = operation.outputs[0].shape[dim]
    window = Relation(count, step, (range(size),), Fraction(size - 1, 2))
    layout = along(_of(run, operation), {dim: window})
    return Layout((*layout.dims, plain(size)), layout.gone)


@rule("aten.pixel_shuffle")
def _shuffle(run: Propagation, operation: Operation) -> Result:
    layout, shape, factor = _of(run, operation), operation.outputs[0].shape, operation.args[1]
    channels = mixed(layout, [-3]).dims[-3] if layout.dims[-3] else ()
    gone = {**layout.gone, **mixed(layout, [-3]).gone} if channels else layout.gone
    rows, columns = ((*dim, *plain(factor)) for dim in layout.dims[-2:])
    return Layout((*layout.dims[:-3], plain(shape[-3]), rows, columns), gone)


@rule("aten.pixel_unshuffle")
def _unshuffle(run: Propagation, operation: Operation) -> Result:
    layout, shape, factor = _of(run, operation), operation.outputs[0].shape, operation.args[1]
    layout = mixed(layout, [-3])
    rows, columns = (split(collapse(dim), size_of(dim) // factor)[:1] if dim else () for dim in layout.dims[-2:])
    dims = [Factor(part.size, part.carried) for pair in (rows, columns) for part in pair]
    return Layout((*layout.dims[:-3], plain(shape[-3]), *((dim,) for dim in dims)), layout.gone)


_REDUCTIONS = (
    "mean", "sum", "amax", "amin", "max", "min", "prod", "var", "std", "var_mean", "std_mean", "norm", "any", "all",
    "linalg_vector_norm", "logsumexp", "argmax", "argmin", "median", "nanmedian", "nansum", "nanmean", "mode",
    "aminmax", "count_nonzero", "kthvalue",
)  # fmt: skip


@rule(*(f"aten.{name}" for name in _REDUCTIONS))
def _reduce(run: Propagation, operation: Operation) -> Result:
    given = settings(operation)
    if len(operation.args) > 1 and isinstance(operation.args[1], Value):
        return by_unit(run, operation)
    layout = _of(run, operation)
    dims = given.get("dim")
    dims = range(len(layout.dims)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    return without(layout, dims, bool(given.get("keepdim", False)))


_MIXING = ("_softmax", "_log_softmax", "softmax", "log_softmax", "_safe_softmax", "cumsum", "cumprod", "cummax",
           "cummin", "logcumsumexp", "topk", "sort", "argsort", "gather", "index_select", "renorm")  # fmt: skip


@rule(*(f"aten.{name}" for name in _MIXING))
def _mix(run: Propagation, operation: Operation) -> Result:
    layout = merged(run.layouts(operation)[:1], operation.args[0].shape)
    given = settings(operation)
    dim = given.get("dim", -1)
    found = mixed(layout, [dim]) if layout.dims else layout
    return [_resized(found, value.shape) for value in operation.outputs]


def _resized(layout: Layout, shape: Sequence[int]) -> Layout:
    """A layout of dimensions of which those without an axis may have other sizes."""
    dims = tuple(dim if size_of(dim) == size else plain(size) for dim, size in zip(layout.dims, shape, strict=True))
    return Layout(dims, layout.gone)


@rule("aten._fft_r2c", "aten._fft_c2c", "aten._fft_c2r")
def _fft(run: Propagation, operation: Operation) -> Result:
    return _resized(mixed(_of(run, operation), operation.args[1]), operation.outputs[0].shape)


@rule("aten.index")
def _index(run: Propagation, operation: Operation) -> Result:
    layout, indices = _of(run, operation), operation.args[1]
    dims = [place for place, index in enumerate(indices) if index is not None]
    if len(dims) != 1 or len(indices[dims[0]].shape) != 1 or run.layout(indices[dims[0]]) is not None:
        return everything(layout, operation.outputs[0].shape)
    found = mixed(layout, dims)
    touched = {axis for factor in layout.dims[dims[0]] for axis, _ in factor.carried}
    gone = {axis: seen.loosened() if axis in touched else seen for axis, seen in found.gone.items()}
    return _resized(Layout(found.dims, gone), operation.outputs[0].shape)


@rule("aten.embedding")
def _embedding(run: Propagation, operation: Operation) -> Result:
    layout = run.layout(operation.args[1])
    if layout is None:
        return everything(_of(run, operation), operation.outputs[0].shape)
    return Layout((*layout.dims, plain(operation.outputs[0].shape[-1])), layout.gone)


@rule("aten.repeat_interleave")
def _interleave(run: Propagation, operation: Operation) -> Result:
    given, shape = settings(operation), operation.outputs[0].shape
    dim = given.get("dim")
    if dim is None or not isinstance(given.get("repeats"), int):
        return everything(_of(run, operation), shape)
    n = operation.args[0].shape[dim]
    return along(_of(run, operation), {dim % len(shape): repeated(n, given["repeats"], n * given["repeats"])})
