"""What only a device shows of the functions that users call: streams, graphs, compilers, memory left by others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="Triton is not installed")

import triton
from benchmarks.gpu import tilings

import striate
from ops.checks import gradients_of, leaves

from .operators import PUBLIC, Function, compare, on_device, tuned_kernels

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU for CUDA here")
LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def poison() -> None:
    """Leave NaN in the memory that is given out next: every byte is 255, which is NaN in all dtypes."""
    sizes = [*[1 << 19] * 64, *[1 << 23] * 8, 1 << 28]
    assert all([torch.full((size,), 255, dtype=torch.uint8, device="cuda").any() for size in sizes])


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_is_returned_that_was_not_written(name: str, dtype: torch.dtype) -> None:
    call, definition, tensors = PUBLIC[name]()
    own = [tensor.to(dtype) for tensor in tensors]
    device, wide = [tensor.cuda() for tensor in own], [tensor.double() for tensor in own]
    for _ in range(3):
        poison()
        compare([call(*device)], [definition(*wide)], dtype)
        poison()
        compare(gradients_of(call, *device), gradients_of(definition, *wide), dtype)


@pytest.mark.parametrize("name", PUBLIC)
def test_channels_last(name: str) -> None:
    call, definition, tensors = PUBLIC[name]()
    own = on_device(tensors)
    layout = LAST[own[0].ndim]
    own[0] = own[0].contiguous(memory_format=layout)
    output = call(*own)
    assert output.is_contiguous(memory_format=layout)
    compare([output], [definition(*tensors)])
    compare(gradients_of(call, *own), gradients_of(definition, *tensors))


@pytest.mark.parametrize("name", PUBLIC)
def test_strided_and_expanded_tensors(name: str) -> None:
    call, definition, tensors = PUBLIC[name]()
    spread = [torch.stack([tensor, tensor + 1], -1)[..., 0] for tensor in on_device(tensors)]
    assert not any(tensor.is_contiguous() for tensor in spread)
    compare([call(*spread)], [definition(*tensors)])
    first, *others = tensors
    one = first[:, :1].float()
    found = call(one.cuda().expand(first.shape), *on_device(others))
    compare([found], [definition(one.double().expand(first.shape), *others)])


@pytest.mark.parametrize("name", PUBLIC)
def test_strided_leaves_and_expanded_gradients(name: str) -> None:
    call, definition, tensors = PUBLIC[name]()
    spread = [torch.stack([tensor, tensor + 1], -1)[..., 0].requires_grad_() for tensor in on_device(tensors)]
    own = leaves(*tensors)
    # The gradient of a sum is one number, seen from everywhere.
    found = torch.autograd.grad(call(*spread).sum(), spread)
    compare(found, torch.autograd.grad(definition(*own).sum(), own))


@pytest.mark.parametrize("name", PUBLIC)
def test_no_images(name: str) -> None:
    call, _, tensors = PUBLIC[name]()
    batched = [tensor[:0] if _is_batched(name, at) else tensor for at, tensor in enumerate(tensors)]
    own = on_device(batched)
    assert call(*own).shape == (0, *call(*on_device(tensors)).shape[1:])
    for found, tensor in zip(gradients_of(call, *own), own, strict=True):
        assert found.shape == tensor.shape and not found.any()


def _is_batched(name: str, at: int) -> bool:
    """Whether a tensor has one entry an image: the input, offsets and mask."""
    return at == 0 or (name.startswith("deform_conv") and at in (1, 4)) or name.startswith("deform_aggregate")


@pytest.mark.parametrize("name", PUBLIC)
def test_another_stream(name: str) -> None:
    call, definition, tensors = PUBLIC[name]()
    right, own = on_device(tensors), [torch.zeros_like(tensor) for tensor in on_device(tensors)]
    call(*own)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        # A kernel on any other stream would read before the numbers are there.
        torch.cuda._sleep(100_000_000)
        for tensor, number in zip(own, right, strict=True):
            tensor.copy_(number)
        output, gradients = call(*own), gradients_of(call, *own)
    stream.synchronize()
    compare([output], [definition(*tensors)])
    compare(gradients, gradients_of(definition, *tensors))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is no second GPU here")
@pytest.mark.parametrize("name", PUBLIC)
def test_another_device(name: str) -> None:
    call, definition, tensors = PUBLIC[name]()
    own = [tensor.float().to("cuda:1") for tensor in tensors]
    output = call(*own)
    assert output.device == own[0].device
    compare([output], [definition(*tensors)])
    compare(gradients_of(call, *own), gradients_of(definition, *tensors))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_graph_replays_both_passes_on_other_numbers(name: str) -> None:
    call, definition, tensors = PUBLIC[name]()
    own = leaves(*on_device(tensors))
    output = call(*own)
    weights = torch.linspace(0.5, 1.5, output.numel(), dtype=torch.float64).to(output).view(output.shape)

    def work() -> tuple[Tensor, ...]:
        output = call(*own)
        return output.detach(), *torch.autograd.grad(output, own, weights)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = work()
    others = [tensor.flip(0) for tensor in tensors]
    with torch.no_grad():
        for tensor, other in zip(own, others, strict=True):
            tensor.copy_(other)
    for _ in range(2):
        graph.replay()
        compare(found, [definition(*others), *gradients_of(definition, *others)])


def test_in_a_graph_a_place_that_is_none_gets_nothing() -> None:
    values, indices = torch.ones(1, 1, 2, device="cuda"), torch.tensor([[[3, 7]]], device="cuda")

    def work() -> Tensor:
        return striate.max_unpool1d(values, indices, 2, output_size=(15,))

    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = work()
    # Nothing can be asked of the device in a graph, so that there is no error.
    indices[0, 0, 1] = 15
    graph.replay()
    assert found.nonzero().tolist() == [[0, 0, 3]]


@pytest.mark.parametrize("name", PUBLIC)
def test_compiles_whole(name: str) -> None:
    call, definition, tensors = PUBLIC[name]()
    own = on_device(tensors)
    torch._dynamo.reset()
    with torch._inductor.config.patch(compile_threads=1):
        compiled = torch.compile(lambda *given: 2 * call(*given) + 1, fullgraph=True)
        output, gradients = compiled(*own), gradients_of(compiled, *own)

    def expected(*given: Tensor) -> Tensor:
        return 2 * definition(*given) + 1

    compare([output], [expected(*tensors)])
    compare(gradients, gradients_of(expected, *tensors))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", PUBLIC)
def test_autocast_does_what_it_does_on_the_cpu(name: str, dtype: torch.dtype) -> None:
    call, _, tensors = PUBLIC[name]()
    narrow = [tensor.float() for tensor in tensors]
    with torch.autocast("cpu", dtype):
        expected = call(*narrow)
    with torch.autocast("cuda", dtype):
        own = leaves(*on_device(tensors))
        output = call(*own)
        wide = call(*(tensor.double().cuda() for tensor in tensors))
    assert output.dtype == expected.dtype
    assert wide.dtype == torch.float64
    compare([output], [expected], dtype)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(output.float().sum(), own))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", PUBLIC)
def test_the_same_bits_ten_times(name: str, dtype: torch.dtype, deterministic: None) -> None:
    call, definition, tensors = PUBLIC[name]()
    own = [tensor.to(dtype) for tensor in tensors]
    device = [tensor.cuda() for tensor in own]
    runs = [[call(*device), *gradients_of(call, *device)] for _ in range(10)]
    wide = [tensor.double() for tensor in own]
    compare(runs[0], [definition(*wide), *gradients_of(definition, *wide)], dtype)
    for run in runs[1:]:
        assert all(map(torch.equal, run, runs[0]))


@pytest.mark.parametrize("name", PUBLIC)
def test_second_order(name: str) -> None:
    call, definition, tensors = PUBLIC[name]()

    def slopes(operator: Function) -> Function:
        def first(*given: Tensor) -> Tensor:
            found = torch.autograd.grad(operator(*given).square().sum(), given, create_graph=True)
            return torch.stack([gradient.square().sum() for gradient in found])

        return first

    found = gradients_of(slopes(call), *on_device(tensors, torch.float64))
    compare(found, gradients_of(slopes(definition), *tensors), torch.float64)


@pytest.mark.parametrize("name", ["deform_conv2d", "deform_conv2d, depthwise", "deform_aggregate2d"])
@pytest.mark.parametrize("last", [False, True])
def test_deformable_columns_are_never_held(name: str, last: bool) -> None:
    batch, channels, size = 4, 64, 64
    groups = channels if name.endswith("depthwise") else 1
    input = torch.randn(batch, channels, size, size, device="cuda")
    input = input.contiguous(memory_format=torch.channels_last) if last else input
    offset = torch.randn(batch, 18, size, size, device="cuda")
    weight = torch.randn(channels, channels // groups, 3, 3, device="cuda")
    mask = torch.rand(batch, 9, size, size, device="cuda")

    def run() -> Tensor:
        if name == "deform_aggregate2d":
            return striate.deform_aggregate2d(input, offset, mask, 3, padding=1)
        return striate.deform_conv2d(input, offset, weight, padding=1, mask=mask)

    with torch.no_grad():
        run()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        output = run()
        peak = torch.cuda.max_memory_allocated() - before
    # The output, the weight in another order and, unless channels lie last, the input in another order.
    copies = weight.nbytes + (0 if last else input.nbytes)
    # PyTorch rounds each of them up, by less than a megabyte.
    assert peak <= output.nbytes + copies + (3 << 20) < 9 * input.nbytes


def test_tilings_are_measured_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The fixture has taken the measuring away.
    monkeypatch.undo()
    monkeypatch.setattr(triton.knobs.cache, "dir", str(tmp_path))
    call, definition, tensors = PUBLIC["deform_conv2d"]()
    for kernel in tuned_kernels():
        monkeypatch.setattr(kernel._measured, "cache", {})
    tilings.forget()
    for _ in range(2):
        compare([call(*on_device(tensors))], [definition(*tensors)])
        compare(gradients_of(call, *on_device(tensors)), gradients_of(definition, *tensors))
    assert len(tilings.chosen()) >= 3
    assert len(list(tmp_path.rglob("*.autotune.json"))) >= 3
