"""Multiply-accumulates of operators: those of PyTorch, of torchvision, and the public functions of Striate."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from striate.inspection.counting.rules import Counted, OperationRule
from striate.inspection.tracing.trace import Operation, Value


def argument(operation: Operation, place: int, name: str, otherwise: Any = None) -> Any:
    """An argument, given by its place or by its name."""
    if len(operation.args) > place:
        return operation.args[place]
    return operation.kwargs.get(name, otherwise)


def _tensor(operation: Operation, place: int, name: str) -> Value:
    value: Value = argument(operation, place, name)
    return value


def _shape(operation: Operation, place: int) -> tuple[int, ...]:
    value: Value = operation.args[place]
    return value.shape


def _images(maps: Value, axes: int) -> int:
    """Samples and places of `(N, C, *sizes)` or `(C, *sizes)`: everything but the channels."""
    shape = maps.shape
    return prod(shape[: -axes - 1]) * prod(shape[-axes:])


def _taps(weight: Value, other: Value) -> int:
    """Each filter at each place of the other."""
    return _images(other, len(weight.shape) - 2) * prod(weight.shape)


def _convolution(operation: Operation) -> int:
    return _taps(_tensor(operation, 1, "weight"), operation.outputs[0])


def _transposed(operation: Operation) -> int:
    return _taps(_tensor(operation, 1, "weight"), _tensor(operation, 0, "input"))


def _either(operation: Operation) -> int:
    """`convolution`, which says whether it is transposed."""
    return _transposed(operation) if operation.args[6] else _convolution(operation)


def _table(operation: Operation) -> int:
    weight = _tensor(operation, 1, "weight")
    return _images(operation.outputs[0], len(weight.shape) - 1) * prod(weight.shape)


def _unshared(axes: int) -> OperationRule:
    def rule(operation: Operation) -> int:
        """A filter for each place, so that the weight has as many axes more."""
        samples = prod(_tensor(operation, 0, "input").shape[: -axes - 1])
        return samples * prod(_tensor(operation, 1, "weight").shape)

    return rule


def _deformable(operation: Operation) -> dict[str, int]:
    """Every tap reads between places, from two corners an axis, in every channel."""
    weight, read = _tensor(operation, 2 if _is_ours(operation) else 1, "weight"), _tensor(operation, 0, "input")
    axes = len(weight.shape) - 2
    places = _images(operation.outputs[0], axes)
    samples = places * prod(weight.shape[2:]) * read.shape[-axes - 1]
    return {"product": places * prod(weight.shape), "sampling": 2**axes * samples}


def _is_ours(operation: Operation) -> bool:
    """Striate has the offset before the weight, torchvision after it."""
    return operation.name.startswith("striate.")


def _aggregate(axes: int) -> OperationRule:
    def rule(operation: Operation) -> dict[str, int]:
        """A factor for every sample instead of weights."""
        groups = argument(operation, 7, "groups", 1)
        taps = _tensor(operation, 2, "mask").shape[-axes - 1] // groups
        samples = prod(operation.outputs[0].shape) * taps
        return {"product": samples, "sampling": 2**axes * samples}

    return rule


def _correlation(operation: Operation) -> int:
    return prod(operation.outputs[0].shape) * prod(_tensor(operation, 1, "kernel").shape)


def _window(axes: int, usual: int | None) -> OperationRule:
    def rule(operation: Operation) -> int:
        """A filter for each channel by itself."""
        size = argument(operation, 1, "kernel_size", usual)
        return prod(operation.outputs[0].shape) * _volume(size, axes)

    return rule


def _volume(size: int | Sequence[int], axes: int) -> int:
    return int(size) ** axes if isinstance(size, int) else prod(size)


def _contrast(*parts: str) -> OperationRule:
    def rule(operation: Operation) -> dict[str, int]:
        """A filter over all channels for each part."""
        read = _tensor(operation, 0, "input")
        each = prod(read.shape) * _volume(argument(operation, 1, "kernel_size", 7), len(read.shape) - 2)
        return dict.fromkeys(parts, each)

    return rule


def _steps(operation: Operation) -> int:
    """`conv_tbc`: `(places, samples, channels)`."""
    return prod(operation.outputs[0].shape[:2]) * prod(_shape(operation, 1))


def _affine_grid(operation: Operation) -> int:
    """A coordinate of each place from those of all axes and 1."""
    written = operation.outputs[0].shape
    return prod(written) * (written[-1] + 1)


def _bags(operation: Operation) -> int:
    """Rows are added up, with a factor each if there are some."""
    factors = argument(operation, 6, "per_sample_weights")
    return 0 if factors is None else prod(factors.shape) * _shape(operation, 0)[-1]


def _matrices(first: int) -> OperationRule:
    def rule(operation: Operation) -> int:
        """`(..., n, k)` by `(..., k, m)`, which stand at `first` and after it."""
        left, right = _shape(operation, first), _shape(operation, first + 1)
        return prod(left) * right[-1]

    return rule


def _vector(first: int) -> OperationRule:
    return lambda operation: prod(operation.args[first].shape)


def _matmul(operation: Operation) -> int:
    left, right = _shape(operation, 0), _shape(operation, 1)
    if len(right) == 1:
        return prod(left)
    if len(left) == 1:
        return prod(right)
    return prod(operation.outputs[0].shape) * left[-1]


def _linear(operation: Operation) -> int:
    weight = _tensor(operation, 1, "weight")
    return prod(_tensor(operation, 0, "input").shape) * (weight.shape[0] if len(weight.shape) == 2 else 1)


def _einsum(operation: Operation) -> Counted:
    """For two operands all letters together; for more of them it depends on the order."""
    terms = str(operation.args[0]).replace(" ", "").split("->")[0].split(",")
    operands = operation.args[1]
    if len(operands) != 2 or any("." in term for term in terms):
        return None
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, operands, strict=True):
        for letter, size in zip(term, operand.shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return prod(sizes.values())


def _bilinear(operation: Operation) -> Counted:
    """`out[n, o] = x1[n] @ weight[o] @ x2[n]`: the weight by x2, and that by x1."""
    weight, last = (1, 0) if operation.name == "aten._trilinear" else (2, 1)
    if operation.name == "aten._trilinear" and operation.args[3:7] != ([1, 3], [0], [1, 2], [2, 3]):
        return None
    out, first, second = _shape(operation, weight)
    samples = prod(_shape(operation, last)[:-1])
    return samples * out * first * (second + 1)


def attention(query: Sequence[int], key: Sequence[int], value: Sequence[int]) -> dict[str, int]:
    """Queries `(..., L, E)` with keys `(..., S, E)`, and their weights with values `(..., S, V)`; heads in front."""
    pairs = prod(query[:-1]) * key[-2]
    return {"scores": pairs * query[-1], "values": pairs * value[-1]}


def _attention(operation: Operation) -> dict[str, int]:
    query, key, value = (given.shape for given in operation.args[:3])
    return attention(query, key, value)


def _attention_places_first(operation: Operation) -> Counted:
    """The same with heads behind the places; sequences of several lengths in one are not counted."""
    lengths = operation.args[3:5] if operation.name == "aten._flash_attention_forward" else operation.args[4:6]
    if any(length is not None for length in lengths):
        return None
    query, key, value = ((*given.shape[:-3], given.shape[-2], given.shape[-3], given.shape[-1])
                         for given in operation.args[:3])  # fmt: skip
    return attention(query, key, value)


def _heads(query: Sequence[int], key: Sequence[int]) -> dict[str, int]:
    """An attention with its projections, for `(N, L, E)` and `(N, S, E)`; how many heads there are does not matter."""
    n, targets, width = query
    sources = key[-2]
    return {
        "projections": n * (targets + 2 * sources) * width**2,
        **attention(query, key, key),
        "output": n * targets * width**2,
    }


def _multi_head(operation: Operation) -> dict[str, int]:
    return _heads(operation.args[0].shape, operation.args[1].shape)


def _encoder(operation: Operation) -> dict[str, int]:
    source = operation.args[0].shape
    first, second = operation.args[14], operation.args[16]
    return {**_heads(source, source), "feed-forward": prod(source[:-1]) * (prod(first.shape) + prod(second.shape))}


def _interpolation(each: int) -> OperationRule:
    return lambda operation: each * prod(operation.outputs[0].shape)


def _grid(axes: int) -> OperationRule:
    def rule(operation: Operation) -> int:
        """Bilinear, nearest or bicubic, by their number."""
        each = (2**axes, 0, 4**axes)[argument(operation, 2, "interpolation_mode", 0)]
        return each * prod(operation.outputs[0].shape)

    return rule


def _all(rule: OperationRule, names: str) -> dict[str, OperationRule]:
    return dict.fromkeys((f"aten.{name}" for name in names.split()), rule)


def _along(name: str, rule: Callable[[int], OperationRule], axes: Sequence[int] = (1, 2, 3)) -> dict[str, Any]:
    return {f"striate.{name}{n}d()": rule(n) for n in axes}


RULES: Mapping[str, OperationRule] = {
    **_all(_either, "convolution _convolution convolution_overrideable"),
    **_all(
        _convolution,
        "conv1d conv2d conv3d cudnn_convolution cudnn_convolution_relu cudnn_convolution_add_relu mkldnn_convolution "
        "miopen_convolution miopen_convolution_relu miopen_convolution_add_relu miopen_depthwise_convolution "
        "_slow_conv2d_forward thnn_conv2d slow_conv3d slow_conv3d_forward slow_conv_dilated2d slow_conv_dilated3d "
        "_conv_depthwise2d conv_depthwise3d _nnpack_spatial_convolution _mps_convolution",
    ),
    **_all(
        _transposed,
        "conv_transpose1d conv_transpose2d conv_transpose3d cudnn_convolution_transpose miopen_convolution_transpose "
        "slow_conv_transpose2d slow_conv_transpose3d",
    ),
    **_all(_steps, "conv_tbc"),
    **_all(_affine_grid, "affine_grid_generator cudnn_affine_grid_generator"),
    **_all(_bags, "embedding_bag _embedding_bag _embedding_bag_forward_only"),
    **_all(_matrices(0), "mm bmm _scaled_mm _int_mm"),
    **_all(_matrices(1), "addmm addmm_ addbmm addbmm_ baddbmm baddbmm_ _addmm_activation"),
    **_all(_vector(0), "mv dot vdot"),
    **_all(_vector(1), "addmv addmv_"),
    **_all(_matmul, "matmul linalg_matmul"),
    **_all(_linear, "linear mkldnn_linear"),
    **_all(_einsum, "einsum"),
    **_all(_bilinear, "_trilinear bilinear"),
    **_all(
        _attention,
        "scaled_dot_product_attention _scaled_dot_product_attention_math _scaled_dot_product_flash_attention "
        "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_efficient_attention "
        "_scaled_dot_product_cudnn_attention _scaled_dot_product_fused_attention_overrideable",
    ),
    **_all(_attention_places_first, "_flash_attention_forward _efficient_attention_forward"),
    **_all(_multi_head, "_native_multi_head_attention"),
    **_all(_encoder, "_transformer_encoder_layer_fwd"),
    **_all(_interpolation(2), "upsample_linear1d"),
    **_all(_interpolation(4), "upsample_bilinear2d"),
    **_all(_interpolation(8), "upsample_trilinear3d"),
    **_all(_interpolation(16), "upsample_bicubic2d"),
    **_all(_grid(2), "grid_sampler_2d cudnn_grid_sampler"),
    **_all(_grid(3), "grid_sampler_3d"),
    **_along("conv", lambda axes: _convolution, (1, 2, 3, 4)),
    **_along("conv_transpose", lambda axes: _transposed),
    **_along("local_conv", _unshared),
    **_along("local_conv_transpose", _unshared),
    **_along("table_conv", lambda axes: _table),
    **_along("deform_conv", lambda axes: _deformable),
    **_along("deform_aggregate", _aggregate),
    **_along("gaussian_pool", lambda axes: _window(axes, None)),
    **_along("blur_pool", lambda axes: _window(axes, 3)),
    "striate.correlate()": _correlation,
    "striate.convolve()": _correlation,
    "striate.subtractive_norm()": _contrast("mean"),
    "striate.divisive_norm()": _contrast("deviation"),
    "striate.local_contrast_norm()": _contrast("mean", "deviation"),
    "torchvision.deform_conv2d": _deformable,
}
"""By the names of operations."""
