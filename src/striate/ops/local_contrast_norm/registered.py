"""The kernels of local contrast normalisation as one operator of PyTorch, with gradients of any order."""

from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from striate.ops._door import memory_format, second_order
from striate.ops._rooms import DEVICES, room
from striate.ops.local_contrast_norm import reference
from striate.ops.local_contrast_norm.window import Rule


def _blank(input: Tensor) -> Tensor:
    return input.new_empty(input.shape).contiguous(memory_format=memory_format(input))


@torch.library.custom_op("striate::local_contrast_norm", mutates_args=(), device_types=DEVICES)
def _normalize(
    input: Tensor,
    kernel: list[int],
    sigma: list[float],
    subtract: bool,
    divide: bool,
    outside: bool,
    renormalize: bool,
    floor: float | None,
) -> Tensor:
    result: Tensor = room("local_contrast_norm", input).forward(
        input, Rule(kernel, sigma, subtract, divide, outside, renormalize, floor)
    )
    return result


@_normalize.register_fake
def _(
    input: Tensor,
    kernel: list[int],
    sigma: list[float],
    subtract: bool,
    divide: bool,
    outside: bool,
    renormalize: bool,
    floor: float | None,
) -> Tensor:
    return _blank(input)


@torch.library.custom_op("striate::local_contrast_norm_backward", mutates_args=(), device_types=DEVICES)
def _normalize_backward(
    grad: Tensor,
    input: Tensor,
    kernel: list[int],
    sigma: list[float],
    subtract: bool,
    divide: bool,
    outside: bool,
    renormalize: bool,
    floor: float | None,
) -> Tensor:
    result: Tensor = room("local_contrast_norm", grad).backward(
        grad, input, Rule(kernel, sigma, subtract, divide, outside, renormalize, floor)
    )
    return result


@_normalize_backward.register_fake
def _(
    grad: Tensor,
    input: Tensor,
    kernel: list[int],
    sigma: list[float],
    subtract: bool,
    divide: bool,
    outside: bool,
    renormalize: bool,
    floor: float | None,
) -> Tensor:
    return _blank(input)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, *ctx.settings = inputs
    ctx.save_for_backward(input)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return _normalize_backward(grad, *ctx.saved_tensors, *ctx.settings), *[None] * 7


def _save_first(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, input, *ctx.settings = inputs
    ctx.save_for_backward(grad, input)


def _backward_first(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    def plain(input: Tensor) -> Tensor:
        return reference.local_contrast_norm(input, Rule(*ctx.settings))

    return *second_order(plain)((grad,), *ctx.saved_tensors), *[None] * 7


def _decomposed(
    input: Tensor,
    kernel: list[int],
    sigma: list[float],
    subtract: bool,
    divide: bool,
    outside: bool,
    renormalize: bool,
    floor: float | None,
) -> Tensor:
    """What the exporter writes: the definition."""
    if get_proxy_mode() is None:
        # Nothing is taken apart: PyTorch wants to know the sizes, where they are symbolic.
        return _blank(input)
    result = reference.local_contrast_norm(input, Rule(kernel, sigma, subtract, divide, outside, renormalize, floor))
    return result.contiguous(memory_format=memory_format(input))


_normalize.register_autograd(_backward, setup_context=_save)
_normalize_backward.register_autograd(_backward_first, setup_context=_save_first)
torch._decomp.register_decomposition(torch.ops.striate.local_contrast_norm.default)(_decomposed)


def normalize(input: Tensor, rule: Rule) -> Tensor:
    """Normalise by the kernels.

    Args:
        input: `(N, C, *sizes)`.
        rule: what is done.

    Returns:
        The input's shape, dtype and memory format.
    """
    kernel, sigma = list(rule.kernel), list(rule.sigma)
    settings = kernel, sigma, rule.subtract, rule.divide, rule.outside, rule.renormalize, rule.floor
    result: Tensor = _normalize(input, *settings)
    return result
