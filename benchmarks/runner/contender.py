"""Contenders that are functions of PyTorch's tensors: ours, and those of torch.nn and torchvision."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.runner.case import Work


def on_torch(function: Callable[..., Tensor], *inputs: Tensor, backward: bool = True) -> Work:
    """The function without gradients, and with the gradients of all its inputs.

    Args:
        function: of the inputs.
        inputs: floating-point, in the memory format that is to be timed.
        backward: whether gradients are timed.
    """
    leaves = tuple(tensor.detach().requires_grad_(backward) for tensor in inputs)

    def forward() -> None:
        with torch.no_grad():
            function(*leaves)

    if not backward:
        return Work(run=forward, results=lambda: (function(*leaves),))
    with torch.no_grad():
        output = function(*leaves)
    grad = torch.empty_like(output).copy_(cotangent(*output.shape))
    del output

    def both() -> None:
        torch.autograd.grad(function(*leaves), leaves, grad)

    def results() -> tuple[Tensor, ...]:
        output = function(*leaves)
        return output.detach(), *torch.autograd.grad(output, leaves, grad)

    return Work(run=forward, with_backward=both, results=results)


def cotangent(*shape: int) -> Tensor:
    """The gradient of the output, the same for all contenders; random, so that nothing wrong cancels out."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def channels_last(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Pictures, volumes and their weights with the channels innermost."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return tuple(
        tensor.contiguous(memory_format=formats.get(tensor.ndim, torch.contiguous_format)) for tensor in tensors
    )


def stray(*sizes: int) -> Tensor:
    """Offsets of about a pixel, odd multiples of 1/128: no coordinate is whole, where derivatives jump, nor rounded."""
    return (torch.randn(sizes).mul_(64).floor_() + 0.5) / 64
