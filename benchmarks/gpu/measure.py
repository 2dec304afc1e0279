"""Numbers first, then times: medians of events on the device, and the floor below them."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from benchmarks.gpu.cases import Case, Function, Kind

# The largest error, relative to the largest number.
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
_TF32 = 4e-3
_SECONDS, _LEAST, _MOST = 0.2, 5, 100
# More than any cache of a GPU holds.
_COLD = 1 << 28


@contextlib.contextmanager
def products(tf32: bool) -> Iterator[None]:
    """Let PyTorch, cuDNN and the kernels multiply float32 in tf32, or all of them exactly."""
    settings = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = [each.fp32_precision for each in settings]
    for each in settings:
        each.fp32_precision = "tf32" if tf32 else "ieee"
    try:
        yield
    finally:
        for each, own in zip(settings, before, strict=True):
            each.fp32_precision = own


def disagreement(case: Case, kind: Kind, device: str) -> str | None:
    """In words how outputs and gradients on a device differ from those in float64 on the CPU, None if they agree."""
    own = case.tensors(case.small, kind, device)
    wide = [tensor.cpu().double() for tensor in own]
    tolerance = _TF32 if kind.tf32 else _TOLERANCE[kind.dtype]
    for number, (mine, expected) in enumerate(
        zip(_results(case.ours, own), _results(case.ours, wide), strict=True), start=-1
    ):
        error = (mine.cpu().double() - expected).abs().max() / expected.abs().max().clamp_min(1e-30)
        if not error <= tolerance:
            name = "output" if number < 0 else f"gradient {number}"
            return f"{name} differs from float64 by {error:.1e} of the largest number"
    return None


def _results(function: Function, tensors: Sequence[Tensor]) -> list[Tensor]:
    own = [tensor.detach().requires_grad_() for tensor in tensors]
    output = function(*own)
    weights = torch.linspace(0.5, 1.5, output.numel(), dtype=torch.float64).view(output.shape)
    return [output.detach(), *torch.autograd.grad(output, own, weights.to(output))]


def times(function: Function, tensors: Sequence[Tensor]) -> dict[str, float | str]:
    """Seconds of the forward pass and of both passes, called one by one and replayed from a CUDA graph.

    A call begins on an idle device, so that what the host takes to launch it counts; a replay is the device's work.
    """
    own = [tensor.detach().requires_grad_() for tensor in tensors]
    grad = torch.ones_like(function(*own))

    def forward() -> object:
        with torch.no_grad():
            return function(*tensors)

    def both() -> object:
        return torch.autograd.grad(function(*own), own, grad)

    found: dict[str, float | str] = {"seconds": seconds(forward), "with_backward": seconds(both)}
    try:
        found["seconds_in_graph"] = seconds(captured(forward).replay)
        found["with_backward_in_graph"] = seconds(captured(both).replay)
    except RuntimeError as error:
        found["not_in_graph"] = told(error)
    return found


def captured(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """A CUDA graph of some work, after it has run on a stream of its own, as PyTorch wants it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def told(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def seconds(work: Callable[[], object]) -> float:
    """The median of some runs, each with a cold cache; the first ones, which choose tiles, do not count."""
    for _ in range(3):
        work()
    cold = torch.empty(_COLD, dtype=torch.uint8, device="cuda")
    results: list[float] = []
    begin = time.monotonic()
    while len(results) < _LEAST or (time.monotonic() - begin < _SECONDS and len(results) < _MOST):
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        cold.zero_()
        torch.cuda.synchronize()
        first.record()
        work()
        last.record()
        last.synchronize()
        results.append(first.elapsed_time(last) / 1000)
    return statistics.median(results)


def bandwidth() -> float:
    """Bytes a second that a copy reads and writes."""
    source = torch.ones(1 << 28, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() / seconds(lambda: target.copy_(source))


def rate(kind: Kind) -> float:
    """Operations a second of a large product of matrices."""
    size = 8192 if kind.dtype == torch.bfloat16 or kind.tf32 else 4096
    one, other = (torch.randn(size, size, device="cuda").to(kind.dtype) for _ in range(2))
    with products(kind.tf32):
        return 2 * size**3 / seconds(lambda: one @ other)


def floor(
    case: Case, tensors: Sequence[Tensor], output: Tensor, bytes_a_second: float, operations_a_second: float
) -> dict[str, float]:
    """Seconds below which no forward pass can be: all tensors read and written once, and all operations done."""
    moved = sum(tensor.numel() * tensor.element_size() for tensor in (*tensors, output))
    return {"bytes": moved / bytes_a_second, "operations": case.operations / operations_a_second}
