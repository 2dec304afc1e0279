"""Multiply-accumulates as other tools count them, for comparing with papers."""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

from striate.inspection.counting.free import FREE
from striate.inspection.counting.modules import GATES
from striate.inspection.counting.operators import RULES, argument
from striate.inspection.counting.rules import Cost
from striate.inspection.tracing.trace import Call, Operation, Trace

_Sizes = tuple[int, ...]
_OfModule = Callable[[Any, _Sizes, _Sizes], Any]

_CONVOLUTIONS = "convolution _convolution convolution_overrideable cudnn_convolution _slow_conv2d_forward".split()
_PRODUCTS = "mm addmm bmm baddbmm _scaled_mm".split()
_ATTENTIONS = """
_scaled_dot_product_efficient_attention _scaled_dot_product_flash_attention _scaled_dot_product_cudnn_attention
_flash_attention_forward _efficient_attention_forward
""".split()
_TORCH = {f"aten.{name}" for name in (*_CONVOLUTIONS, *_PRODUCTS, *_ATTENTIONS)}

_FVCORE = {
    *(f"aten.{name}" for name in (*_CONVOLUTIONS, *_PRODUCTS[:3], "matmul", "linear", "einsum")),
    *(f"aten.conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)),
    *(f"striate.conv{kind}{n}d()" for kind in ("", "_transpose") for n in (1, 2, 3)),
}


def like_torch(trace: Trace) -> tuple[dict[int, Cost], tuple[str, ...]]:
    """By operation as `torch.utils.flop_counter.FlopCounterMode` does: the products that PyTorch itself makes.

    Its number is twice this, the FLOPs.

    Args:
        trace: the run.

    Returns:
        The costs, and the operators that it passes over though they have products.
    """
    macs: dict[int, int] = {}
    for place, operation in enumerate(trace.operations):
        if operation.name in _TORCH:
            counted = RULES[operation.name](operation)
            while trace.operations[place].within is not None:
                place = trace.operations[place].within or 0
            macs[place] = macs.get(place, 0) + _sum(counted)
    return _costs(macs), _passed_over(trace, macs.__contains__)


def like_fvcore(trace: Trace) -> tuple[dict[int, Cost], tuple[str, ...]]:
    """By operation as fvcore's `FlopCountAnalysis` does, whose "flops" are multiply-accumulates.

    A normalisation counts as 1 to 5 a number, an interpolation as 1 or 4, and an adaptive average as 1 a number read.

    Args:
        trace: the run.

    Returns:
        The costs, and the operators that it passes over though they have products.

    Source:
        fvcore 0.1.5, fvcore/nn/jit_handles.py and flop_count.py.
    """
    macs: dict[int, int] = {}
    for place, operation in enumerate(trace.operations):
        if operation.within is not None:
            continue
        rule = _of_fvcore(operation, trace)
        if rule is not None:
            macs[place] = rule(operation)
    return _costs(macs), _passed_over(trace, macs.__contains__)


def like_thop(trace: Trace) -> tuple[dict[int, Cost], tuple[str, ...]]:
    """By call as thop's hooks do, always as in evaluation; what is not called as a module counts as nothing.

    A transposed convolution is counted by its output places there, and a normalisation as 2 or 4 a number.

    Args:
        trace: the run.

    Returns:
        The costs, and the operators that it passes over though they have products.

    Source:
        thop 0.1.1, thop/profile.py, vision/basic_hooks.py, vision/calc_func.py and rnn_hooks.py.
    """
    macs: dict[int, int] = {}
    for place, call in enumerate(trace.calls):
        rule = _of_thop(call)
        if rule is not None and call.inputs and call.outputs:
            macs[place] = int(rule(call.module, call.inputs[0].shape, call.outputs[0].shape))
    within = {place for place, call in enumerate(trace.calls) if _is_within(place, trace, macs)}
    return _costs(macs), _passed_over(trace, lambda place: trace.operations[place].call in within)


PRESETS: Mapping[str, Callable[[Trace], tuple[dict[int, Cost], tuple[str, ...]]]] = {
    "fvcore": like_fvcore,
    "thop": like_thop,
    "torch": like_torch,
}
"""By the tools' names; all but thop count operations, and that counts calls."""


def _costs(macs: Mapping[int, int]) -> dict[int, Cost]:
    return {place: Cost(each, 2 * each) for place, each in macs.items()}


def _sum(counted: Any) -> int:
    if isinstance(counted, Mapping):
        return sum(counted.values())
    return counted or 0


def _passed_over(trace: Trace, counted: Callable[[int], bool]) -> tuple[str, ...]:
    """Names of operations with products, or perhaps with some, that the tool does not count."""
    return tuple(
        dict.fromkeys(
            operation.name
            for place, operation in enumerate(trace.operations)
            if operation.within is None and operation.name not in FREE and not counted(place) and _costs_some(operation)
        )
    )


def _costs_some(operation: Operation) -> bool:
    """Whether an operation has products; one that nobody knows may have."""
    rule = RULES.get(operation.name)
    counted = None if rule is None else rule(operation)
    return counted is None or _sum(counted) > 0


def _is_within(place: int | None, trace: Trace, counted: Mapping[int, int]) -> bool:
    while place is not None:
        if place in counted:
            return True
        place = trace.calls[place].parent
    return False


def _of_fvcore(operation: Operation, trace: Trace) -> Callable[[Operation], int] | None:
    name, kind = operation.name, trace.calls[operation.call].kind
    if name in _FVCORE:
        # It sees a recurrent layer as one operator, for which it has no rule.
        return None if kind in ("RNN", "GRU", "LSTM") else lambda operation: _sum(RULES[name](operation))
    if name in _NORMS:
        return _batch_norm if _NORMS[name] is None else _norm(_NORMS[name] or 0)
    if name in _SCALED:
        return lambda operation: _SCALED[name] * prod(operation.outputs[0].shape)
    if name in _AVERAGES and kind not in ("AdaptiveAvgPool1d", "AdaptiveAvgPool3d"):
        # The average over a whole picture is a mean, of the last two axes in this order.
        if name != "aten.mean" or operation.args[1:] == ([-1, -2], True):
            return lambda operation: prod(operation.inputs[0].shape)
    return None


_NORMS = {
    **dict.fromkeys(
        (
            f"aten.{name}"
            for name in ("batch_norm", "native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm",
                         "_native_batch_norm_legit_no_training")
        ),
        None,
    ),
    "aten.native_layer_norm": 2,
    "aten.layer_norm": 2,
    "aten.native_group_norm": 1,
    "aten.group_norm": 2,
    "aten.instance_norm": 1,
}  # fmt: skip
_SCALED = {
    "aten.upsample_nearest2d": 1,
    "aten.upsample_bilinear2d": 4,
    "aten.grid_sampler_2d": 4,
    "aten.grid_sampler_3d": 4,
    "aten.cudnn_grid_sampler": 4,
}
_AVERAGES = {"aten.adaptive_avg_pool2d", "aten._adaptive_avg_pool2d", "striate.adaptive_avg_pool2d()", "aten.mean"}


def _batch_norm(operation: Operation) -> int:
    """In training 4 or 5 a number as other norms, in evaluation 1 or 2, with and without learned factors."""
    training = next((given for given in operation.args if isinstance(given, bool)), False)
    learned = argument(operation, 1, "weight") is not None
    return prod(operation.inputs[0].shape) * (3 * training + 1 + learned)


def _norm(weight: int) -> Callable[[Operation], int]:
    return lambda operation: prod(operation.inputs[0].shape) * (4 + (operation.args[weight] is not None))


def _of_thop(call: Call) -> _OfModule | None:
    kind = type(call.module)
    if kind.__module__.startswith(("torch.nn.", "striate.nn.")):
        return _THOP.get(kind.__name__)
    return None


def _thop_convolution(module: Any, read: _Sizes, written: _Sizes) -> Any:
    return prod(written) * (read[1] // module.groups) * prod(module.weight.shape[2:])


def _thop_norm(module: Any, read: _Sizes, written: _Sizes) -> Any:
    learned = getattr(module, "affine", False) or getattr(module, "elementwise_affine", False)
    return (4 if learned else 2) * prod(read)


def _thop_softmax(module: Any, read: _Sizes, written: _Sizes) -> Any:
    if module.dim is None:
        return 0
    features = read[module.dim]
    return prod(read) // features * (3 * features - 1)


def _thop_adaptive(module: Any, read: _Sizes, written: _Sizes) -> Any:
    window = prod(n / m for n, m in zip(read[2:], written[2:], strict=True))
    return (window + 1) * prod(written)


def _thop_upsample(module: Any, read: _Sizes, written: _Sizes) -> Any:
    return {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}.get(module.mode, 0) * prod(written)


def _thop_step(kind: str, width: int, state: int, bias: bool) -> int:
    """One step of a cell: its products, and what is added or multiplied one by one."""
    each = (width + state) * state + state + 2 * state * bias
    return GATES[kind] * each + {1: 0, 3: 4, 4: 4}[GATES[kind]] * state


def _thop_recurrent(module: Any, read: _Sizes, written: _Sizes) -> Any:
    directions = 1 + module.bidirectional
    widths: Iterator[int] = iter((module.input_size, *[module.hidden_size * directions] * (module.num_layers - 1)))
    kind = module.mode.split("_")[0]
    return prod(read[:-1]) * directions * sum(_thop_step(kind, w, module.hidden_size, module.bias) for w in widths)


def _thop_cell(module: Any, read: _Sizes, written: _Sizes) -> Any:
    return read[0] * _thop_step(type(module).__name__, module.input_size, module.hidden_size, module.bias)


_THOP: Mapping[str, _OfModule] = {
    **dict.fromkeys((f"{kind}{n}d" for kind in ("Conv", "ConvTranspose", "DepthwiseConv") for n in (1, 2, 3)),
                    _thop_convolution),
    **dict.fromkeys((f"{kind}{n}d" for kind in ("BatchNorm", "InstanceNorm") for n in (1, 2, 3)), _thop_norm),
    **dict.fromkeys(("LayerNorm", "SyncBatchNorm"), _thop_norm),
    **dict.fromkeys((f"AvgPool{n}d" for n in (1, 2, 3)), lambda module, read, written: prod(written)),
    **dict.fromkeys((f"AdaptiveAvgPool{n}d" for n in (1, 2, 3)), _thop_adaptive),
    **dict.fromkeys(("Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"), _thop_upsample),
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _thop_recurrent),
    **dict.fromkeys(("RNNCell", "GRUCell", "LSTMCell"), _thop_cell),
    "PReLU": lambda module, read, written: prod(read),
    "Softmax": _thop_softmax,
    "Linear": lambda module, read, written: module.in_features * prod(written),
}  # fmt: skip
