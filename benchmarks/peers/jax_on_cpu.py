"""JAX on the CPU, compiled, on as many threads as PyTorch uses when it is first called: XLA keeps their number."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.runner.case import Work
from benchmarks.runner.contender import cotangent

Function = Callable[..., Any]


def on_jax(function: Function, *inputs: Tensor, backward: bool = True) -> Work:
    """The function, and its output with the gradients of all inputs; these lie in JAX's own arrays.

    Args:
        function: of JAX's arrays.
        inputs: of the function.
        backward: whether gradients are timed.
    """
    # XLA reads these once, at its first use.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ["NPROC"] = str(torch.get_num_threads())
    import jax

    arrays = [jax.device_put(tensor.detach().numpy()) for tensor in inputs]
    forward = jax.jit(function)

    def run() -> None:
        jax.block_until_ready(forward(*arrays))

    if not backward:
        return Work(run=run, results=lambda: (jax.block_until_ready(forward(*arrays)),))
    grad = jax.device_put(cotangent(*jax.eval_shape(function, *arrays).shape).numpy())

    @jax.jit
    def both(grad: Any, *inputs: Any) -> tuple[Any, ...]:
        # Were the output not returned, XLA would not compute it.
        output, pull = jax.vjp(function, *inputs)
        return output, *pull(grad)

    def results() -> tuple[Any, ...]:
        found: tuple[Any, ...] = jax.block_until_ready(both(grad, *arrays))
        return found

    def with_backward() -> None:
        results()

    return Work(run=run, with_backward=with_backward, results=results)


def conv(*, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int) -> Function:
    """Convolution of `(N, C, *sizes)` with `(out, in/groups, *kernel)` and a bias, if there is one.

    Args:
        stride: one number an axis, as the two that follow.
        padding: on both sides.
        dilation: places from one tap to the next.
        groups: of channels.
    """

    def function(input: Any, weight: Any, *bias: Any) -> Any:
        from jax import lax

        output = lax.conv_general_dilated(
            input,
            weight,
            window_strides=stride,
            padding=[(places, places) for places in padding],
            rhs_dilation=dilation,
            feature_group_count=groups,
        )
        return _with(output, *bias)

    return function


def conv_transpose(*, stride: Sequence[int], padding: Sequence[int], groups: int) -> Function:
    """Transposed convolution of `(N, C, *sizes)` with `(in, out/groups, *kernel)` and a bias, if there is one.

    Args:
        stride: one number an axis.
        padding: what is cropped from both sides of each axis.
        groups: of channels.
    """

    def function(input: Any, weight: Any, *bias: Any) -> Any:
        from jax import lax
        from jax import numpy as jnp

        kernel = weight.shape[2:]
        apart = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:]).swapaxes(1, 2)
        flipped = jnp.flip(apart.reshape(-1, *apart.shape[2:]), range(2, weight.ndim))
        output = lax.conv_general_dilated(
            input,
            flipped,
            window_strides=[1] * len(kernel),
            padding=[(taps - 1 - places, taps - 1 - places) for taps, places in zip(kernel, padding, strict=True)],
            lhs_dilation=stride,
            feature_group_count=groups,
        )
        return _with(output, *bias)

    return function


def im2col(kernel_size: Sequence[int]) -> Function:
    """The windows of `(N, C, *sizes)` as columns `(N, C * taps, placements)`.

    Args:
        kernel_size: one number an axis.
    """

    def function(input: Any) -> Any:
        from jax import lax

        patches = lax.conv_general_dilated_patches(input, kernel_size, [1] * len(kernel_size), "VALID")
        return patches.reshape(*patches.shape[:2], -1)

    return function


def correlate(picture: Any, kernel: Any) -> Any:
    """Correlation of a plane where all of the kernel lies on it."""
    from jax.scipy import signal

    return signal.correlate(picture, kernel, mode="valid")


def _with(output: Any, bias: Any = None) -> Any:
    return output if bias is None else output + bias.reshape(-1, *[1] * (output.ndim - 2))
