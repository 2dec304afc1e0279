"""What a network costs: multiply-accumulates by operation, and parameters by the memory that they lie in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from torch import Tensor, nn

from striate.inspection.counting.free import FREE
from striate.inspection.counting.modules import MODULES
from striate.inspection.counting.operators import RULES, argument
from striate.inspection.counting.presets import PRESETS
from striate.inspection.counting.rules import Cost, Line, cost_of, rule_of_module, rule_of_operator
from striate.inspection.tracing.trace import Operation, Trace, Value

CountLike = Literal["fvcore", "thop", "torch"]

CONVENTION = (
    "MACs are the products that are added up in convolutions, matrix products, attention, recurrent layers, "
    "interpolation and weighted pooling, taps in the padding among them; biases, activations, normalisation over "
    "batches or channels, plain pooling and numbers changed one by one count as nothing; FLOPs = 2 * MACs."
)
"""What is counted, in a sentence."""

CONVENTIONS: Mapping[str | None, str] = {
    None: CONVENTION,
    "fvcore": "MACs are what fvcore's FlopCountAnalysis calls flops; FLOPs = 2 * MACs.",
    "thop": "MACs are those of thop.profile; FLOPs = 2 * MACs.",
    "torch": "FLOPs are those of torch.utils.flop_counter.FlopCounterMode; MACs = FLOPs / 2.",
}
"""By whose rules count; None for Striate's."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run costs.

    Args:
        operations: costs of operations, by their places in `Trace.operations`; those that cost nothing are left out.
        calls: costs of calls of modules that have a rule of their own, by their places in `Trace.calls`. Operations and
            calls in them do not stand beside them.
        missing: names of operators that could not be counted, so that the totals are lower bounds.
        macs: multiply-accumulates of all.
        flops: twice as many.
    """

    operations: dict[int, Cost]
    calls: dict[int, Cost]
    missing: tuple[str, ...]
    macs: int
    flops: int


def count(trace: Trace, like: CountLike | None = None) -> Counts:
    """Count the multiply-accumulates of a run.

    What happens inside of a public function of Striate is counted by what that computes, not by how.

    Args:
        trace: the run.
        like: another tool whose rules count; None for Striate's and the user's.

    Returns:
        The costs, and what could not be counted.

    Raises:
        TypeError: if a rule of the user's returns something else than numbers.
        ValueError: if there is no such tool, or a rule of the user's returns less than 0.

    Example:
        >>> import torch
        >>> from striate.inspection.tracing.trace import trace
        >>> count(trace(torch.nn.Conv2d(3, 8, 3), [torch.empty(1, 3, 10, 10)])).macs
        13824
    """
    if like is not None and like not in get_args(CountLike):
        raise ValueError(f"count_like must be one of {', '.join(get_args(CountLike))} or None, got {like!r}")
    operations: dict[int, Cost] = {}
    calls: dict[int, Cost] = {}
    if like == "thop":
        calls, missing = PRESETS[like](trace)
    elif like is not None:
        operations, missing = PRESETS[like](trace)
    else:
        calls, inside = _calls(trace)
        operations, missing = _operations(trace, inside)
        _name_offsets(trace, operations)
    macs = sum(cost.macs for cost in operations.values()) + sum(cost.macs for cost in calls.values())
    return Counts(operations, calls, missing, macs, 2 * macs)


def _calls(trace: Trace) -> tuple[dict[int, Cost], set[int]]:
    """Costs of calls that have a rule, and all calls whose own operations these stand for."""
    found: dict[int, Cost] = {}
    replaced: set[int] = set()
    within: set[int] = set()
    for place, call in enumerate(trace.calls):
        if call.parent in within:
            within.add(place)
            continue
        rule = rule_of_module(type(call.module), MODULES)
        if rule is None or call.outputs is None:
            continue
        cost = cost_of(rule(call), call.name or call.kind)
        if cost is not None:
            found[place] = cost
            # What is called in a recurrent layer works out its weights, of which our rules say nothing.
            (replaced if rule in _OURS else within).add(place)
    return found, replaced | within


_OURS = frozenset(MODULES.values())


def _operations(trace: Trace, inside: set[int]) -> tuple[dict[int, Cost], tuple[str, ...]]:
    """Costs of operations that do not lie in these calls, and the names of those that could not be counted."""
    found: dict[int, Cost] = {}
    missing: dict[str, None] = {}
    for place, operation in enumerate(trace.operations):
        if operation.within is not None or operation.call in inside:
            continue
        name = operation.name
        rule = rule_of_operator(name) or RULES.get(name)
        if rule is None:
            if name not in FREE:
                missing[name] = None
            continue
        cost = cost_of(rule(operation), name)
        if cost is None:
            missing[name] = None
        elif cost.macs:
            found[place] = cost
    return found, tuple(missing)


def _name_offsets(trace: Trace, costs: dict[int, Cost]) -> None:
    """Call what is computed only to say where a deformable operator reads "offset branch"."""
    deformable = [
        operation
        for operation in trace.operations
        if operation.within is None and operation.name.startswith(("striate.deform_", "torchvision.deform_"))
    ]
    if not deformable:
        return
    makers = _makers(trace)
    for operation in deformable:
        if operation.name.endswith("deform_sampling_points()"):
            continue
        read = _before([argument(operation, 0, "input")], makers)
        for place in _before(_steering(operation), makers, read):
            if place in costs:
                macs = costs[place].macs
                costs[place] = Cost(macs, 2 * macs, (Line("offset branch", macs),))


def _steering(operation: Operation) -> list[Value]:
    """The offsets and masks of a deformable operator."""
    if operation.name.startswith("torchvision."):
        given = operation.args[2:4]
    else:
        place = 2 if "aggregate" in operation.name else 7
        given = (argument(operation, 1, "offset"), argument(operation, place, "mask"))
    return [value for value in given if isinstance(value, Value)]


def _makers(trace: Trace) -> dict[int, tuple[int, list[Value]]]:
    """By the id of a value the operation that made it, and what that read."""
    makers = {}
    for place, operation in enumerate(trace.operations):
        if operation.within is None:
            inputs = operation.inputs
            for value in operation.outputs:
                makers[id(value)] = (place, inputs)
    return makers


def _before(
    values: list[Value], makers: Mapping[int, tuple[int, list[Value]]], but: frozenset[int] = frozenset()
) -> frozenset[int]:
    """The operations that lead to these values, without those of `but` and what leads to them."""
    found: set[int] = set()
    ahead = list(values)
    while ahead:
        place, inputs = makers.get(id(ahead.pop()), (None, []))
        if place is not None and place not in found and place not in but:
            found.add(place)
            ahead.extend(inputs)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class ParameterCounts:
    """Numbers that a network learns, each counted once, however many names it has.

    Args:
        total: all of them.
        trainable: those with `requires_grad`.
        frozen: those without.
        shared: the names of parameters whose numbers were counted under another name before, with that name.
        owned: numbers by the name of the module whose parameters they are, all and trainable; those of a shared
            parameter at its first name. Modules without parameters are left out.
        named: numbers by the name of the parameter, all and trainable, without those counted under another name before.
    """

    total: int
    trainable: int
    frozen: int
    shared: dict[str, str]
    owned: dict[str, tuple[int, int]] = field(default_factory=dict)
    named: dict[str, tuple[int, int]] = field(default_factory=dict)

    def of(self, name: str) -> tuple[int, int]:
        """The numbers of a module itself, without those of the modules in it.

        Args:
            name: its dotted name; empty for the network itself.

        Returns:
            All of them, and the trainable ones.

        Example:
            >>> count_parameters(nn.Sequential(nn.Linear(2, 3))).of("0")
            (9, 9)
        """
        return self.owned.get(name, (0, 0))


def count_parameters(source: Trace | nn.Module) -> ParameterCounts:
    """Count parameters by the memory that they lie in.

    Parameters that share their memory are counted once, whether they are one tensor or views of one another.

    Args:
        source: a run, or a network.

    Returns:
        The counts.

    Raises:
        ValueError: if a parameter does not know its size yet.

    Example:
        >>> tied = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
        >>> tied[1].weight = tied[0].weight
        >>> counts = count_parameters(tied)
        >>> counts.total, counts.shared
        (16, {'1.weight': '0.weight'})
    """
    if isinstance(source, Trace):
        if not source.calls:
            return ParameterCounts(0, 0, 0, {})
        source = source.calls[0].module
    memory = _Covered()
    shared: dict[str, str] = {}
    owned: dict[str, tuple[int, int]] = {}
    named: dict[str, tuple[int, int]] = {}
    for name, parameter in source.named_parameters(remove_duplicate=False):
        if nn.parameter.is_lazy(parameter):
            raise ValueError(f"{name} has no size yet: run the network once, or give its layer its input size")
        numbers, first = memory.add(name, parameter)
        if first is not None:
            shared[name] = first
        named[name] = (numbers, numbers * parameter.requires_grad)
        module = name.rpartition(".")[0]
        total, trainable = owned.get(module, (0, 0))
        owned[module] = (total + numbers, trainable + numbers * parameter.requires_grad)
    total = sum(numbers for numbers, _ in owned.values())
    trainable = sum(numbers for _, numbers in owned.values())
    return ParameterCounts(total, trainable, total - trainable, shared, owned, named)


class _Covered:
    """What of each stretch of memory has been counted, and under which name."""

    def __init__(self) -> None:
        self._stretches: dict[int, list[tuple[int, int, str]]] = {}

    def add(self, name: str, tensor: Tensor) -> tuple[int, str | None]:
        """How many of a tensor's numbers are new, and the first name of the others."""
        if not tensor.numel():
            return 0, None
        storage = tensor.untyped_storage()
        start, end = 0, storage.nbytes()
        if end != tensor.numel() * tensor.itemsize:
            last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
            start = int(tensor.storage_offset()) * tensor.itemsize
            end = start + (int(last) + 1) * tensor.itemsize
        known = self._stretches.setdefault(storage._cdata, [])
        met = [stretch for stretch in known if stretch[0] < end and start < stretch[1]]
        known.extend((low, high, name) for low, high in _gaps(start, end, met))
        covered = sum(min(end, high) - max(start, low) for low, high, _ in met)
        extent = (end - start - covered) // tensor.itemsize
        return min(tensor.numel(), extent), met[0][2] if met else None


def _gaps(start: int, end: int, met: list[tuple[int, int, str]]) -> list[tuple[int, int]]:
    """What these stretches, which do not overlap, leave of another."""
    gaps = []
    for low, high, _ in sorted(met):
        if start < low:
            gaps.append((start, low))
        start = max(start, high)
    return [*gaps, (start, end)] if start < end else gaps
