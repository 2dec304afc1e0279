"""Numbers first, then times: medians of events on the device, and the floor below them."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.gpu.cases import Case, Function

# The largest error, relative to the largest number; products of float32 may be tf32 where the user allows it.
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 4e-3}
_SECONDS, _LEAST, _MOST = 0.4, 5, 200


def disagreement(case: Case, dtype: torch.dtype, device: str) -> str | None:
    """In words how outputs and gradients on a device differ from those in float64 on the CPU, None if they agree."""
    own = case.tensors(case.small, dtype, device)
    wide = [tensor.cpu().double() for tensor in own]
    for number, (mine, expected) in enumerate(
        zip(_results(case.ours, own), _results(case.ours, wide), strict=True), start=-1
    ):
        error = (mine.cpu().double() - expected).abs().max() / expected.abs().max().clamp_min(1e-30)
        if not error <= _TOLERANCE[dtype]:
            name = "output" if number < 0 else f"gradient {number}"
            return f"{name} differs from float64 by {error:.1e} of the largest number"
    return None


def _results(function: Function, tensors: Sequence[Tensor]) -> list[Tensor]:
    own = [tensor.detach().requires_grad_() for tensor in tensors]
    output = function(*own)
    weights = torch.linspace(0.5, 1.5, output.numel(), dtype=torch.float64).view(output.shape)
    return [output.detach(), *torch.autograd.grad(output, own, weights.to(output))]


def both_ways(function: Function, tensors: Sequence[Tensor]) -> tuple[float, float]:
    """Seconds of the forward pass, and of both passes."""
    own = [tensor.detach().requires_grad_() for tensor in tensors]
    with torch.no_grad():
        alone = seconds(lambda: function(*tensors))
    output = function(*own)
    grad = torch.ones_like(output)
    del output
    return alone, seconds(lambda: torch.autograd.grad(function(*own), own, grad))


def seconds(work: Callable[[], object]) -> float:
    """The median of some runs; the first ones, which choose tiles, do not count."""
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    times: list[float] = []
    begin = time.monotonic()
    while len(times) < _LEAST or (time.monotonic() - begin < _SECONDS and len(times) < _MOST):
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        first.record()
        work()
        last.record()
        last.synchronize()
        times.append(first.elapsed_time(last) / 1000)
    return statistics.median(times)


def bandwidth() -> float:
    """Bytes a second that a copy reads and writes."""
    source = torch.ones(1 << 28, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() / seconds(lambda: target.copy_(source))


def rate(dtype: torch.dtype) -> float:
    """Operations a second of a large product of matrices, under the user's settings."""
    size = 4096
    one, other = (torch.randn(size, size, device="cuda").to(dtype) for _ in range(2))
    return 2 * size**3 / seconds(lambda: one @ other)


def floor(case: Case, tensors: Sequence[Tensor], output: Tensor, bytes_a_second: float, rate: float) -> float:
    """Seconds below which no forward pass can be: all tensors read and written once, or all operations done."""
    moved = sum(tensor.numel() * tensor.element_size() for tensor in (*tensors, output))
    return max(moved / bytes_a_second, case.operations / rate)
