"""The kernels of local response normalisation as one operator of PyTorch, with gradients of any order."""

from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.onnx import ops as onnx

from striate.ops._door import memory_format, second_order
from striate.ops._rooms import DEVICES, room
from striate.ops.local_response_norm import reference


def _blank(input: Tensor) -> Tensor:
    return input.new_empty(input.shape).contiguous(memory_format=memory_format(input))


@torch.library.custom_op("striate::local_response_norm", mutates_args=(), device_types=DEVICES)
def _normalize(input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool) -> Tensor:
    result: Tensor = room("local_response_norm", input).forward(input, low, high, alpha, beta, k, within_channel)
    return result


@_normalize.register_fake
def _(input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool) -> Tensor:
    return _blank(input)


@torch.library.custom_op("striate::local_response_norm_backward", mutates_args=(), device_types=DEVICES)
def _normalize_backward(
    grad: Tensor, input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool
) -> Tensor:
    result: Tensor = room("local_response_norm", grad).backward(grad, input, low, high, alpha, beta, k, within_channel)
    return result


@_normalize_backward.register_fake
def _(
    grad: Tensor, input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool
) -> Tensor:
    return _blank(input)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, *ctx.settings = inputs
    ctx.save_for_backward(input)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return _normalize_backward(grad, *ctx.saved_tensors, *ctx.settings), *[None] * 6


def _save_first(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, input, *ctx.settings = inputs
    ctx.save_for_backward(grad, input)


def _backward_first(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    def plain(input: Tensor) -> Tensor:
        return reference.local_response_norm(input, *ctx.settings)

    return *second_order(plain)((grad,), *ctx.saved_tensors), *[None] * 6


def _decomposed(
    input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool
) -> Tensor:
    """What the exporter writes: the node `LRN` where ONNX has it."""
    if get_proxy_mode() is None:
        # Nothing is taken apart: PyTorch wants to know the sizes, where they are symbolic.
        return _blank(input)
    # ONNX Runtime has it for odd sizes, and in float32.
    has_node = low == high and not within_channel and input.dtype != torch.float64
    if not (has_node and torch.onnx.is_in_onnx_export()):
        result = reference.local_response_norm(input, low, high, alpha, beta, k, within_channel)
        return result.contiguous(memory_format=memory_format(input))
    # It takes pictures only.
    size = low + high + 1
    pictures = input.float() if input.ndim == 4 else input.float().reshape(*input.shape[:2], -1, 1)
    attributes: dict[str, Any] = {"size": size, "alpha": alpha * size, "beta": beta, "bias": k}
    node = onnx.symbolic("LRN", (pictures,), attributes, dtype=torch.float32, shape=pictures.shape, version=13)
    return node.reshape(input.shape).to(input.dtype).contiguous(memory_format=memory_format(input))


_normalize.register_autograd(_backward, setup_context=_save)
_normalize_backward.register_autograd(_backward_first, setup_context=_save_first)
torch._decomp.register_decomposition(torch.ops.striate.local_response_norm.default)(_decomposed)


def normalize(input: Tensor, low: int, high: int, alpha: float, beta: float, k: float, within_channel: bool) -> Tensor:
    """Normalise by the kernels.

    Args:
        input: `(N, C, *sizes)`.
        low: neighbours before a number.
        high: neighbours behind it.
        alpha: factor of the sum of squares.
        beta: exponent.
        k: what the sum is added to.
        within_channel: whether neighbours lie along all axes of sizes, not along the channels.

    Returns:
        The input's shape, dtype and memory format.
    """
    result: Tensor = _normalize(input, low, high, alpha, beta, k, within_channel)
    return result
