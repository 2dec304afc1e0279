"""How the axes of an input go through products of matrices, attention, recurrent layers and normalisation."""

from collections.abc import Sequence

from torch import nn

from striate.inspection.receptive.layout import Layout, merged, mixed, plain, without
from striate.inspection.receptive.propagate import Propagation, Result, by_unit, rule
from striate.inspection.tracing.record import Operation, Value


def _product(run: Propagation, first: Value, second: Value, shape: Sequence[int]) -> Layout | None:
    """Rows of one matrix by columns of another."""
    rows, columns = run.layout(first), run.layout(second)
    parts: list[Layout] = []
    if rows is not None:
        rows = without(rows, [-1], keep=True) if rows.dims else rows
        parts.append(rows if len(second.shape) > 1 else _dropped(rows))
    if columns is not None:
        keep = len(first.shape) > 1
        columns = without(columns, [-2 if len(second.shape) > 1 else -1], keep=keep and len(second.shape) > 1)
        parts.append(columns)
    return merged(parts, tuple(shape)) if parts else None


def _dropped(layout: Layout) -> Layout:
    return Layout(layout.dims[:-1], layout.gone)


@rule("aten.mm", "aten.bmm", "aten.matmul", "aten.mv", "aten.dot", "aten.vdot", "aten._scaled_mm")
def _mm(run: Propagation, operation: Operation) -> Result:
    return _product(run, operation.args[0], operation.args[1], operation.outputs[0].shape)


@rule("aten.addmm", "aten.baddbmm", "aten.addmv", "aten.addbmm")
def _addmm(run: Propagation, operation: Operation) -> Result:
    shape = operation.outputs[0].shape
    parts = [run.layout(operation.args[0]), _product(run, operation.args[1], operation.args[2], shape)]
    return merged([part for part in parts if part is not None], shape)


@rule("aten.linear")
def _linear(run: Propagation, operation: Operation) -> Result:
    layout = run.layout(operation.args[0])
    if layout is None:
        return None
    found = mixed(layout, [-1])
    return Layout((*found.dims[:-1], plain(operation.outputs[0].shape[-1])), found.gone)


@rule(
    "aten.scaled_dot_product_attention", "aten._scaled_dot_product_flash_attention_for_cpu",
    "aten._scaled_dot_product_flash_attention", "aten._scaled_dot_product_efficient_attention",
    "aten._scaled_dot_product_cudnn_attention", "aten._scaled_dot_product_attention_math",
    "aten._scaled_dot_product_fused_attention_overrideable",
)  # fmt: skip
def _attention(run: Propagation, operation: Operation) -> Result:
    query, key, value = (run.layout(item) for item in operation.args[:3])
    shape = operation.outputs[0].shape
    parts = [without(item, [-2, -1], keep=True) for item in (key, value) if item is not None]
    if query is not None:
        parts.append(without(query, [-1], keep=True))
    return [merged(parts, shape)] if parts else None


@rule("aten.mkldnn_rnn_layer", "aten._cudnn_rnn", "aten.miopen_rnn")
def _recurrent(run: Propagation, operation: Operation) -> Result:
    layouts = run.layouts(operation)
    layout = run.layout(operation.args[0]) or layouts[0]
    found = mixed(layout, [0, -1])
    results: list[Layout | None] = []
    for place, output in enumerate(operation.outputs):
        dims = found.dims if place == 0 else (found.dims[:1], found.dims[1], found.dims[2:])
        batch = dims[1] if len(found.dims) > 1 else ()
        held = (plain(output.shape[0]), batch, plain(output.shape[-1]))
        results.append(Layout(held, found.gone) if len(output.shape) == 3 and place < 3 else None)
    return results


@rule("aten.native_batch_norm", "aten._native_batch_norm_legit", "aten._native_batch_norm_legit_no_training",
      "aten.cudnn_batch_norm", "aten.batch_norm", "aten._batch_norm_with_update",
      "aten._batch_norm_no_update", "aten._native_batch_norm_legit_functional")  # fmt: skip
def _batch_norm(run: Propagation, operation: Operation) -> Result:
    # What the statistics of a batch read is not counted: it is gone when training is over.
    layout = run.layout(operation.args[0])
    if layout is None:
        return None
    trace = run.trace
    if isinstance(trace.calls[operation.call].module, nn.modules.instancenorm._InstanceNorm):
        layout = _normalized(layout, range(2, len(layout.dims)))
    return [layout]


def _normalized(layout: Layout, dims: Sequence[int]) -> Layout:
    """Units of which each reads the mean and the variance along some dimensions, beside itself."""
    shape = tuple(_size(layout, place) for place in range(len(layout.dims)))
    return merged([layout, without(layout, dims, keep=True)], shape)


def _size(layout: Layout, dim: int) -> int:
    size = 1
    for factor in layout.dims[dim]:
        size *= factor.size
    return size


@rule("aten.native_group_norm", "aten.group_norm")
def _group_norm(run: Propagation, operation: Operation) -> Result:
    layout = run.layout(operation.args[0])
    return None if layout is None else [_normalized(layout, range(1, len(layout.dims)))]


@rule("aten.native_layer_norm", "aten.layer_norm", "aten.rms_norm", "aten._fused_rms_norm")
def _layer_norm(run: Propagation, operation: Operation) -> Result:
    layout = run.layout(operation.args[0])
    if layout is None:
        return None
    rank = len(layout.dims)
    return [_normalized(layout, range(rank - len(operation.args[1]), rank))]


@rule("aten.local_response_norm", "aten.where", "aten.addcmul", "aten.addcdiv", "aten.lerp", "aten.bernoulli")
def _by_unit(run: Propagation, operation: Operation) -> Result:
    return by_unit(run, operation)
