"""Gradients of unshared convolution and of its transpose, to any order, by the same kernels."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor


def register(forward: Any, backward: Any) -> None:
    """Give an operator and its backward their gradients.

    Args:
        forward: an operator of (input, weight, bias, *settings).
        backward: one of (grad, input, weight, *settings, needs) that gives the gradients of input and weight.
    """

    def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        input, weight, bias, *ctx.settings = inputs
        ctx.shared = bias is not None and bias.ndim == 1
        ctx.save_for_backward(input, weight)

    def gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        needs = list(ctx.needs_input_grad[:2])
        grads: Sequence[Tensor | None] = (None, None)
        if any(needs):
            found = backward(grad, *ctx.saved_tensors, *ctx.settings, needs)
            grads = [tensor if needed else None for tensor, needed in zip(found, needs, strict=True)]
        grad_bias = _grad_bias(grad, ctx.shared) if ctx.needs_input_grad[2] else None
        return *grads, grad_bias, *[None] * len(ctx.settings)

    def save_first(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        grad, input, weight, *ctx.settings, ctx.needs = inputs
        ctx.save_for_backward(grad, input, weight)

    def gradients_first(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        # All are sums of products of the same three, so that each gradient is one with another in its place.
        grad, input, weight = ctx.saved_tensors
        of_input, of_weight = (found if needed else None for found, needed in zip(grads, ctx.needs, strict=True))
        grad_grad = grad_input = grad_weight = None
        if ctx.needs_input_grad[0]:
            parts = [] if of_input is None else [forward(of_input, weight, None, *ctx.settings)]
            parts += [] if of_weight is None else [forward(input, of_weight, None, *ctx.settings)]
            grad_grad = sum(parts[1:], parts[0]) if parts else None
        if ctx.needs_input_grad[1] and of_weight is not None:
            grad_input = backward(grad, input, of_weight, *ctx.settings, [True, False])[0]
        if ctx.needs_input_grad[2] and of_input is not None:
            grad_weight = backward(grad, of_input, weight, *ctx.settings, [False, True])[1]
        return grad_grad, grad_input, grad_weight, *[None] * (len(ctx.settings) + 1)

    forward.register_autograd(gradients, setup_context=save)
    backward.register_autograd(gradients_first, setup_context=save_first)


def _grad_bias(grad: Tensor, shared: bool) -> Tensor:
    """The gradient of a bias `(out,)` that all places share, or of one `(*sizes, out)`."""
    return grad.sum([0, *range(2, grad.ndim)]) if shared else grad.sum(0).movedim(0, -1)
