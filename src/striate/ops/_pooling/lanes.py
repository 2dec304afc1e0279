"""Vectors of sixteen numbers under a reduction, beside those of `_lanes`.

A row of a small plane is shorter than what the compiler turns into vectors.
"""

from typing import Any

from llvmlite import ir
from numba import types

from striate.ops._compile import kernel
from striate.ops._lanes import LANES, _combination, _first, _intrinsic, _place, load, put, store, take


def _wins(builder: Any, value: Any, held: Any) -> Any:
    """Where a value is larger than what is held, or NaN."""
    return builder.or_(builder.fcmp_ordered(">", value, held), builder.fcmp_unordered("uno", value, value))


larger = _combination(lambda builder, v: builder.select(_wins(builder, v[1], v[0]), v[1], v[0]), 2)
"""larger(held, value): the larger, place by place; NaN is the largest, and of equal numbers it is the first."""

add = _combination(lambda builder, v: builder.fadd(v[0], v[1]), 2)
"""add(a, b): a + b, place by place."""

divide = _combination(lambda builder, v: builder.fdiv(v[0], v[1]), 2)
"""divide(a, b): a / b, place by place."""


def _picked(order: list[int]) -> Any:
    """Sixteen places of two vectors, in an order."""

    def pick(builder: Any, v: Any) -> Any:
        return builder.shuffle_vector(v[0], v[1], ir.Constant(ir.VectorType(ir.IntType(32), LANES), order))

    return _combination(pick, 2)


_even, _odd = (_picked([2 * place + one for place in range(LANES)]) for one in range(2))
_first_half, _second_half = (
    _picked([start + place // 2 + place % 2 * LANES for place in range(LANES)]) for start in (0, LANES // 2)
)


@_intrinsic  # type: ignore[untyped-decorator]
def of_larger(typing: Any, held: Any, value: Any, kept: Any, other: Any) -> Any:
    """`other` where `larger` takes the value, `kept` where it keeps what is held."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.select(_wins(builder, values[1], values[0]), values[3], values[2])

    return kept(held, value, kept, other), generate


@_intrinsic  # type: ignore[untyped-decorator]
def put_whole(typing: Any, array: Any, index: Any, vector: Any, count: Any) -> Any:
    """Store the first `count` numbers of a vector, which are whole, in an array of integers."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, array, *values[:2])
        numbers = builder.fptosi(values[2], ir.VectorType(ir.IntType(32), LANES))
        if array.dtype.bitwidth < 32:
            numbers = builder.trunc(numbers, place.type.pointee)
        arguments = [numbers, place, ir.Constant(ir.IntType(32), array.dtype.bitwidth // 8), _first(builder, values[3])]
        name = f"llvm.masked.store.v{LANES}i{array.dtype.bitwidth}.p0"
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        builder.call(function, arguments)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), generate


@_intrinsic  # type: ignore[untyped-decorator]
def where_whole(typing: Any, array: Any, index: Any, count: Any, wished: Any, vector: Any) -> Any:
    """The vector where the first `count` integers of an array from an index are the wished one, 0 elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, array, *values[:2])
        kind, width = place.type.pointee, array.dtype.bitwidth
        align, first = ir.Constant(ir.IntType(32), width // 8), _first(builder, values[2])
        arguments = [place, align, first, ir.Constant(kind, None)]
        name = f"llvm.masked.load.v{LANES}i{width}.p0"
        loaded = ir.FunctionType(kind, [argument.type for argument in arguments])
        function = builder.module.globals.get(name) or ir.Function(builder.module, loaded, name)
        numbers, number = builder.call(function, arguments), builder.trunc(values[3], kind.element)
        single = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        each = builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))
        return builder.select(builder.icmp_signed("==", numbers, each), values[4], ir.Constant(values[4].type, None))

    return vector(array, types.intp, types.intp, types.int64, vector), generate


@kernel
def rounded(n: int) -> int:
    """Numbers of whole vectors that hold n."""
    return -(-n // LANES) * LANES


@kernel
def lay(row: Any, low: int, stride: int, phases: Any, pitch: int) -> None:
    """Lay a row behind `low` places of padding, phase by phase of the stride: there a tap is one offset.

    What it does not write stays as it is.
    """
    if stride == 1:
        for x in range(0, row.size, LANES):
            count = min(LANES, row.size - x)
            put(phases, low + x, take(row, x, count), count)
    elif stride == 2:
        even, odd = low % 2 * pitch + low // 2, (low + 1) % 2 * pitch + (low + 1) // 2
        for x in range(0, row.size, 2 * LANES):
            rest = row.size - x
            if rest >= 2 * LANES:
                a, b = load(row, x), load(row, x + LANES)
                store(phases, even + x // 2, _even(a, b))
                store(phases, odd + x // 2, _odd(a, b))
            else:
                a, b = take(row, x, rest), take(row, x + min(LANES, rest), max(0, rest - LANES))
                put(phases, even + x // 2, _even(a, b), (rest + 1) // 2)
                put(phases, odd + x // 2, _odd(a, b), rest // 2)
    else:
        for x in range(row.size):
            phases[(x + low) % stride * pitch + (x + low) // stride] = row[x]


@kernel
def lift(phases: Any, pitch: int, low: int, stride: int, row: Any) -> None:
    """Read a row from where `lay` would have put it."""
    if stride == 1:
        for x in range(0, row.size, LANES):
            put(row, x, load(phases, low + x), row.size - x)
    elif stride == 2:
        even, odd = low % 2 * pitch + low // 2, (low + 1) % 2 * pitch + (low + 1) // 2
        for x in range(0, row.size, 2 * LANES):
            a, b = load(phases, even + x // 2), load(phases, odd + x // 2)
            put(row, x, _first_half(a, b), row.size - x)
            if row.size > x + LANES:
                put(row, x + LANES, _second_half(a, b), row.size - x - LANES)
    else:
        for x in range(row.size):
            row[x] = phases[(x + low) % stride * pitch + (x + low) // stride]
