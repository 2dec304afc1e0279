"""Local response normalisation in Triton's interpreter, against the definition."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from ops.checks import TOLERANCE, assert_close
from striate.ops._pooling import gpu as pooling
from striate.ops._triton import tl
from striate.ops.local_response_norm import gpu, reference

# Sizes, low, high, alpha, beta, k, within a channel.
CASES = {
    "rows": ((2, 20), 1, 1, 0.3, 0.75, 1.0, False),
    "picture": ((2, 7, 3, 4), 2, 1, 0.1, 0.5, 2.0, False),
    "all": ((1, 3, 2, 2, 2), 4, 9, 0.2, 1.0, 1.0, False),
    "power": ((1, 4, 3, 3), 1, 2, 0.2, 1.3, 1.5, False),
    "within": ((2, 2, 5, 4), 1, 2, 0.1, 0.75, 1.0, True),
    "sixteen": ((1, 16, 3, 4), 1, 1, 0.1, 0.75, 1.0, True),
    "volume": ((1, 3, 3, 2, 5), 1, 1, 0.1, -0.4, 1.0, True),
}


@pytest.fixture(autouse=True)
def _poisoned() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def check(input: Tensor, *settings: float) -> None:
    output = gpu.forward(input, *settings)
    wide = input.detach().double().requires_grad_()
    expected = reference.local_response_norm(wide, *settings)
    grad = torch.randn(input.shape).to(input)
    found = gpu.backward(grad, input, *settings)
    for own, wished in ((output, expected), (found, *torch.autograd.grad(expected, wide, grad.double()))):
        assert own.dtype == input.dtype
        assert own.stride() == input.stride()
        assert_close(own, wished)


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients(case: str) -> None:
    shape, *settings = CASES[case]
    input = torch.randn(shape)
    check(input, *settings)
    if len(shape) > 3:
        layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
        check(input.contiguous(memory_format=layout), *settings)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_dtypes(dtype: torch.dtype) -> None:
    input = torch.randn(2, 5, 3, 3, dtype=dtype)
    check(input, 2, 2, 0.1, 0.75, 1.0, False)
    check(input, 2, 2, 0.1, 0.6, 1.0, True)


def test_more_than_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "NUMBERS", 16)
    monkeypatch.setattr(pooling, "index_type", lambda *_: tl.int64)
    input = torch.randn(1, 3, 3, 5)
    check(input, 1, 1, 0.1, 0.75, 1.0, False)
    check(input.contiguous(memory_format=torch.channels_last), 1, 1, 0.1, 0.75, 1.0, True)


# NumPy, by which Triton interprets, warns.
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("beta", [0.5, 0.75, 1.0, 1.3])
def test_infinity_and_nan(beta: float) -> None:
    settings = 1, 1, 0.1, beta, 1.0, False
    input = torch.tensor([1.0, float("inf"), 2.0, 3.0, float("nan"), 1.0]).view(1, 6)
    wished = reference.local_response_norm(input, *settings)
    torch.testing.assert_close(gpu.forward(input, *settings), wished, equal_nan=True)
    zeros = torch.zeros(1, 3)
    assert gpu.forward(zeros, 1, 1, 0.1, beta, 0.0, False).isnan().all()
    assert gpu.forward(zeros[:0], 1, 1, 0.1, beta, 0.0, False).shape == (0, 3)
