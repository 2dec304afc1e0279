"""What each operation keeps for the backward pass, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from striate.inspection.tracing.trace import Memory, Operation, Saved, Trace, Value

# Operators as people say them; others by their own names.
_SPOKEN = {
    "adaptive_avg_pool2d": "adaptive average pooling",
    "addmm": "linear",
    "avg_pool1d": "average pooling",
    "avg_pool2d": "average pooling",
    "avg_pool3d": "average pooling",
    "bmm": "product of matrices",
    "cudnn_rnn": "recurrent layer",
    "cudnn_batch_norm": "batch norm",
    "depthwise_conv": "depthwise conv",
    "convolution": "conv",
    "deform_conv": "deformable conv",
    "gelu": "GELU",
    "hardtanh": "ReLU6",
    "leaky_relu": "leaky ReLU",
    "local_contrast_norm": "local contrast norm",
    "local_conv": "unshared conv",
    "local_response_norm": "local response norm",
    "log_softmax": "softmax",
    "max_pool": "max pooling",
    "max_pool2d_with_indices": "max pooling",
    "max_pool3d_with_indices": "max pooling",
    "mkldnn_rnn_layer": "recurrent layer",
    "mm": "linear",
    "native_batch_norm": "batch norm",
    "native_group_norm": "group norm",
    "native_layer_norm": "layer norm",
    "prelu_kernel": "PReLU",
    "reflection_pad2d": "padding by reflection",
    "relu": "ReLU",
    "safe_softmax": "softmax",
    "scaled_dot_product_flash_attention_for_cpu": "attention",
    "silu": "SiLU",
    "table_conv": "table conv",
}
# Of these the gradient is worked out from the output.
_BY_OUTPUT = frozenset(
    "relu tanh sigmoid exp expm1 sqrt rsqrt reciprocal tan softmax safe_softmax log_softmax logsumexp hardtanh "
    "leaky_relu elu celu selu norm linalg_vector_norm prod amax amin cumprod lp_pool "
    "scaled_dot_product_flash_attention_for_cpu".split()
)
_WORDS = {
    "self": "its input",
    "input": "its input",
    "x": "its input",
    "mat1": "its input",
    "query": "its queries",
    "key": "its keys",
    "value": "its values",
    "weight": "its weight",
    "mat2": "its weight",
    "hx_": "its state",
    "cx_": "its memory cell",
    "other": "its second input",
    "offset": "its offsets",
    "mask": "its mask",
    "indices": "its indices",
    "running_mean": "its running mean",
    "running_var": "its running variance",
}


@dataclass(frozen=True, slots=True, eq=False)
class Keeping:
    """A stretch of memory that an operation keeps.

    Args:
        nbytes: its size, if no other operation keeps it before this one, and no parameter, buffer or input of the
            network lies in it; else 0.
        reason: "conv keeps its input", "ReLU keeps its output", ...
        operation: the operation, by its place in `Trace.operations`; None if it could not be told.
        call: the call of a module that it ran in, by its place in `Trace.calls`.
        memory: the memory.
        first: the call that keeps the same memory first, if that is another one.
    """

    nbytes: int
    reason: str
    operation: int | None
    call: int
    memory: Memory
    first: int | None = None


def keepings(trace: Trace) -> tuple[Keeping, ...]:
    """What is kept for the backward pass.

    Args:
        trace: a run with gradients.

    Returns:
        One for each operation and each stretch of memory that it keeps, in the order of keeping.
    """
    reasons = _Reasons(trace)
    found: dict[tuple[int | None, int, int], Keeping] = {}
    first: dict[int, int] = {}
    for saved in trace.saved:
        memory = saved.memory
        place, what = reasons.find(saved)
        key = (place, saved.call, id(memory))
        if not memory.nbytes or key in found:
            continue
        new = id(memory) not in first
        where = first.setdefault(id(memory), saved.call)
        nbytes = memory.nbytes if new and not memory.parameter and not memory.given else 0
        found[key] = Keeping(nbytes, what, place, saved.call, memory, None if where == saved.call else where)
    return tuple(found.values())


class _Reasons:
    def __init__(self, trace: Trace) -> None:
        self._operations = trace.operations
        self._calls = trace.calls
        self._masks = {
            id(value.memory)
            for operation in trace.operations
            if _operator(operation) in ("bernoulli", "native_dropout")
            for value in operation.outputs[-1:]
        }

    def find(self, saved: Saved) -> tuple[int | None, str]:
        """The operation that kept something, by its place, and the reason in words."""
        before, after = self._at(saved.operation - 1), self._at(saved.operation)
        if before is not None and self._is_by(before, after, saved):
            return saved.operation - 1, self._reason(before, saved, after_it=True)
        if after is not None:
            return saved.operation, self._reason(after, saved, after_it=False)
        return None, f"{self._calls[saved.call].kind} keeps a part of its own"

    def _at(self, place: int) -> Operation | None:
        if not 0 <= place < len(self._operations):
            return None
        operation = self._operations[place]
        # The whole of Striate's functions keeps nothing: its parts do.
        return None if operation.name.endswith("()") else operation

    def _is_by(self, before: Operation, after: Operation | None, saved: Saved) -> bool:
        """Whether the operation that has run kept it, and not the one that is about to."""
        gave = _place(before.outputs, saved.memory)
        next_reads = after is not None and after.call == saved.call and _place(after.inputs, saved.memory) is not None
        if before.call != saved.call:
            return not next_reads and gave is not None
        if gave is not None:
            return gave > 0 or not next_reads or _operator(before) in _BY_OUTPUT
        # Custom functions keep their inputs when they have run.
        read = _place(before.inputs, saved.memory) is not None
        return read and (before.name.startswith("striate.") or not next_reads)

    def _reason(self, operation: Operation, saved: Saved, after_it: bool) -> str:
        operator = _operator(operation)
        noun = _SPOKEN.get(operator, operator.replace("_", " "))
        if id(saved.memory) in self._masks:
            return "dropout keeps its mask"
        gave = _place(operation.outputs, saved.memory) if after_it else None
        if gave is None:
            return f"{noun} keeps {_argument(operation, saved)}"
        if gave == 0:
            return f"{noun} keeps its output"
        if not saved.dtype.is_floating_point:
            return f"{noun} keeps {str(saved.dtype).removeprefix('torch.')} indices"
        return f"{noun} keeps its {'statistics' if noun.endswith(('norm', 'attention')) else 'other output'}"


def _operator(operation: Operation) -> str:
    """Its name without its package, and without the marks of private and in-place operators."""
    return operation.name.rpartition(".")[2].strip("_")


def _place(values: Sequence[Value], memory: Memory) -> int | None:
    return next((place for place, value in enumerate(values) if value.memory is memory), None)


def _argument(operation: Operation, saved: Saved) -> str:
    """Which of its arguments an operation keeps, in words."""
    schema = getattr(operation.function, "_schema", None)
    names = [argument.name for argument in schema.arguments] if schema else []
    for name, value in [*zip(names, operation.args, strict=False), *operation.kwargs.items()]:
        several = value if isinstance(value, (tuple, list)) else (value,)
        if any(isinstance(item, Value) and item.memory is saved.memory for item in several):
            if name == "mat2" and _operator(operation) == "bmm":
                return "its second input"
            return _WORDS.get(name, "its inputs" if name == "tensors" else f"its {name.replace('_', ' ')}")
    return "what it was given"
