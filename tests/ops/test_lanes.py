"""Vectors of sixteen numbers, against NumPy."""

from typing import Any

import numpy as np
import pytest
import torch
from numba.core.errors import TypingError

from striate.ops._compile import kernel
from striate.ops._lanes import LANES, add_product, load, multiply, put, spread, store, take, total, transpose


@kernel
def _combine(a: Any, b: Any, number: float, sums: Any, result: Any) -> float:
    vector = add_product(load(sums, 1), multiply(spread(number), load(a, 2)), load(b, 3))
    store(result, 1, vector)
    return total(vector)


@kernel
def _move(source: Any, begin: int, target: Any, to: int, count: int) -> None:
    put(target, to, take(source, begin, count), count)


@kernel
def _turn(source: Any, begin: int, row: int, target: Any, to: int, column: int) -> None:
    transpose(source, begin, row, target, to, column)


def _draw(size: int, dtype: Any) -> Any:
    return np.random.default_rng(size).standard_normal(size).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arithmetic(dtype: Any) -> None:
    a, b, sums = _draw(20, dtype), _draw(21, dtype), _draw(22, dtype)
    result = np.full(20, 7, dtype)
    found = _combine(a, b, dtype(1.5), sums, result)
    wished = sums[1:17] + dtype(1.5) * a[2:18] * b[3:19]
    np.testing.assert_allclose(result[1:17], wished, rtol=0, atol=4 * np.finfo(dtype).eps)
    assert found == pytest.approx(float(wished.sum()), abs=float(32 * np.finfo(dtype).eps))
    assert (result[[0, 17, 18, 19]] == 7).all()


@pytest.mark.parametrize("count", range(LANES + 1))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_part_of_a_vector_touches_nothing_else(dtype: Any, count: int) -> None:
    source, target = _draw(40, dtype), np.full(40, 7, dtype)
    _move(source, 5, target, 9, count)
    assert (target[9 : 9 + count] == source[5 : 5 + count]).all()
    assert (np.delete(target, range(9, 9 + count)) == 7).all()


@pytest.mark.parametrize("count", [1, 15, 16])
def test_bfloat16_is_widened(count: int) -> None:
    source = torch.randn(40).bfloat16()
    source[6] = torch.inf
    target = np.full(40, 7, np.float32)
    _move(source.view(torch.int16).numpy().view(np.uint16), 5, target, 0, count)
    assert (target[:count] == source[5 : 5 + count].float().numpy()).all()
    assert (target[count:] == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transpose(dtype: Any) -> None:
    source, target = _draw(3 + 16 * 20, dtype), np.full(5 + 16 * 18, 7, dtype)
    _turn(source, 3, 20, target, 5, 18)
    block = source[3 : 3 + 16 * 20].reshape(16, 20)[:, :16]
    written = target[5:].reshape(16, 18)
    assert (written[:, :16] == block.T).all()
    assert (written[:, 16:] == 7).all()
    assert (target[:5] == 7).all()


def test_numbers_that_lie_apart_are_refused() -> None:
    with pytest.raises(TypingError, match="flat contiguous array"):
        _move(_draw(80, np.float32)[::2], 0, np.zeros(40, np.float32), 0, 16)
    with pytest.raises(TypingError, match="flat contiguous array"):
        _move(_draw(40, np.float32), 0, np.zeros(80, np.float32)[::2], 0, 16)
