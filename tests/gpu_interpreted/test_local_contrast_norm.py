"""Local contrast normalisation in Triton's interpreter, against the definition."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ops.checks import TOLERANCE, assert_close
from striate.ops._triton import tl
from striate.ops.local_contrast_norm import gpu, reference
from striate.ops.local_contrast_norm.window import Rule

WHOLE = Rule([3, 5], [0.8, 1.2], True, True, False, True, None)
RULES = {
    "whole": WHOLE,
    "subtract": replace(WHOLE, divide=False),
    "divide": replace(WHOLE, subtract=False),
    "zeros": replace(WHOLE, renormalize=False),
    "floor": replace(WHOLE, floor=0.8),
    "no floor": replace(WHOLE, floor=0.0),
    "torch7": replace(WHOLE, outside=True, floor=1e-4),
    "torch7 zeros": replace(WHOLE, outside=True, renormalize=False),
}


@pytest.fixture(autouse=True)
def _poisoned() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def check(input: Tensor, rule: Rule) -> None:
    output = gpu.forward(input, rule)
    wide = input.detach().double().requires_grad_()
    expected = reference.local_contrast_norm(wide, rule)
    grad = torch.randn(input.shape).to(input)
    found = gpu.backward(grad, input, rule)
    for own, wished in ((output, expected), (found, *torch.autograd.grad(expected, wide, grad.double()))):
        assert own.dtype == input.dtype
        assert own.stride() == input.stride()
        assert_close(own, wished)


@pytest.mark.parametrize("rule", RULES)
def test_outputs_and_gradients(rule: str) -> None:
    input = torch.randn(2, 3, 6, 7)
    check(input, RULES[rule])
    check(input.contiguous(memory_format=torch.channels_last), RULES[rule])


def test_series_and_volumes() -> None:
    check(torch.randn(2, 3, 9), replace(WHOLE, kernel=[5], sigma=[1.0]))
    rule = replace(WHOLE, kernel=[3, 1, 7], sigma=[0.5, 1.0, 2.0])
    check(torch.randn(1, 2, 2, 3, 4), rule)
    check(torch.randn(1, 2, 2, 3, 4).contiguous(memory_format=torch.channels_last_3d), rule)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_dtypes(dtype: torch.dtype) -> None:
    check(torch.randn(2, 3, 5, 4, dtype=dtype), WHOLE)


def test_more_than_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_TILE", 32)
    monkeypatch.setattr(gpu, "_CHANNELS", 2)
    monkeypatch.setattr(gpu, "_PLANE", 16)
    monkeypatch.setattr(gpu, "index_type", lambda *_: tl.int64)
    input = torch.randn(2, 3, 5, 4)
    check(input, WHOLE)
    check(input.contiguous(memory_format=torch.channels_last), WHOLE)


# NumPy, by which Triton interprets, warns.
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:divide by zero:RuntimeWarning")
def test_equal_numbers_become_exactly_nothing() -> None:
    input = torch.full((1, 3, 5, 5), 0.1)
    assert not gpu.forward(input, WHOLE).any()
    assert not gpu.backward(torch.zeros_like(input), input, WHOLE).any()
    assert gpu.forward(input[:0], WHOLE).shape == (0, 3, 5, 5)
