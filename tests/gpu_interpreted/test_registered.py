"""What is registered for GPUs, on the CPU in Triton's interpreter: whole operators, to the second order."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import striate
from ops.checks import assert_close, check_same, gradients_of
from striate.ops import dispatch
from striate.ops.conv import routes

from .rooms import take_gpu_rooms

OPERATORS = (
    "conv",
    "local_conv",
    "local_conv_transpose",
    "local_response_norm",
    "local_contrast_norm",
    "avg_pool",
    "max_pool",
    "max_unpool",
    "lp_pool",
)


def unpooled(input: Tensor) -> Tensor:
    pooled, indices = striate.max_pool2d(input, 2, return_indices=True)
    return striate.max_unpool2d(pooled, indices, 2)


Case = tuple[Callable[..., Tensor], tuple[tuple[int, ...], ...]]

CASES: dict[str, Case] = {
    "conv3d": (
        lambda x, w, b: striate.conv3d(x, w, b, padding=("causal", 1, 1), groups=2),
        ((1, 2, 2, 3, 3), (2, 1, 2, 3, 3), (2,)),
    ),
    "local_conv2d": (
        lambda x, w, b: striate.local_conv2d(x, w, b, padding="same"),
        ((2, 2, 3, 3), (3, 3, 2, 2, 2, 2), (2,)),
    ),
    "local_conv_transpose2d": (
        lambda x, w, b: striate.local_conv_transpose2d(x, w, b, 2),
        ((2, 2, 2, 2), (2, 2, 2, 1, 3, 3), (5, 5, 1)),
    ),
    "local_response_norm": (lambda x: striate.local_response_norm(x, 3, alpha=0.5), ((2, 4, 3, 3),)),
    "local_contrast_norm": (lambda x: striate.local_contrast_norm(x, 3), ((2, 2, 4, 4),)),
    "avg_pool2d": (lambda x: striate.avg_pool2d(x, 2, 1, "same", dilation=2), ((2, 2, 4, 5),)),
    "max_pool2d": (lambda x: striate.max_pool2d(x, 3, 2, "same"), ((2, 2, 4, 5),)),
    "max_unpool2d": (unpooled, ((2, 2, 4, 4),)),
    "lp_pool2d": (lambda x: striate.lp_pool2d(x, 3, 2, padding="same"), ((2, 2, 4, 5),)),
}


@pytest.fixture(autouse=True)
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Let the CPU's tensors go to the rooms for GPUs; what of these has run."""
    take_gpu_rooms(monkeypatch)
    names: set[str] = set()

    def noted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            names.add(name)
            return function(*arguments)

        return run

    for operator in OPERATORS:
        room = importlib.import_module(f"striate.ops.{operator}.gpu")
        for name in ("forward", "backward"):
            monkeypatch.setattr(room, name, noted(f"{operator}.{name}", getattr(room, name)))
    torch.use_deterministic_algorithms(True)
    yield names
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str, ran: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    operator, shapes = CASES[name]
    tensors = [torch.randn(shape, dtype=torch.float64) for shape in shapes]

    def defined(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*own: Tensor) -> Tensor:
            with monkeypatch.context() as changed:
                for module in (dispatch, routes):
                    changed.setattr(module, "in_transform", lambda: True)
                return function(*own)

        return call

    def slopes(*own: Tensor) -> Tensor:
        leaves = [tensor if tensor.requires_grad else tensor.requires_grad_() for tensor in own]
        found = torch.autograd.grad(operator(*leaves).square().sum(), leaves, create_graph=True)
        return torch.cat([tensor.flatten() for tensor in found])

    wished = gradients_of(defined(slopes), *tensors)
    assert not ran
    for found, wish in zip(gradients_of(slopes, *tensors), wished, strict=True):
        assert_close(found, wish)
    assert len(ran) >= 2
    check_same(operator, defined(operator), *tensors)
