"""Blocks of sums for the CPU kernels: rows of vectors that stay in registers from the first product to the last.

The products of matrices of an unshared convolution are so small that a library spends more on overhead than on them. A
kernel written with blocks has none, and the order in which it reads its numbers is its own.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import models, register_model

_FUSE = ("contract",)
_NUMBER = ir.IntType(32)
_TURNED = 8
# Bytes of a line of the caches.
_LINE = 64


def _intrinsic(function: Callable[..., Any]) -> Any:
    """Numba's decorator; what it gives cannot be called from Python."""
    return numba_intrinsic(function)


class _Block(types.Type):
    """Rows of vectors of floating-point numbers."""

    def __init__(self, dtype: Any, rows: int, lanes: int) -> None:
        super().__init__(name=f"Block({dtype}, {rows}, {lanes})")
        self.dtype, self.rows, self.lanes = dtype, rows, lanes


@register_model(_Block)
class _BlockModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: _Block) -> None:
        vector = ir.VectorType(manager.lookup(kind.dtype).get_value_type(), kind.lanes)
        super().__init__(manager, kind, ir.ArrayType(vector, kind.rows))  # type: ignore[no-untyped-call]


class _Numbers:
    """A flat array inside of a generated function.

    Raises:
        TypingError: at compilation, if the array is not flat, or its numbers may lie apart.
    """

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any, lanes: int) -> None:
        if not isinstance(kind, types.Array) or kind.ndim != 1 or kind.layout != "C":
            raise TypingError(f"a block is made of flat contiguous arrays, not of {kind}")
        self.builder, self.lanes = builder, lanes
        self.first = context.make_array(kind)(context, builder, value).data
        self.element = context.get_value_type(kind.dtype)
        self.align = kind.dtype.bitwidth // 8

    def number(self, index: Any) -> Any:
        return self.builder.load(self.builder.gep(self.first, [index]))

    def at(self, index: Any) -> Any:
        pointer = ir.VectorType(self.element, self.lanes).as_pointer()
        return self.builder.bitcast(self.builder.gep(self.first, [index]), pointer)

    def load(self, index: Any, count: Any = None) -> Any:
        """A vector, or its first `count` numbers and zeros behind them."""
        place = self.at(index)
        if count is None:
            return self.builder.load(place, align=self.align)
        vector = place.type.pointee
        given = [place, ir.Constant(_NUMBER, self.align), self._first(count), ir.Constant(vector, None)]
        return self._masked("load", vector, vector, given)

    def store(self, index: Any, vector: Any, count: Any = None) -> None:
        """Write a vector, or its first `count` numbers."""
        place = self.at(index)
        if count is None:
            self.builder.store(vector, place, align=self.align)
        else:
            given = [vector, place, ir.Constant(_NUMBER, self.align), self._first(count)]
            self._masked("store", ir.VoidType(), vector.type, given)

    def _first(self, count: Any) -> Any:
        wide = spread(self.builder, self.builder.trunc(count, _NUMBER), self.lanes)
        return self.builder.icmp_signed("<", ir.Constant(wide.type, list(range(self.lanes))), wide)

    def _masked(self, name: str, result: Any, vector: Any, given: list[Any]) -> Any:
        kind = {"float": "f32", "double": "f64"}[str(vector.element)]
        full = f"llvm.masked.{name}.v{self.lanes}{kind}.p0"
        called = self.builder.module.globals.get(full)
        if called is None:
            kinds = ir.FunctionType(result, [value.type for value in given])
            called = ir.Function(self.builder.module, kinds, full)
        return self.builder.call(called, given)


def spread(builder: Any, number: Any, lanes: int) -> Any:
    """A vector with one number in every place."""
    vector = ir.VectorType(number.type, lanes)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(_NUMBER, 0))
    return builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(_NUMBER, lanes), [0] * lanes))


def _empty(rows: int, lanes: int) -> Any:
    """An intrinsic that gives a block of zeros for the numbers of an array."""

    def typed(typing: Any, array: Any) -> Any:
        kind = _Block(array.dtype, rows, lanes)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return ir.Constant(context.get_value_type(kind), None)

        return kind(array), generate

    return _intrinsic(typed)


empty_8x16, empty_4x16, empty_1x16 = _empty(8, 16), _empty(4, 16), _empty(1, 16)
empty_8x8, empty_4x8, empty_1x8 = _empty(8, 8), _empty(4, 8), _empty(1, 8)


def _size(name: str) -> Any:
    """An intrinsic that gives a size of a block, a constant to the compiler."""

    def typed(typing: Any, block: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return context.get_constant(types.intp, getattr(block, name))

        return types.intp(block), generate

    return _intrinsic(typed)


rows_of, lanes_of = _size("rows"), _size("lanes")


def _summed(context: Any, builder: Any, block: Any, values: Any, factor: Callable[[Any], Any]) -> Any:
    """Add to each row the product of what `factor` gives for its index in an array, and a common vector."""
    sums, index, step, vector = values
    for row in range(block.rows):
        product = builder.fmul(factor(index), vector, flags=_FUSE)
        sums = builder.insert_value(sums, builder.fadd(builder.extract_value(sums, row), product, flags=_FUSE), row)
        index = builder.add(index, step)
    return sums


@_intrinsic
def add_outer(typing: Any, block: Any, numbers: Any, begin: Any, step: Any, array: Any, index: Any) -> Any:
    """block[r] + numbers[begin + r * step] * array[index:]."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums, flat, begin, step, other, index = values
        read = _Numbers(context, builder, numbers, flat, block.lanes)
        vector = _Numbers(context, builder, array, other, block.lanes).load(index)
        factor = lambda at: spread(builder, read.number(at), block.lanes)  # noqa: E731
        return _summed(context, builder, block, (sums, begin, step, vector), factor)

    return block(block, numbers, types.intp, types.intp, array, types.intp), generate


def _adding(scaled: bool, first: bool) -> Any:
    """An intrinsic that adds rows of an array times a vector or, `scaled`, a number of another."""

    def typed(typing: Any, block: Any, array: Any, begin: Any, step: Any, other: Any, index: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            sums, flat, begin, step, others, index, count = values
            read = _Numbers(context, builder, array, flat, block.lanes)
            shared = _Numbers(context, builder, other, others, block.lanes)
            vector = spread(builder, shared.number(index), block.lanes) if scaled else shared.load(index)
            factor = lambda at: read.load(at, count if first else None)  # noqa: E731
            return _summed(context, builder, block, (sums, begin, step, vector), factor)

        return block(block, array, types.intp, types.intp, other, types.intp, types.intp), generate

    return _intrinsic(typed)


add_products, add_first_products = _adding(scaled=False, first=False), _adding(scaled=False, first=True)
"""block[r] + array[begin + r * step:] * other[index:], and the same of the first `count` numbers of each row."""

add_scaled, add_first_scaled = _adding(scaled=True, first=False), _adding(scaled=True, first=True)
"""block[r] + array[begin + r * step:] * other[index], and the same of the first `count` numbers of each row."""


def _putting(first: bool = False, past: bool = False) -> Any:
    """An intrinsic that writes the rows of a block; `past` the caches, to places at the beginning of a cache line."""

    def typed(typing: Any, block: Any, array: Any, begin: Any, step: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            sums, flat, at, step, count = values
            written = _Numbers(context, builder, array, flat, block.lanes)
            for row in range(block.rows):
                vector = builder.extract_value(sums, row)
                if past:
                    stored = builder.store(vector, written.at(at), align=_LINE)
                    stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_NUMBER, 1)]))
                else:
                    written.store(at, vector, count if first else None)
                at = builder.add(at, step)
            return context.get_dummy_value()

        return types.void(block, array, types.intp, types.intp, types.intp), generate

    return _intrinsic(typed)


put_rows, put_first, stream_rows = _putting(), _putting(first=True), _putting(past=True)
"""array[begin + r * step:] = block[r], the same of the first `count` numbers of each row, and past the caches."""


@_intrinsic
def put_totals(typing: Any, block: Any, array: Any, begin: Any, step: Any) -> Any:
    """array[begin + r * step] = the sum of block[r]."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums, flat, at, step = values
        written = _Numbers(context, builder, array, flat, block.lanes)
        vectors = [builder.extract_value(sums, row) for row in range(block.rows)]
        # Two vectors become one that holds the sums of their halves, until a row has one number left.
        width = block.lanes
        while width > 1:
            width //= 2
            if len(vectors) == 1:
                vectors.append(vectors[0])
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [_folded(builder, a, b, width) for a, b in pairs]
        for row in range(block.rows):
            total = builder.extract_element(vectors[0], ir.Constant(_NUMBER, row))
            builder.store(total, builder.gep(written.first, [at]))
            at = builder.add(at, step)
        return context.get_dummy_value()

    return types.void(block, array, types.intp, types.intp), generate


def _folded(builder: Any, a: Any, b: Any, width: int) -> Any:
    """Pieces of `2 * width` numbers folded in the middle, those of `a` in front of those of `b`."""
    lanes = a.type.count
    low = [place + i for place in range(0, 2 * lanes, 2 * width) for i in range(width)]
    masks = [ir.Constant(ir.VectorType(_NUMBER, lanes), [place + side for place in low]) for side in (0, width)]
    return builder.fadd(*(builder.shuffle_vector(a, b, mask) for mask in masks))


@_intrinsic
def add_to(typing: Any, block: Any, array: Any, begin: Any, table: Any, first: Any) -> Any:
    """array[begin + table[first + r]:] += block[r]."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums, flat, begin, offsets, first = values
        written = _Numbers(context, builder, array, flat, block.lanes)
        offset = _Numbers(context, builder, table, offsets, block.lanes)
        for row in range(block.rows):
            index = builder.add(begin, offset.number(builder.add(first, ir.Constant(first.type, row))))
            written.store(index, builder.fadd(written.load(index), builder.extract_value(sums, row)))
        return context.get_dummy_value()

    return types.void(block, array, types.intp, table, types.intp), generate


@_intrinsic
def turn(typing: Any, array: Any, begin: Any, table: Any, first: Any, target: Any, to: Any, step: Any) -> Any:
    """target[to + j * step + i] = array[begin + table[first + i] + j] for i and j from 0 to 7."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        flat, begin, offsets, first, written, to, step = values
        read = _Numbers(context, builder, array, flat, _TURNED)
        offset = _Numbers(context, builder, table, offsets, _TURNED)
        rows = [
            read.load(builder.add(begin, offset.number(builder.add(first, ir.Constant(first.type, row)))))
            for row in range(_TURNED)
        ]
        # Blocks of 4, 2 and 1 change places across the diagonal.
        for size in (4, 2, 1):
            order = [j if not j & size else _TURNED + j - size for j in range(_TURNED)]
            other = [j + size if not j & size else _TURNED + j for j in range(_TURNED)]
            for i in (i for i in range(_TURNED) if not i & size):
                a, b = rows[i], rows[i + size]
                for place, picked in ((i, order), (i + size, other)):
                    mask = ir.Constant(ir.VectorType(_NUMBER, _TURNED), picked)
                    rows[place] = builder.shuffle_vector(a, b, mask)
        columns = _Numbers(context, builder, target, written, _TURNED)
        for vector in rows:
            columns.store(to, vector)
            to = builder.add(to, step)
        return context.get_dummy_value()

    return types.void(array, types.intp, table, types.intp, target, types.intp, types.intp), generate


def _fetching(whole: bool) -> Any:
    """An intrinsic that has the second-level cache fetch a cache line or, `whole`, as many numbers as a block has."""

    def typed(typing: Any, block: Any, array: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            _, flat, index = values
            line = _LINE // (array.dtype.bitwidth // 8)
            first = _Numbers(context, builder, array, flat, block.lanes).first
            for number in range(0, block.rows * block.lanes if whole else 1, line):
                place = builder.gep(first, [builder.add(index, ir.Constant(index.type, number))])
                place = builder.bitcast(place, ir.IntType(8).as_pointer())
                given = [place, *(ir.Constant(_NUMBER, setting) for setting in (0, 2, 1))]
                called = builder.module.globals.get("llvm.prefetch.p0")
                if called is None:
                    kinds = ir.FunctionType(ir.VoidType(), [value.type for value in given])
                    called = ir.Function(builder.module, kinds, "llvm.prefetch.p0")
                builder.call(called, given)
            return context.get_dummy_value()

        return types.void(block, array, types.intp), generate

    return _intrinsic(typed)


fetch_line, fetch_block = _fetching(whole=False), _fetching(whole=True)
"""Fetch the line of array[index], and as many numbers from there on as the block has; they may be beyond the end."""
