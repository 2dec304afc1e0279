"""Vectors of numbers for the CPU kernels: a register's worth of them, loaded, combined and stored at once.

A compiler will not turn a loop over channels into vectors where it writes several rows, for it cannot know that they do
not overlap, and it will not keep sums in registers from one pass of a loop to the next. A kernel that says so leaves no
doubt. Numbers in bfloat16, which Numba does not know, are read from their bits.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import models, register_model

from striate.ops._compile import kernel

LANES = 16
"""Numbers in a vector, whatever the processor: a narrower one takes it in pieces."""

# What it makes of a function cannot be called from Python, whatever its types say.
_intrinsic: Any = numba_intrinsic
_FUSE = ("contract",)
_NUMBER = ir.IntType(32)


class _Vector(types.Type):
    """Sixteen floating-point numbers."""

    def __init__(self, dtype: Any) -> None:
        super().__init__(name=f"Vector({dtype})")
        self.dtype = dtype


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: _Vector) -> None:
        numbers = ir.VectorType(manager.lookup(kind.dtype).get_value_type(), LANES)
        super().__init__(manager, kind, numbers)  # type: ignore[no-untyped-call]


def _vector_of(array: Any) -> _Vector:
    """What an array's numbers are loaded as: those of 16 bits are bfloat16, and are widened.

    Raises:
        TypingError: at compilation, if the array is not flat, or its numbers may lie apart.
    """
    if not isinstance(array, types.Array) or array.ndim != 1 or array.layout != "C":
        raise TypingError(f"a vector is read from a flat contiguous array, not from {array}")
    return _Vector(types.float32 if array.dtype == types.uint16 else array.dtype)


def _place(context: Any, builder: Any, array: Any, value: Any, index: Any) -> Any:
    """A pointer to the sixteen numbers of a flat array that begin at an index."""
    data = context.make_array(array)(context, builder, value).data
    vector = ir.VectorType(context.get_value_type(array.dtype), LANES)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _widened(builder: Any, array: Any, numbers: Any) -> Any:
    if array.dtype != types.uint16:
        return numbers
    wide = builder.zext(numbers, ir.VectorType(_NUMBER, LANES))
    bits = builder.shl(wide, ir.Constant(wide.type, [16] * LANES))
    return builder.bitcast(bits, ir.VectorType(ir.FloatType(), LANES))


def _first(builder: Any, count: Any) -> Any:
    """A mask of the first `count` places."""
    wide = _each(builder, builder.trunc(count, _NUMBER))
    return builder.icmp_signed("<", ir.Constant(wide.type, list(range(LANES))), wide)


def _each(builder: Any, number: Any) -> Any:
    """A vector with one number in every place."""
    vector = ir.VectorType(number.type, LANES)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(_NUMBER, 0))
    return builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(_NUMBER, LANES), [0] * LANES))


def _masked(builder: Any, name: str, result: Any, vector: Any, values: list[Any]) -> Any:
    """Call `llvm.masked.load` or `llvm.masked.store` for a kind of vector."""
    kind = f"v{LANES}{ {'float': 'f32', 'double': 'f64', 'i16': 'i16'}[str(vector.element)] }"
    function = ir.FunctionType(result, [value.type for value in values])
    module = builder.module
    called = module.globals.get(f"llvm.masked.{name}.{kind}.p0")
    if called is None:
        called = ir.Function(module, function, f"llvm.masked.{name}.{kind}.p0")
    return builder.call(called, values)


@_intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """The numbers array[index : index + 16] of a flat array."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, array, *values)
        return _widened(builder, array, builder.load(place, align=array.dtype.bitwidth // 8))

    return _vector_of(array)(array, types.intp), generate


@_intrinsic
def load_first(typing: Any, array: Any, index: Any, count: Any) -> Any:
    """The numbers array[index : index + count], at most sixteen, and zeros behind them."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, array, *values[:2])
        vector = place.type.pointee
        given = [place, ir.Constant(_NUMBER, array.dtype.bitwidth // 8), _first(builder, values[2])]
        numbers = _masked(builder, "load", vector, vector, [*given, ir.Constant(vector, None)])
        return _widened(builder, array, numbers)

    return _vector_of(array)(array, types.intp, types.intp), generate


@_intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """array[index : index + 16] = vector."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[2], _place(context, builder, array, *values[:2]), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    _vector_of(array)
    return types.void(array, types.intp, vector), generate


@_intrinsic
def store_first(typing: Any, array: Any, index: Any, vector: Any, count: Any) -> Any:
    """array[index : index + count] = the first numbers of a vector."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, array, *values[:2])
        align = ir.Constant(_NUMBER, array.dtype.bitwidth // 8)
        given = [values[2], place, align, _first(builder, values[3])]
        _masked(builder, "store", ir.VoidType(), place.type.pointee, given)
        return context.get_dummy_value()

    _vector_of(array)
    return types.void(array, types.intp, vector, types.intp), generate


@_intrinsic
def spread(typing: Any, number: Any) -> Any:
    """A vector with one number in every place."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _each(builder, values[0])

    return _Vector(number)(number), generate


def _combination(combine: Callable[[Any, Any], Any], places: int) -> Any:
    """An intrinsic of vectors of one kind that gives another."""

    def typed(typing: Any, *vectors: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return combine(builder, values)

        return vectors[0](*vectors), generate

    if places == 2:
        return _intrinsic(lambda typing, a, b: typed(typing, a, b))
    return _intrinsic(lambda typing, a, b, c: typed(typing, a, b, c))


multiply = _combination(lambda builder, v: builder.fmul(v[0], v[1], flags=_FUSE), 2)
"""multiply(a, b): a * b, place by place."""

add_product = _combination(lambda builder, v: builder.fadd(v[0], builder.fmul(v[1], v[2], flags=_FUSE), flags=_FUSE), 3)
"""add_product(sums, a, b): sums + a * b, place by place, rounded once where the processor can."""


@_intrinsic
def total(typing: Any, vector: Any) -> Any:
    """The sum of the sixteen numbers, by halves."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums, width = values[0], LANES
        while width > 1:
            width //= 2
            order = [width + place if place < width else 0 for place in range(LANES)]
            moved = builder.shuffle_vector(sums, sums, ir.Constant(ir.VectorType(_NUMBER, LANES), order))
            sums = builder.fadd(sums, moved)
        return builder.extract_element(sums, ir.Constant(_NUMBER, 0))

    return vector.dtype(vector), generate


@_intrinsic
def transpose(typing: Any, source: Any, begin: Any, row: Any, target: Any, to: Any, column: Any) -> Any:
    """target[to + j * column + i] = source[begin + i * row + j] for i and j from 0 to 15, both contiguous inside."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        flat_source, begin, row, flat_target, to, column = values
        align = source.dtype.bitwidth // 8
        rows = []
        for place in range(LANES):
            index = builder.add(begin, builder.mul(row, ir.Constant(row.type, place)))
            rows.append(builder.load(_place(context, builder, source, flat_source, index), align=align))
        # Blocks of 8, 4, 2 and 1 change places across the diagonal.
        for size in (8, 4, 2, 1):
            order = [j if not j & size else LANES + j - size for j in range(LANES)]
            other = [j + size if not j & size else LANES + j for j in range(LANES)]
            for i in (i for i in range(LANES) if not i & size):
                a, b = rows[i], rows[i + size]
                for place, picked in ((i, order), (i + size, other)):
                    mask = ir.Constant(ir.VectorType(_NUMBER, LANES), picked)
                    rows[place] = builder.shuffle_vector(a, b, mask)
        for place, vector in enumerate(rows):
            index = builder.add(to, builder.mul(column, ir.Constant(column.type, place)))
            builder.store(vector, _place(context, builder, target, flat_target, index), align=align)
        return context.get_dummy_value()

    _vector_of(source)
    _vector_of(target)
    return types.void(source, types.intp, types.intp, target, types.intp, types.intp), generate


@kernel
def take(array: Any, index: int, count: int) -> Any:
    """A vector of a flat array, or where `count` is less than sixteen so many numbers and zeros behind them."""
    if count >= LANES:
        return load(array, index)
    return load_first(array, index, count)


@kernel
def put(array: Any, index: int, vector: Any, count: int) -> None:
    """Store a vector, or the first `count` numbers of one."""
    if count >= LANES:
        store(array, index, vector)
    else:
        store_first(array, index, vector, count)
