"""What is found out about a network: its layers, totals and findings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from typing import Any, Literal

State = Literal["complete", "lower bound", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A number about a whole network.

    Args:
        value: the number; None if it is unavailable.
        state: "complete", "lower bound" or "unavailable".
        missing: why it is not complete: operators that could not be counted.

    Example:
        >>> Total(value=156, state="complete").value
        156
    """

    value: int | None
    state: State
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The numbers of a whole network, for the batch that was given.

    Args:
        parameters: numbers in the weights; those that two layers share are counted once.
        trainable_parameters: those with `requires_grad`.
        frozen_parameters: those without.
        macs: multiply-accumulates of products.
        flops: floating-point operations of products, two a multiply-accumulate.
        saved_for_backward_bytes: kept from the forward to the backward pass, without parameters, buffers and input.
        peak_forward_bytes: the most that lies in memory at once in inference, without parameters, buffers and input.

    Example:
        >>> Total(value=156, state="complete").state
        'complete'
    """

    parameters: Total
    trainable_parameters: Total
    frozen_parameters: Total
    macs: Total
    flops: Total
    saved_for_backward_bytes: Total
    peak_forward_bytes: Total


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of what a layer costs.

    Args:
        what: "product", "sampling", "offset branch", ...
        macs: its multiply-accumulates.

    Example:
        >>> Part(what="sampling", macs=9).what
        'sampling'
    """

    what: str
    macs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a layer keeps for the backward pass.

    Args:
        nbytes: its size; what several layers keep is counted at the first.
        reason: "conv keeps its input", "max pooling keeps int64 indices", ...

    Example:
        >>> Kept(nbytes=4, reason="ReLU keeps its output").nbytes
        4
    """

    nbytes: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadInputs:
    """Rows, columns or steps of a layer's input that none of its windows reads.

    Args:
        axis: the spatial axis, 0 for the first.
        low: how many at the low end.
        high: how many at the high end.
        gaps: how many between windows.

    Example:
        >>> UnreadInputs(axis=0, low=0, high=1, gaps=0).high
        1
    """

    axis: int
    low: int
    high: int
    gaps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of a network, at one call.

    Args:
        name: dotted name of the module, with the operator behind it for what a forward computes by itself; empty for
            the network itself.
        operator: class of the module, or the operation.
        parent: the layer it stands in, by its place in `Inspection.tree`; None for the network.
        depth: how many layers it stands in.
        repeat: 1 at the first call of a module, 2 at the second.
        called: whether it runs.
        leaf: whether no layer stands in it.
        input_size: of its first input; None if it takes no tensor.
        output_size: of its first output; None if it gives none.
        window: kernel, stride, padding, dilation and groups, as people write them; empty without a window.
        parameters: numbers in its weights that no earlier layer has; for one with others in it, all of theirs.
        trainable_parameters: those with `requires_grad`.
        shares: dotted name of a weight that it shares with an earlier layer; empty if there is none.
        macs: multiply-accumulates; None if they could not be counted.
        flops: two a multiply-accumulate.
        parts: what `macs` consists of, where it is more than one product.
        receptive_field: inputs that one of its units sees along each axis, the longest way and not clipped; None where
            units are not ordered along the axes of the input.
        shortest_field: the same by the shortest way.
        clipped_field: the largest field inside of the picture.
        jump: inputs from the field of one unit to that of the next, along each axis.
        start: centre of the first unit's field, along each axis.
        exact: whether the field is; what is moved by numbers, as deformable windows are, is not.
        saved_bytes: kept for the backward pass.
        kept: the same with reasons.
        unread: rows and columns that no window reads.

    Example:
        >>> import striate
        >>> striate.inspect("lenet5").layer("c1").output_size
        (1, 6, 28, 28)
    """

    name: str
    operator: str
    parent: int | None
    depth: int
    repeat: int
    called: bool
    leaf: bool
    input_size: tuple[int, ...] | None
    output_size: tuple[int, ...] | None
    window: str
    parameters: int
    trainable_parameters: int
    shares: str
    macs: int | None
    flops: int | None
    parts: tuple[Part, ...]
    receptive_field: tuple[int, ...] | None
    shortest_field: tuple[int, ...] | None
    clipped_field: tuple[int, ...] | None
    jump: tuple[Fraction, ...] | None
    start: tuple[Fraction, ...] | None
    exact: bool
    saved_bytes: int
    kept: tuple[Kept, ...]
    unread: tuple[UnreadInputs, ...]


def plain(value: Any) -> Any:
    """A value in the words of JSON: lists for tuples, whole numbers for whole fractions and decimals for others."""
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value
